// Keelson without domain code: topics, streams and subscriptions over HTTP; and tools for a store.
#include "http/app.h"
#include "http/main/cluster_command.h"
#include "http/main/inspect_command.h"
#include "http/main/verify_command.h"

int main(int argc, char** argv) {
  keelson::http::App app("keelson");
  app.add_command("verify", "Check all that a data folder holds", keelson::tools::run_verify);
  app.add_command("inspect", "Show what a data folder holds", keelson::tools::run_inspect);
  app.add_command("cluster", "See and change a cluster that runs", keelson::tools::run_cluster);
  return app.run(argc, argv);
}
