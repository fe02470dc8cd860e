#include "http/main/cluster_client.h"

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <exception>
#include <iterator>
#include <utility>

#include "engine/base/host_port.h"
#include "engine/base/random.h"

namespace keelson::tools {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using nlohmann::json;
using replication::Member;
using replication::MemberList;

constexpr std::chrono::seconds kTimeout{5};
constexpr int kRedirectsMax = 5;
constexpr std::uint64_t kAnswerBytesMax = 64u << 20;

struct Answer {
  unsigned status = 0;
  std::string location;
  json body;
};

using Request = http::request<http::string_body>;
using Parser = http::response_parser<http::string_body>;

template <class Stream>
asio::awaitable<Answer> converse(Stream stream, Request request) {
  Parser parser;
  parser.body_limit(kAnswerBytesMax);
  beast::flat_buffer buffer;
  co_await http::async_write(stream, request, asio::use_awaitable);
  co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
  const auto& message = parser.get();
  co_return Answer{message.result_int(), std::string(message[http::field::location]),
                   json::parse(message.body(), nullptr, false)};
}

/// @param tls  outlives it; nullptr: plain HTTP.
asio::awaitable<Answer> ask(HostPort server, asio::ssl::context* tls, Request request) {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::resolver resolver(executor);
  const std::string port = std::to_string(server.port);
  const auto found = co_await resolver.async_resolve(server.host, port, asio::use_awaitable);
  beast::tcp_stream plain(executor);
  plain.expires_after(kTimeout);
  co_await plain.async_connect(found, asio::use_awaitable);
  if (tls == nullptr) co_return co_await converse(std::move(plain), std::move(request));
  beast::ssl_stream<beast::tcp_stream> stream(std::move(plain), *tls);
  SSL_set_tlsext_host_name(stream.native_handle(), server.host.c_str());
  stream.set_verify_callback(asio::ssl::host_name_verification(server.host));
  co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
  co_return co_await converse(std::move(stream), std::move(request));
}

std::string reason_of(const std::exception_ptr& failed) {
  try {
    std::rethrow_exception(failed);
  } catch (const boost::system::system_error& error) {
    return error.code().message();
  } catch (const std::exception& error) {
    return error.what();
  }
}

Result<Answer> ask_once(const std::string& address, asio::ssl::context* tls, Request request) {
  KEELSON_TRY_ASSIGN(HostPort server, parse_host_port(address));
  request.set(http::field::host, address);
  request.set(http::field::connection, "close");
  request.prepare_payload();
  asio::io_context context;
  std::optional<Answer> answer;
  std::string why = "no answer in time";
  asio::co_spawn(context, ask(std::move(server), tls, std::move(request)),
                 [&](const std::exception_ptr& failed, Answer given) {
                   if (failed) {
                     why = reason_of(failed);
                   } else {
                     answer = std::move(given);
                   }
                 });
  context.run_for(kTimeout);
  if (!answer) return fail(Errc::io_error, address + ": " + why);
  return *std::move(answer);
}

Result<json> result_of(Answer answer) {
  if (answer.status < 300 && !answer.body.is_discarded()) return std::move(answer.body);
  std::string detail = "status " + std::to_string(answer.status);
  if (answer.body.is_object()) detail = answer.body.value("detail", detail);
  Errc code = Errc::bad_request;
  if (answer.status == 404) code = Errc::not_found;
  if (answer.status == 503 || answer.status == 504) code = Errc::overloaded;
  return fail(code, std::move(detail));
}

Member member_of(const json& value) {
  return {replication::NodeId(value.at("node").get<Node>()),
          uuid_from_hex(value.at("data").get<std::string>()).value_or(Uuid())};
}

MemberList members_of(const json& list) {
  MemberList members;
  for (const json& each : list) members.push_back(member_of(each));
  return members;
}

NodeState node_of(const json& value) {
  NodeState node;
  node.member = member_of(value);
  node.alive = value.at("alive").get<bool>();
  node.connected = value.value("connected", true);
  node.http_address = value.value("http_address", "");
  node.peer_address = value.value("peer_address", "");
  node.version = value.value("version", "");
  return node;
}

/// What `from` says of the partition; records of a higher epoch prevail.
void add(PartitionState& state, const json& value, Node from) {
  const auto epoch = value.at("epoch").get<std::uint64_t>();
  if (epoch >= state.epoch) {
    if (epoch > state.epoch) {
      state.led = false;
      state.move = state.followers = json();
    }
    state.epoch = epoch;
    state.leader.reset();
    if (!value.at("leader").is_null()) state.leader = member_of(value.at("leader")).node.value;
    state.replicas = members_of(value.at("replicas"));
    state.old_replicas = members_of(value.at("old_replicas"));
  }
  if (!value.contains("replica")) return;
  const json& replica = value.at("replica");
  state.at[from] = replica;
  if (replica.at("role") != "leading" || epoch != state.epoch) return;
  state.led = true;
  state.followers = value.value("followers", json());
  state.move = value.value("move", json());
}

void add(ClusterState& state, const json& value) {
  const Node from = value.at("node").get<Node>();
  for (const json& topic : value.at("topics")) {
    const auto name = topic.at("name").get<std::string>();
    for (const json& each : topic.at("partitions")) {
      const auto number = each.at("partition").get<std::uint32_t>();
      auto found = std::ranges::find_if(state.partitions, [&](const PartitionState& partition) {
        return partition.topic == name && partition.partition == number;
      });
      if (found == state.partitions.end()) {
        state.partitions.emplace_back();
        found = std::prev(state.partitions.end());
        found->topic = name;
        found->topic_id = topic.at("id").get<std::string>();
        found->partition = number;
      }
      add(*found, each, from);
    }
  }
}

}  // namespace

Result<ClusterClient> ClusterClient::open(Options options) {
  ClusterClient client;
  client.token_ = std::move(options.token);
  if (!options.tls) return client;
  client.tls_ = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  client.tls_->set_verify_mode(asio::ssl::verify_peer);
  boost::system::error_code error;
  if (options.authority_file.empty()) {
    client.tls_->set_default_verify_paths(error);
  } else {
    client.tls_->load_verify_file(options.authority_file, error);
  }
  if (error) {
    return fail(Errc::bad_request, "certificates of '" + options.authority_file +
                                       "' cannot be read: " + error.message());
  }
  return client;
}

Result<json> ClusterClient::get(const std::string& address, const std::string& path) {
  http::request<http::string_body> request(http::verb::get, path, 11);
  if (!token_.empty()) request.set(http::field::authorization, "Bearer " + token_);
  KEELSON_TRY_ASSIGN(Answer answer, ask_once(address, tls_.get(), std::move(request)));
  return result_of(std::move(answer));
}

Result<json> ClusterClient::post(std::string address, std::string path, const json& body) {
  for (int i = 0; i < kRedirectsMax; ++i) {
    http::request<http::string_body> request(http::verb::post, path, 11);
    request.set(http::field::content_type, "application/json");
    if (!token_.empty()) request.set(http::field::authorization, "Bearer " + token_);
    request.body() = body.dump();
    KEELSON_TRY_ASSIGN(Answer answer, ask_once(address, tls_.get(), std::move(request)));
    if (answer.status != 307) return result_of(std::move(answer));
    // `//HOST:PORT/PATH`
    const std::size_t slash = answer.location.find('/', 2);
    if (!answer.location.starts_with("//") || slash == std::string::npos) break;
    address = answer.location.substr(2, slash - 2);
    path = answer.location.substr(slash);
  }
  return fail(Errc::overloaded, "sent from node to node: the leader is changing");
}

std::string PartitionState::path() const {
  return "/v1/cluster/topics/" + topic + "/partitions/" + std::to_string(partition) + "/";
}

std::string PartitionState::name() const { return topic + " " + std::to_string(partition); }

const PartitionState* ClusterState::find(const std::string& topic, std::uint32_t partition) const {
  const auto found = std::ranges::find_if(partitions, [&](const PartitionState& each) {
    return each.topic == topic && each.partition == partition;
  });
  return found == partitions.end() ? nullptr : &*found;
}

std::string ClusterState::leader_address(const PartitionState& partition) const {
  const auto leader = nodes.find(partition.leader.value_or(asked));
  return (leader == nodes.end() ? nodes.at(asked) : leader->second).http_address;
}

std::optional<Member> ClusterState::member(const PartitionState& partition, Node node) const {
  if (const auto found = nodes.find(node); found != nodes.end() && found->second.alive) {
    return found->second.member;
  }
  for (const MemberList* const list : {&partition.replicas, &partition.old_replicas}) {
    for (const Member& member : *list) {
      if (member.node.value == node) return member;
    }
  }
  return std::nullopt;
}

Result<ClusterState> look(ClusterClient& client, const std::string& address) {
  auto first = client.get(address, "/v1/cluster");
  if (!first && first.error().code == Errc::not_found) {
    return fail(Errc::not_found, "the server at " + address + " is a node of no cluster");
  }
  if (!first) return std::unexpected(first.error());
  try {
    ClusterState state;
    state.name = first->at("name").get<std::string>();
    state.asked = first->at("node").get<Node>();
    for (const json& each : first->at("nodes")) {
      NodeState node = node_of(each);
      state.nodes.emplace(node.member.node.value, std::move(node));
    }
    // Reached by what the operator says, which need not be what it tells its clients.
    state.nodes[state.asked].http_address = address;
    add(state, *first);
    for (auto& [id, node] : state.nodes) {
      if (id == state.asked || !node.alive) continue;
      const auto answer = client.get(node.http_address, "/v1/cluster");
      if (answer) {
        add(state, *answer);
      } else {
        node.silent = answer.error().context;
      }
    }
    return state;
  } catch (const json::exception& wrong) {
    return fail(Errc::bad_request, address + " is not a node of a cluster: " + wrong.what());
  }
}

}  // namespace keelson::tools
