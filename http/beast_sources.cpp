// The one place where Beast's own code is compiled; Asio's is in engine/transport.
#include <boost/beast/src.hpp>
