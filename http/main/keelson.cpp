// Keelson without domain code: topics, streams and subscriptions over HTTP.
#include "http/app.h"

int main(int argc, char** argv) {
  keelson::http::App app("keelson");
  return app.run(argc, argv);
}
