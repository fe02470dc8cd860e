#include "aggregates/state_cache.h"

#include <doctest/doctest.h>

#include "aggregates/registry.h"
#include "tests/aggregates/wallet.h"

namespace keelson::test {

namespace {

Folded at(Version version) {
  AggregateRegistry registry;
  registry.add<Wallet>();
  return {registry.find("wallet")->initial(), version, Offset(0)};
}

}  // namespace

TEST_CASE("state cache: keeps what was used last, within its bytes") {
  StateCache measuring(UINT64_MAX);
  measuring.put("a", at(Version(1)));
  const std::uint64_t one = measuring.bytes();
  CHECK(one > sizeof(Wallet::State));

  StateCache cache(3 * one);
  for (const auto* stream : {"a", "b", "c"}) cache.put(stream, at(Version(1)));
  CHECK(cache.size() == 3);
  auto a = cache.take("a");  // used again: now the youngest
  REQUIRE(a.has_value());
  CHECK_FALSE(cache.take("a").has_value());
  a->version = Version(2);
  cache.put("a", *std::move(a));
  cache.put("d", at(Version(1)));
  CHECK(cache.bytes() == 3 * one);
  CHECK_FALSE(cache.take("b").has_value());
  CHECK(cache.take("a").value().version == Version(2));
  CHECK(cache.take("c").has_value());

  cache.clear();
  CHECK(cache.bytes() == 0);
  CHECK_FALSE(cache.take("d").has_value());
}

TEST_CASE("state cache: a state larger than the whole cache is not kept") {
  StateCache cache(10);
  cache.put("a", at(Version(1)));
  CHECK(cache.size() == 0);
  CHECK(cache.bytes() == 0);
}

}  // namespace keelson::test
