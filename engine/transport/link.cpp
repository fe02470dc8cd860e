#include "engine/transport/link.h"

#include <utility>
#include <vector>

namespace keelson::transport {

namespace {

constexpr std::size_t kReadBytes = 64u << 10;
/// Of one write: header and message each; Asio hands over 64 pieces at a time.
constexpr std::size_t kItemsMax = 32;
constexpr std::size_t kWriteBytes = 1u << 20;

Error ended() { return {Errc::closed, "the connection has ended", std::nullopt}; }

}  // namespace

Link::Link(std::shared_ptr<Wire> wire, Peer peer, std::shared_ptr<Outbox> outbox,
           FrameParser parser, std::string unread)
    : wire_(std::move(wire)),
      peer_(peer),
      outbox_(std::move(outbox)),
      parser_(std::move(parser)),
      unread_(std::move(unread)),
      wake_(wire_->socket().get_executor(), asio::steady_timer::time_point::max()) {}

Awaitable<Error> Link::read(const replication::Transport::Listener& listener) {
  if (auto good = deliver(unread_, listener); !good) co_return std::move(good).error();
  std::string bytes(kReadBytes, '\0');
  while (!closed_) {
    auto got = co_await wire_->read_some(bytes.data(), bytes.size());
    if (closed_) break;
    if (!got) co_return std::move(got).error();
    if (*got == 0) co_return Error{Errc::closed, "closed by the other side", std::nullopt};
    auto good = deliver(std::string_view(bytes).substr(0, *got), listener);
    if (!good) co_return std::move(good).error();
  }
  co_return ended();
}

Result<void> Link::deliver(std::string_view bytes,
                           const replication::Transport::Listener& listener) {
  while (!closed_) {
    KEELSON_TRY_ASSIGN(std::optional<Frame> frame, parser_.take(bytes));
    if (!frame) break;
    switch (frame->kind) {
      case FrameKind::message: listener.received(peer_.member, std::move(frame->payload)); break;
      case FrameKind::file:
        listener.received_file(peer_.member, std::move(frame->payload), std::move(frame->region));
        break;
      default: return fail(Errc::corruption, "a frame of the handshake after its end");
    }
  }
  return {};
}

Awaitable<Error> Link::write() {
  while (!closed_) {
    const std::vector<Outgoing> items = outbox_->take(kItemsMax, kWriteBytes);
    if (items.empty()) {
      co_await wake_.async_wait(kAwait);
      continue;
    }
    std::vector<asio::const_buffer> buffers;
    std::size_t bytes = 0;
    for (const Outgoing& item : items) {
      buffers.push_back(asio::buffer(item.header));
      buffers.push_back(asio::buffer(item.message));
      bytes += item.bytes();
    }
    auto good = co_await wire_->write(std::move(buffers));
    if (good && items.back().region) good = co_await wire_->write(*items.back().region);
    if (!good) co_return std::move(good).error();
    outbox_->written(bytes);
  }
  co_return ended();
}

void Link::close() {
  closed_ = true;
  outbox_->close();
  wire_->close();
  wake_.cancel();
}

}  // namespace keelson::transport
