// The application: what a service's `main` is made of.
//
//     int main(int argc, char** argv) {
//       keelson::http::App app("bank");
//       app.aggregates().add<Account>().add<Transfer>();
//       app.projections().add(balances());
//       app.reactions().add<MoveMoney>();
//       return app.run(argc, argv);
//     }
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "aggregates/reaction.h"
#include "aggregates/registry.h"
#include "projections/projection.h"

namespace keelson::http {

/// A program with the command `serve` and whatever commands are added.
///
/// `serve --data DIR` opens the store, runs the aggregates, projections and reactions on the topic
/// that has the application's name (made at the first start), and serves the API until SIGTERM or
/// SIGINT. An application that registers nothing has no topic of its own and serves those that
/// clients make. Stopping is graceful: reactions pause, what is in flight is answered, projections
/// finish their transaction, the store closes; a second signal ends the process at once.
class App {
 public:
  /// @param name  the program's and the topic's: `[a-z0-9][a-z0-9_.-]*`.
  explicit App(std::string name);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// Register everything before `run`.
  [[nodiscard]] aggregates::AggregateRegistry& aggregates();
  [[nodiscard]] aggregates::ReactionRegistry& reactions();
  [[nodiscard]] projections::ProjectionRegistry& projections();

  /// Adds a command to the program: `run` gets the arguments behind its name and returns the
  /// process's exit status.
  App& add_command(std::string name, std::string summary,
                   std::function<int(const std::vector<std::string>& arguments)> run);

  /// @return the process's exit status: 0, or 2 for a wrong command line and 1 for anything else
  ///         that fails, after one line on stderr that says why.
  [[nodiscard]] int run(int argc, char** argv);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace keelson::http
