#include "engine/transport/outbox.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

using namespace keelson;
using namespace keelson::transport;

namespace {

constexpr std::size_t kItems = 32;
constexpr std::size_t kBytes = 1u << 20;
constexpr std::size_t kLarge = 256u << 10;

Outgoing item(std::uint64_t flow, const std::string& name, std::size_t bytes = 0) {
  Outgoing made;
  made.flow = Flow(flow);
  made.message = name + std::string(bytes, ' ');
  return made;
}

void push(Outbox& outbox, Outgoing item) { REQUIRE(outbox.push(std::move(item)).has_value()); }

std::string name_of(const Outgoing& item) { return item.message.substr(0, item.message.find(' ')); }

/// One write's worth.
std::string take(Outbox& outbox) {
  std::string names;
  std::size_t bytes = 0;
  for (const Outgoing& item : outbox.take(kItems, kBytes)) {
    names += (names.empty() ? "" : " ") + name_of(item);
    bytes += item.bytes();
  }
  outbox.written(bytes);
  return names;
}

}  // namespace

TEST_CASE("outbox: small items of other flows go before large ones, those of a flow in order") {
  Outbox outbox(0, 64u << 20);
  for (int i = 0; i < 3; ++i) push(outbox, item(1, "a" + std::to_string(i), kLarge));
  push(outbox, item(1, "a-small"));
  push(outbox, item(2, "b0"));
  push(outbox, item(3, "c0"));
  push(outbox, item(2, "b1"));
  CHECK(take(outbox) == "b0 c0 b1 a0");
  // What comes meanwhile does not wait for the rest.
  push(outbox, item(2, "b2"));
  CHECK(take(outbox) == "b2 a1");
  CHECK(take(outbox) == "a2");
  CHECK(take(outbox) == "a-small");
  CHECK(take(outbox).empty());
  CHECK(outbox.bytes() == 0);
}

TEST_CASE("outbox: large items have their turns, however many small ones there are") {
  Outbox outbox(0, 64u << 20);
  push(outbox, item(1, "a0", kLarge));
  push(outbox, item(2, "b0", kLarge));
  push(outbox, item(1, "a1", kLarge));
  std::string order;
  int small = 0;
  for (int round = 0; round < 1000 && order != "a0b0a1"; ++round) {
    // As quickly as they can go.
    while (small < 4000) push(outbox, item(3, "small" + std::to_string(small++), 1000));
    small -= kItems;
    for (const Outgoing& taken : outbox.take(kItems, kBytes)) {
      if (taken.flow != Flow(3)) order += name_of(taken);
      outbox.written(taken.bytes());
    }
  }
  CHECK(order == "a0b0a1");
}

TEST_CASE("outbox: where large items are refused there is room for small ones") {
  Outbox outbox(0, 1u << 20);
  for (int i = 0; i < 3; ++i) push(outbox, item(1, "a", kLarge));
  CHECK(outbox.push(item(1, "a", kLarge)).error().code == Errc::overloaded);
  std::size_t small = 0;
  while (outbox.push(item(2, "b", 16u << 10))) ++small;
  // Up to the limit, and an eighth above.
  CHECK(outbox.bytes() > (1u << 20));
  CHECK(outbox.bytes() <= (1u << 20) + (1u << 17));
  CHECK(small > 10);
}

TEST_CASE("outbox: nothing follows a region in one write, and nothing is taken once it is closed") {
  Outbox outbox(0, 64u << 20);
  Outgoing region = item(1, "region");
  region.region = replication::FileRegion{};
  push(outbox, std::move(region));
  push(outbox, item(1, "after"));
  push(outbox, item(2, "b"));
  CHECK(take(outbox) == "b region");
  push(outbox, item(2, "c"));
  outbox.close();
  CHECK(outbox.take(kItems, kBytes).empty());
  CHECK(outbox.push(item(1, "late")).error().code == Errc::closed);
}
