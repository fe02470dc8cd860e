#include "http/app.h"

#include <malloc.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>

#include "http/api_documents.h"
#include "http/command_line_checks.h"
#include "http/logging.h"
#include "http/service.h"

namespace keelson::http {

namespace {

constexpr int kFailed = 1;
constexpr int kWrongCommandLine = 2;

int complain(const std::string& program, std::string why, int status) {
  // One line, whatever the message holds.
  for (char& c : why) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::fprintf(stderr, "%s: %s\n", program.c_str(), why.c_str());
  return status;
}

/// For people, who do not know the codes.
std::string why_of(const Error& error) {
  return error.context.empty() ? error.message() : error.context;
}

/// Signals that end the process are taken by `wait` alone: blocked in every thread from before the
/// first is made.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  void wait() const {
    int signal = 0;
    sigwait(&signals_, &signal);
  }
  /// Whether one has come that `wait` would take.
  [[nodiscard]] bool pending() const {
    sigset_t come;
    return sigpending(&come) == 0 &&
           (sigismember(&come, SIGTERM) != 0 || sigismember(&come, SIGINT) != 0);
  }
  /// From now on a signal ends the process without further ado.
  void end_process_at_next() const {
    std::thread([signals = *this] {
      signals.wait();
      ::_exit(kFailed);
    }).detach();
  }

 private:
  sigset_t signals_{};
};

/// Each connection and each segment needs a descriptor; the usual soft limit is far below the hard.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// A server under load frees and takes the same memory again and again. By default the allocator
/// gives it back to the system each time, and each time it is mapped and cleared anew.
void keep_freed_memory() {
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

}  // namespace

class App::State {
 public:
  struct Command {
    std::string name;
    std::string summary;
    std::function<int(const std::vector<std::string>&)> run;
  };

  int serve(ServeOptions options) {
    if (const auto completed = complete(options); !completed) {
      return complain(domain.topic, completed.error().context, kWrongCommandLine);
    }
    set_up_logging(options.log_json ? LogFormat::json : LogFormat::text, options.log_level);
    raise_descriptor_limit();
    keep_freed_memory();
    const StopSignals signals;
    options.stop_requested = [&signals] { return signals.pending(); };
    auto service = Service::start(std::move(options), domain);
    if (!service && service.error().code == Errc::closed && signals.pending()) return 0;
    if (!service) return complain(domain.topic, why_of(service.error()), kFailed);
    std::printf("listening on %s\n", (*service)->url().c_str());
    std::fflush(stdout);
    signals.wait();
    signals.end_process_at_next();
    spdlog::info("stopping");
    (*service)->stop();
    spdlog::info("stopped");
    return 0;
  }

  Domain domain;
  std::vector<Command> commands;
};

App::App(std::string name) : state_(std::make_unique<State>()) {
  state_->domain = {std::move(name), std::make_shared<aggregates::AggregateRegistry>(),
                    std::make_shared<aggregates::ReactionRegistry>(),
                    std::make_shared<projections::ProjectionRegistry>()};
}

App::~App() = default;

aggregates::AggregateRegistry& App::aggregates() { return *state_->domain.aggregates; }
aggregates::ReactionRegistry& App::reactions() { return *state_->domain.reactions; }
projections::ProjectionRegistry& App::projections() { return *state_->domain.projections; }

App& App::add_command(std::string name, std::string summary,
                      std::function<int(const std::vector<std::string>&)> run) {
  state_->commands.push_back({std::move(name), std::move(summary), std::move(run)});
  return *this;
}

int App::run(int argc, char** argv) {
  const std::string& program = state_->domain.topic;
  CLI::App parser("An event-sourced service on Keelson", program);
  parser.require_subcommand(1);
  parser.set_version_flag("--version", program + ", on Keelson " + std::string(kVersion));
  ServeOptions options;
  CLI::App* const serve = parser.add_subcommand("serve", "Open the data folder and serve the API");
  describe(*serve, options);
  std::vector<std::pair<CLI::App*, const State::Command*>> added;
  for (const State::Command& command : state_->commands) {
    CLI::App* const subcommand = parser.add_subcommand(command.name, command.summary);
    // It parses its own arguments, its `--help` among them.
    subcommand->set_help_flag();
    subcommand->prefix_command();
    added.emplace_back(subcommand, &command);
  }
  if (const auto wrong = unknown_subcommand(parser, argc > 1 ? argv[1] : "")) {
    return complain(program, *wrong, kWrongCommandLine);
  }
  try {
    parser.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    return parser.exit(wanted);
  } catch (const CLI::ParseError& wrong) {
    return complain(program, wrong.what(), kWrongCommandLine);
  }
  for (const auto& [subcommand, command] : added) {
    if (subcommand->parsed()) return command->run(subcommand->remaining());
  }
  return state_->serve(std::move(options));
}

}  // namespace keelson::http
