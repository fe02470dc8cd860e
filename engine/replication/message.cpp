#include "engine/replication/message.h"

#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/base/coding.h"

namespace keelson::replication {

namespace {

/// Of a tail in one message; a replica has one epoch for each change of leadership since what it
/// knows to be committed.
constexpr std::uint32_t kEpochsMax = 1u << 16;

// Each message is the number of its alternative and then its fields, in the order of these.

auto fields(auto& m, std::type_identity<Probe>) { return std::tie(m.round); }
auto fields(auto& m, std::type_identity<ProbeAnswer>) {
  return std::tie(m.round, m.durable, m.hears_leader);
}
auto fields(auto& m, std::type_identity<Fence>) { return std::tie(m.epoch); }
auto fields(auto& m, std::type_identity<Promised>) { return std::tie(m.epoch, m.durable); }
auto fields(auto& m, std::type_identity<Refused>) { return std::tie(m.epoch); }
auto fields(auto& m, std::type_identity<Pull>) { return std::tie(m.epoch, m.number, m.tail); }
auto fields(auto& m, std::type_identity<Pulled>) {
  return std::tie(m.epoch, m.number, m.common, m.end, m.durable, m.batches);
}
auto fields(auto& m, std::type_identity<Follow>) { return std::tie(m.epoch, m.number, m.tail); }
auto fields(auto& m, std::type_identity<Matched>) { return std::tie(m.epoch, m.number, m.common); }
auto fields(auto& m, std::type_identity<Append>) {
  return std::tie(m.epoch, m.round, m.commit, m.started, m.first, m.end, m.batches);
}
auto fields(auto& m, std::type_identity<Ack>) { return std::tie(m.epoch, m.round, m.durable); }
auto fields(auto& m, std::type_identity<Succeed>) { return std::tie(m.epoch); }
auto fields(auto& m, std::type_identity<Behind>) { return std::tie(m.epoch, m.number, m.start); }
auto fields(auto& m, std::type_identity<Fetch>) {
  return std::tie(m.epoch, m.number, m.segment, m.position);
}
auto fields(auto& m, std::type_identity<Fetched>) {
  return std::tie(m.epoch, m.number, m.segment, m.position, m.file_bytes, m.bytes);
}
auto fields(auto& m, std::type_identity<Begin>) {
  return std::tie(m.epoch, m.number, m.segment, m.header);
}

class Encoder {
 public:
  explicit Encoder(std::string& to) : to_(to) {}

  void operator()(std::uint64_t number) { append(to_, number); }
  void operator()(bool flag) { append(to_, static_cast<std::uint8_t>(flag)); }
  template <class Tag>
  void operator()(StrongNumber<Tag, std::uint64_t> number) {
    append(to_, number.value);
  }
  void operator()(const LogEnd& end) {
    (*this)(end.epoch);
    (*this)(end.end);
  }
  void operator()(const LogTail& tail) {
    (*this)(tail.from);
    (*this)(tail.epoch_before);
    (*this)(tail.end);
    append(to_, static_cast<std::uint32_t>(tail.epochs.size()));
    for (const EpochStart& start : tail.epochs) {
      (*this)(start.epoch);
      (*this)(start.first);
    }
  }
  void operator()(const std::string& bytes) {
    append(to_, static_cast<std::uint32_t>(bytes.size()));
    to_ += bytes;
  }

 private:
  std::string& to_;
};

/// Once something is missing or wrong, what is read is of no use.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : left_(bytes) {}

  /// Nothing was wrong, and nothing is left.
  [[nodiscard]] bool done() const { return good_ && left_.empty(); }

  void operator()(std::uint64_t& number) { number = take<std::uint64_t>(); }
  void operator()(bool& flag) {
    const auto byte = take<std::uint8_t>();
    good_ = good_ && byte <= 1;
    flag = byte == 1;
  }
  template <class Tag>
  void operator()(StrongNumber<Tag, std::uint64_t>& number) {
    number.value = take<std::uint64_t>();
  }
  void operator()(LogEnd& end) {
    (*this)(end.epoch);
    (*this)(end.end);
  }
  void operator()(LogTail& tail) {
    (*this)(tail.from);
    (*this)(tail.epoch_before);
    (*this)(tail.end);
    const auto count = take<std::uint32_t>();
    good_ = good_ && count <= kEpochsMax && tail.from <= tail.end;
    BatchNo first = tail.from;
    Epoch before;
    for (std::uint32_t i = 0; good_ && i < count; ++i) {
      EpochStart start;
      (*this)(start.epoch);
      (*this)(start.first);
      // In order, from the beginning, none of them empty.
      const bool follows = i == 0 ? start.first == first : start.first > first;
      good_ = good_ && follows && start.first < tail.end && start.epoch > before &&
              start.epoch >= tail.epoch_before;
      first = start.first;
      before = start.epoch;
      tail.epochs.push_back(start);
    }
    good_ = good_ && (tail.from == tail.end) == tail.epochs.empty();
  }
  void operator()(std::string& bytes) {
    const auto length = take<std::uint32_t>();
    if (!good_ || length > left_.size()) {
      good_ = false;
      return;
    }
    bytes = left_.substr(0, length);
    left_.remove_prefix(length);
  }

  template <class Number>
  [[nodiscard]] Number take() {
    if (!good_ || left_.size() < sizeof(Number)) {
      good_ = false;
      return 0;
    }
    const auto number = get<Number>(left_, 0);
    left_.remove_prefix(sizeof(Number));
    return number;
  }

 private:
  std::string_view left_;
  bool good_ = true;
};

/// Reads the alternative that `kind` numbers; nothing when there is none.
template <std::size_t Index = 0>
std::optional<Message> decode_alternative(std::size_t kind, Decoder& decoder) {
  if constexpr (Index < std::variant_size_v<Message>) {
    if (kind != Index) return decode_alternative<Index + 1>(kind, decoder);
    using Content = std::variant_alternative_t<Index, Message>;
    Content content;
    std::apply([&](auto&... field) { (decoder(field), ...); },
               fields(content, std::type_identity<Content>{}));
    return content;
  }
  return std::nullopt;
}

}  // namespace

std::string encode_message(const Message& message) {
  std::string bytes;
  append(bytes, static_cast<std::uint8_t>(message.index()));
  std::visit(
      [&]<class Content>(const Content& content) {
        Encoder encoder(bytes);
        std::apply([&](const auto&... field) { (encoder(field), ...); },
                   fields(content, std::type_identity<Content>{}));
      },
      message);
  return bytes;
}

Result<Message> decode_message(std::string_view bytes) {
  Decoder decoder(bytes);
  const auto kind = decoder.take<std::uint8_t>();
  auto message = decode_alternative(kind, decoder);
  if (!message || !decoder.done()) {
    return fail(Errc::corruption, "a message of kind " + std::to_string(kind) + ", " +
                                      std::to_string(bytes.size()) + " bytes long, is malformed");
  }
  return *std::move(message);
}

}  // namespace keelson::replication
