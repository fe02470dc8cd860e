#include "samples/bank/importer.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <map>
#include <utility>

#include "samples/bank/beast.h"
#include "samples/bank/http_client.h"
#include "samples/bank/import_nodes.h"
#include "samples/bank/import_queue.h"
#include "samples/bank/import_wire.h"

namespace bank {

namespace asio = boost::asio;
using keelson::Errc;
using keelson::Error;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kFirstPause{20};
constexpr milliseconds kLongestPause{1000};
/// How often commands are sent on to another node without a pause.
constexpr int kHopsMax = 3;
constexpr milliseconds kDrawEvery{100};
/// Rows read ahead for each command in flight: enough of them that most belong to idle accounts.
constexpr std::size_t kRowsAheadPerCommand = 8;

/// What a coroutine throws is not lost: it leaves `run`.
void rethrow(const std::exception_ptr& thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

/// One import: the state that its coroutines share. They run on one thread, so nothing is locked.
class Importer::Run {
 public:
  Run(ImportOptions options, TransactionReader reader)
      : options_(std::move(options)),
        reader_(std::move(reader)),
        nodes_(options_.url),
        queue_(options_.currency),
        idle_(context_),
        draw_timer_(context_),
        signals_(context_, SIGINT, SIGTERM) {
    idle_.expires_at(steady_clock::time_point::max());
  }

  ImportReport run(OnProgress on_progress) {
    started_ = steady_clock::now();
    signals_.async_wait([this](const boost::system::error_code& error, int) {
      if (!error) interrupt();
    });
    if (on_progress) asio::co_spawn(context_, draw(std::move(on_progress)), rethrow);
    connections_left_ = options_.connections;
    asio::co_spawn(context_, start_connections(), rethrow);
    context_.run();
    if (rows_error_) stop(*std::move(rows_error_));
    update_report();
    return std::move(report_);
  }

 private:
  /// Connections to the nodes that one coroutine has sent something to.
  using Clients = std::map<ImportNodes::Node, HttpClient>;

  HttpClient& client_of(Clients& clients, ImportNodes::Node node) {
    return clients
        .try_emplace(node, context_,
                     HttpClientOptions{.url = nodes_.url(node), .token = options_.token})
        .first->second;
  }

  /// Asks for the other nodes first, so that the death of this one is no end. Not to be told is
  /// no harm.
  asio::awaitable<void> start_connections() {
    HttpClient client(context_, {.url = options_.url, .token = options_.token});
    std::vector<HttpRequest> ask;
    ask.push_back(cluster_request());
    const HttpClient::Exchange exchange = co_await client.exchange(std::move(ask));
    if (!exchange.answers.empty()) {
      for (const std::string& address : read_cluster(exchange.answers.front())) nodes_.add(address);
    }
    for (std::size_t i = 0; i < options_.connections; ++i)
      asio::co_spawn(context_, serve_connection(), rethrow);
  }

  /// Takes commands, gets them answered, and so on until there are none.
  asio::awaitable<void> serve_connection() {
    Clients clients;
    const std::size_t share = std::max<std::size_t>(
        1, options_.in_flight / std::max<std::size_t>(1, options_.connections));
    while (!stopping()) {
      read_ahead();
      std::vector<ImportCommand> commands = queue_.take(share);
      if (!commands.empty()) {
        co_await answer_all(clients, std::move(commands));
        idle_.cancel();  // accounts are free again: connections without work look once more
      } else if (queue_.empty() && rows_ended_) {
        break;
      } else {
        co_await idle_.async_wait(kAwait);
      }
    }
    idle_.cancel();
    if (--connections_left_ == 0) finish();
  }

  /// Sends `commands`, and again those that fail for now, until each has an answer that lasts or
  /// the import stops.
  asio::awaitable<void> answer_all(Clients& clients, std::vector<ImportCommand> commands) {
    milliseconds pause = kFirstPause;
    steady_clock::time_point last_progress = steady_clock::now();
    int hops = 0;
    for (;;) {
      const std::size_t sent = commands.size();
      Attempt attempt;
      std::map<ImportNodes::Node, std::vector<ImportCommand>> by_node;
      for (ImportCommand& command : commands)
        by_node[nodes_.for_account(command.account_id)].push_back(std::move(command));
      for (auto& [node, its] : by_node) co_await send(clients, node, std::move(its), attempt);
      commands = std::move(attempt.again);
      if (commands.empty() || stopping()) co_return;
      if (commands.size() < sent) {
        last_progress = steady_clock::now();
        pause = kFirstPause;
        hops = 0;
      }
      if (steady_clock::now() - last_progress >= options_.retry) {
        stop(Error{Errc::timeout,
                   "gave up after " + std::to_string(options_.retry.count()) + " s: " + attempt.why,
                   std::nullopt});
        co_return;
      }
      report_.repeats += commands.size();
      if (attempt.only_sent_on && ++hops <= kHopsMax) continue;
      co_await rest(std::max<milliseconds>(pause, attempt.retry_after));
      pause = std::min(pause * 2, kLongestPause);
    }
  }

  struct Attempt {
    std::vector<ImportCommand> again;  ///< those to repeat, in order
    std::string why;                   ///< the last of the reasons
    std::chrono::seconds retry_after{0};
    bool only_sent_on = true;  ///< those in `again`, to nodes that were named
  };

  /// Sends `commands` to `node` once and deals with every answer.
  asio::awaitable<void> send(Clients& clients, ImportNodes::Node node,
                             std::vector<ImportCommand> commands, Attempt& attempt) {
    std::vector<HttpRequest> requests;
    if (options_.single) {
      for (const ImportCommand& command : commands) requests.push_back(single_request(command));
    } else {
      requests.push_back(batch_request(commands));
    }
    HttpClient::Exchange exchange = co_await client_of(clients, node).exchange(std::move(requests));

    std::vector<CommandAnswer> answers;
    if (options_.single) {
      for (const HttpAnswer& answer : exchange.answers) answers.push_back(read_single(answer));
    } else if (!exchange.answers.empty()) {
      answers = read_batch(exchange.answers.front(), commands.size());
    }
    if (exchange.lost) attempt.why = exchange.lost->context;
    for (std::size_t i = 0; i < commands.size(); ++i) {
      using Kind = CommandAnswer::Kind;
      const Kind kind = i < answers.size() ? answers[i].kind : Kind::transient;
      if (kind != Kind::transient && kind != Kind::elsewhere) {
        settle(commands[i], answers[i]);
        continue;
      }
      if (kind != Kind::elsewhere || !nodes_.lead(commands[i].account_id, answers[i].leader)) {
        nodes_.avoid(commands[i].account_id, node);
        attempt.only_sent_on = false;
      }
      if (i < answers.size()) {
        attempt.why = answers[i].detail;
        attempt.retry_after =
            std::max(attempt.retry_after, answers[i].retry_after.value_or(std::chrono::seconds(0)));
      }
      attempt.again.push_back(std::move(commands[i]));
    }
  }

  void settle(const ImportCommand& command, const CommandAnswer& answer) {
    if (answer.kind == CommandAnswer::Kind::fatal)
      return stop(Error{Errc::bad_request, "the server answered " + answer.detail, std::nullopt});
    const bool accepted = answer.kind == CommandAnswer::Kind::accepted;
    const bool is_row = command.balance_after.has_value();
    if (is_row) {
      ++report_.rows;
      ++(!accepted ? report_.failed : answer.replayed ? report_.replayed : report_.applied);
    } else if (accepted && !answer.replayed) {
      ++report_.accounts_opened;
    }
    if (!accepted) {
      report_.add_problem({command.line, command.account_id, command.key, answer.detail});
    } else if (is_row && answer.balance_after == command.balance_after) {
      ++report_.balances_met;
    } else if (is_row) {
      const std::string found =
          answer.balance_after ? std::to_string(*answer.balance_after) : "not told";
      report_.add_problem({command.line, command.account_id, command.key,
                           "the balance is " + found + ", the file says " +
                               std::to_string(*command.balance_after)});
    }
    queue_.done(command.account_id);
  }

  /// Reads rows until enough are waiting. A pipe that is slow holds everything up while it is read.
  void read_ahead() {
    while (!rows_ended_ && queue_.size() < options_.in_flight * kRowsAheadPerCommand) {
      auto row = reader_.next();
      if (!row) {
        rows_ended_ = true;
        rows_error_ = std::move(row).error();  // what came before it is imported
        return;
      }
      if (!row->has_value()) {
        rows_ended_ = true;
        return;
      }
      ++rows_read_;
      queue_.add(**row);
    }
  }

  asio::awaitable<void> rest(milliseconds time) {
    const auto until = steady_clock::now() + std::min<milliseconds>(time, options_.retry);
    while (!stopping() && steady_clock::now() < until) {
      asio::steady_timer timer(context_, std::min(until, steady_clock::now() + kDrawEvery));
      co_await timer.async_wait(kAwait);
    }
  }

  asio::awaitable<void> draw(OnProgress on_progress) {
    while (connections_left_ > 0) {
      draw_timer_.expires_after(kDrawEvery);
      co_await draw_timer_.async_wait(kAwait);
      update_report();
      on_progress(report_);
    }
  }

  void update_report() {
    report_.accounts = queue_.accounts();
    report_.elapsed = steady_clock::now() - started_;
    report_.fraction = reader_.fraction_read();
    // Rows read but not answered are not done.
    if (report_.fraction && rows_read_ > 0)
      *report_.fraction *= static_cast<double>(report_.rows) / static_cast<double>(rows_read_);
  }

  [[nodiscard]] bool stopping() const { return report_.interrupted || report_.stopped.has_value(); }

  void stop(Error why) {
    if (!report_.stopped) report_.stopped = std::move(why);
    idle_.cancel();
  }

  void interrupt() {
    report_.interrupted = true;
    idle_.cancel();
    signals_.cancel();
    boost::system::error_code ignored;
    signals_.clear(ignored);  // the next one ends the process
  }

  void finish() {
    draw_timer_.cancel();
    signals_.cancel();
  }

  ImportOptions options_;
  TransactionReader reader_;
  ImportNodes nodes_;
  ImportQueue queue_;
  asio::io_context context_{1};
  /// Connections without work wait for it; never expires, is cancelled to wake them.
  asio::steady_timer idle_;
  asio::steady_timer draw_timer_;
  asio::signal_set signals_;
  steady_clock::time_point started_;
  std::size_t connections_left_ = 0;
  bool rows_ended_ = false;
  std::optional<Error> rows_error_;
  std::uint64_t rows_read_ = 0;
  ImportReport report_;
};

Importer::Importer(ImportOptions options, TransactionReader reader)
    : run_(std::make_unique<Run>(std::move(options), std::move(reader))) {}

Importer::~Importer() = default;

ImportReport Importer::run(OnProgress on_progress) { return run_->run(std::move(on_progress)); }

}  // namespace bank
