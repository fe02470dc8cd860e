#include "tests/samples/bank/unreliable_bank.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <sstream>

namespace bank::test {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

UnreliableBank::UnreliableBank(Options options)
    : options_(std::move(options)),
      acceptor_(context_, tcp::endpoint(asio::ip::make_address("127.0.0.1"), 0)),
      dice_(options_.seed) {
  listener_ = std::thread([this] { accept(); });
}

UnreliableBank::~UnreliableBank() {
  stopping_ = true;
  boost::system::error_code ignored;
  tcp::socket waker(context_);
  waker.connect(acceptor_.local_endpoint(), ignored);
  waker.close(ignored);
  listener_.join();
  for (auto& session : sessions_) session.join();
}

Url UnreliableBank::url() const {
  return {"127.0.0.1", std::to_string(acceptor_.local_endpoint().port())};
}

std::map<std::string, std::int64_t> UnreliableBank::balances() const {
  const std::lock_guard lock(mutex_);
  return balances_;
}

std::size_t UnreliableBank::effects() const {
  const std::lock_guard lock(mutex_);
  return outcomes_.size();
}

std::size_t UnreliableBank::troubles() const {
  const std::lock_guard lock(mutex_);
  return troubles_;
}

void UnreliableBank::accept() {
  while (true) {
    boost::system::error_code error;
    tcp::socket socket = acceptor_.accept(error);
    if (stopping_ || error) return;
    sessions_.emplace_back(&UnreliableBank::serve, this, std::move(socket));
  }
}

UnreliableBank::Trouble UnreliableBank::roll() {
  const std::lock_guard lock(mutex_);
  if (dice_() % 100 >= options_.trouble_percent) return Trouble::none;
  ++troubles_;
  constexpr Trouble kAll[] = {Trouble::busy, Trouble::dropped, Trouble::unanswered};
  return kAll[dice_() % 3];
}

void UnreliableBank::serve(tcp::socket socket) {
  boost::beast::flat_buffer buffer;
  while (true) {
    boost::system::error_code error;
    http::request<http::string_body> request;
    http::read(socket, buffer, request, error);
    if (error) return;
    const Trouble trouble = roll();
    if (trouble == Trouble::dropped) return;
    http::response<http::string_body> response(http::status::ok, 11);
    if (trouble == Trouble::busy || options_.status != 0) {
      response.result(options_.status != 0 ? options_.status : 503);
      response.set(http::field::retry_after, "0");
      response.body() = R"({"code":"told_to","detail":"as the test wants"})";
    } else if (request.target() == "/v1/cluster") {
      response.result(http::status::not_found);  // it is alone
    } else if (request.target() == "/v1/commands") {
      response.body() = run_batch(request.body());
    } else {
      std::istringstream path{std::string(request.target())};
      std::string part, account, command;
      for (int i = 0; i < 4; ++i) std::getline(path, part, '/');  // "", v1, aggregates, account
      std::getline(path, account, '/');
      std::getline(path, command, '/');
      const Json outcome = run(account, command, std::string(request["Idempotency-Key"]),
                               Json::parse(request.body()));
      response.result(outcome.at("status").get<unsigned>());
      if (outcome.contains("replayed")) response.set("Idempotency-Replayed", "true");
      response.body() = outcome.dump();
    }
    if (trouble == Trouble::unanswered) return;
    response.prepare_payload();
    http::write(socket, response, error);
    if (error) return;
  }
}

UnreliableBank::Json UnreliableBank::run(const std::string& account, const std::string& command,
                                         const std::string& key, const Json& data) {
  if (!options_.leader.empty()) {
    return {{"outcome", "error"}, {"status", 307}, {"leader", options_.leader}};
  }
  const std::lock_guard lock(mutex_);
  if (key == options_.refused_key)
    return {{"outcome", "rejected"}, {"status", 409}, {"reason", "closed"}};
  if (const auto known = outcomes_.find(account + "/" + key); known != outcomes_.end()) {
    Json replay = known->second;
    replay["replayed"] = true;
    return replay;
  }
  Json event = Json::object();
  if (command != "open") {
    const auto amount = data.at("amount").get<std::int64_t>();
    event["balance_after"] = balances_[account] += command == "deposit" ? amount : -amount;
  }
  const Json outcome = {
      {"outcome", "accepted"}, {"status", 200}, {"events", Json::array({{{"data", event}}})}};
  outcomes_[account + "/" + key] = outcome;
  return outcome;
}

/// In a batch a single command may be refused for now, too.
std::string UnreliableBank::run_batch(const std::string& lines) {
  std::istringstream input(lines);
  std::string output;
  for (std::string line; std::getline(input, line);) {
    const Json command = Json::parse(line);
    const bool busy = roll() == Trouble::busy;
    output +=
        (busy ? Json{{"outcome", "error"}, {"status", 503}, {"code", "overloaded"}}
              : run(command.at("id"), command.at("command"), command.at("key"), command.at("data")))
            .dump() +
        "\n";
  }
  return output;
}

}  // namespace bank::test
