// The parts of Asio that the transport uses. Its code is compiled once for all of Keelson, in
// asio_sources.cpp (BOOST_ASIO_SEPARATE_COMPILATION is set by CMake). Never included by a public
// header.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace keelson::transport {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
template <class T>
using Awaitable = asio::awaitable<T>;

/// Errors come back as the first of a tuple.
inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace keelson::transport
