// The coordinator in front of a real etcd.
#include "http/etcd/etcd_coordinator.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/http/coordinator_calls.h"
#include "tests/support/etcd.h"

using namespace keelson;
using namespace keelson::http;
using namespace keelson::replication;
using namespace std::chrono_literals;
using test::await_etcd;
using test::get;
using test::Seen;
using test::swap;

TEST_CASE("etcd endpoints: addresses with ports, and nothing else") {
  CHECK_FALSE(EtcdCoordinator::open({""}));
  CHECK_FALSE(EtcdCoordinator::open({"127.0.0.1:2379"}));
  CHECK_FALSE(EtcdCoordinator::open({"http://127.0.0.1"}));
  CHECK_FALSE(EtcdCoordinator::open({"http://127.0.0.1:2379,"}));
  CHECK_FALSE(EtcdCoordinator::open({"http://:2379"}));
  CHECK_FALSE(EtcdCoordinator::open({"http://127.0.0.1:2379,https://etcd-2:2379"}));
  CHECK_FALSE(EtcdCoordinator::open({"https://etcd-1/:2379"}));
  CHECK(EtcdCoordinator::open({"http://127.0.0.1:2379,http://etcd-2:2379"}));
  const auto six = parse_etcd_endpoints("https://[::1]:2379").value().front();
  CHECK(six.address.host == "::1");
  CHECK(six.authority() == "[::1]:2379");
  CHECK(six.tls);
}

TEST_CASE("etcd coordinator: of two swaps at one revision, one wins and the other sees it") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  CHECK(get(*coordinator, "p/0").value() == std::nullopt);
  const std::string value("all bytes\0\xff", 11);
  const auto made = swap(*coordinator, "p/0", std::nullopt, value).value();
  REQUIRE(made.swapped);
  const auto late = swap(*coordinator, "p/0", std::nullopt, "b").value();
  CHECK_FALSE(late.swapped);
  REQUIRE(late.current);
  CHECK(late.current->value == value);
  CHECK(late.current->revision == made.current->revision);
  CHECK(swap(*coordinator, "p/0", made.current, "c").value().swapped);
  CHECK_FALSE(swap(*coordinator, "p/0", made.current, "d").value().swapped);
  CHECK(get(*coordinator, "p/0").value()->value == "c");
}

TEST_CASE("etcd coordinator: a swap of before its data was lost does not find what is there now") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  const auto before = swap(*coordinator, "p/0", std::nullopt, "a").value().current;
  REQUIRE(before);
  etcd.wipe();
  etcd.start();
  await_etcd(*coordinator);
  const auto anew = swap(*coordinator, "p/0", std::nullopt, "b").value().current;
  REQUIRE(anew);
  REQUIRE(anew->revision == before->revision);
  const auto late = swap(*coordinator, "p/0", before, "c").value();
  CHECK_FALSE(late.swapped);
  CHECK(late.current == anew);
  CHECK(get(*coordinator, "p/0").value() == anew);
  // It does find one that is the same.
  CHECK(swap(*coordinator, "p/0", anew, "d").value().swapped);
}

TEST_CASE("etcd coordinator: a watch tells each change that comes after what was there") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  auto last = swap(*coordinator, "w/0", std::nullopt, "0").value().current;
  Seen seen;
  const auto watch = coordinator->watch("w/", seen.listener());
  CHECK(seen.becomes({{"w/0", "0"}}));
  for (const char* const value : {"1", "2", "3", "4"}) {
    last = swap(*coordinator, "w/0", last, value).value().current;
  }
  CHECK(seen.becomes({{"w/0", "4"}}));
  CHECK(seen.all() == std::vector<std::string>{"w/0=0", "w/0=1", "w/0=2", "w/0=3", "w/0=4"});
}

TEST_CASE("etcd coordinator: a watch goes on after etcd was away") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  const auto first = swap(*coordinator, "w/0", std::nullopt, "a").value();
  Seen seen;
  auto watch = coordinator->watch("w/", seen.listener());
  CHECK(seen.becomes({{"w/0", "a"}}));
  REQUIRE(swap(*coordinator, "w/1", std::nullopt, "b").value().swapped);
  REQUIRE(swap(*coordinator, "x/0", std::nullopt, "x").value().swapped);
  CHECK(seen.becomes({{"w/0", "a"}, {"w/1", "b"}}));
  etcd.stop();
  const auto away = swap(*coordinator, "w/0", first.current, "c");
  REQUIRE_FALSE(away);
  CHECK(away.error().code == Errc::io_error);  // nobody was there to take it
  etcd.start();
  await_etcd(*coordinator);
  REQUIRE(swap(*coordinator, "w/0", first.current, "c").value().swapped);
  CHECK(seen.becomes({{"w/0", "c"}, {"w/1", "b"}}));
  watch.reset();
}

TEST_CASE("etcd coordinator: a watch tells that etcd has lost its data, and not that it was away") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  const auto presence = coordinator->appear("w/1", "here", 2s);
  Seen seen;
  const auto watch = coordinator->watch("w/", seen.listener());
  CHECK(seen.becomes({{"w/1", "here"}}));
  REQUIRE(swap(*coordinator, "w/0", std::nullopt, "a").value().swapped);
  CHECK(seen.becomes({{"w/0", "a"}, {"w/1", "here"}}));
  etcd.stop();
  etcd.start();
  await_etcd(*coordinator);
  REQUIRE(swap(*coordinator, "w/2", std::nullopt, "b").value().swapped);
  CHECK(seen.becomes({{"w/0", "a"}, {"w/1", "here"}, {"w/2", "b"}}));
  CHECK(seen.life() == 0);
  etcd.wipe();
  etcd.start();
  CHECK(seen.becomes({{"w/1", "here"}}));  // at a revision that was there before
  CHECK(seen.life() == 1);
  REQUIRE(swap(*coordinator, "w/0", std::nullopt, "c").value().swapped);
  CHECK(seen.becomes({{"w/0", "c"}, {"w/1", "here"}}));
  CHECK(seen.life() == 1);
}

TEST_CASE("etcd coordinator: who is present is seen, and who has left is not") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  Seen seen;
  const auto watch = coordinator->watch("n/", seen.listener());
  auto one = coordinator->appear("n/1", "here", 1s);
  CHECK(seen.becomes({{"n/1", "here"}}));
  {
    // A process that ends without a word.
    auto other = EtcdCoordinator::open({etcd.url()}).value();
    const auto two = other->appear("n/2", "there", 1s);
    CHECK(seen.becomes({{"n/1", "here"}, {"n/2", "there"}}));
    other.reset();
  }
  CHECK(seen.becomes({{"n/1", "here"}}));
  one.reset();
  CHECK(seen.becomes({}));
}

TEST_CASE("etcd coordinator: who leaves is gone when the coordinator is, and not later") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  auto other = EtcdCoordinator::open({etcd.url()}).value();
  auto presence = other->appear("n/2", "there", 600s);
  Seen seen;
  const auto watch = coordinator->watch("n/", seen.listener());
  CHECK(seen.becomes({{"n/2", "there"}}));
  SUBCASE("etcd is there") {
    presence.reset();
    other.reset();
    const auto gone = get(*coordinator, "n/2");
    REQUIRE(gone);
    CHECK_FALSE(*gone);
  }
  SUBCASE("etcd is away") {
    etcd.stop();
    presence.reset();
    other.reset();  // does not wait for it
  }
}

TEST_CASE("etcd coordinator: somebody else's presence is waited for, unless it may be replaced") {
  test::Etcd etcd;
  const auto coordinator = EtcdCoordinator::open({etcd.url()}).value();
  await_etcd(*coordinator);
  Seen seen;
  const auto watch = coordinator->watch("n/", seen.listener());
  auto one = coordinator->appear("n/1", "one", 2s);
  CHECK(seen.becomes({{"n/1", "one"}}));
  auto two = coordinator->appear("n/1", "two", 2s);
  const auto bystander = coordinator->appear("n/2", "x", 2s);
  CHECK(seen.becomes({{"n/1", "one"}, {"n/2", "x"}}));
  one.reset();
  CHECK(seen.becomes({{"n/1", "two"}, {"n/2", "x"}}));
  // One that is known to be gone, though it seems not to be.
  const auto there = get(*coordinator, "n/1");
  REQUIRE((there && *there));
  // Not what was at that revision before etcd lost its data.
  const auto four = coordinator->appear("n/1", "four", 2s, Record{"one", (*there)->revision});
  const auto other = coordinator->appear("n/3", "y", 2s);
  CHECK(seen.becomes({{"n/1", "two"}, {"n/2", "x"}, {"n/3", "y"}}));
  const auto three = coordinator->appear("n/1", "three", 2s, *there);
  CHECK(seen.becomes({{"n/1", "three"}, {"n/2", "x"}, {"n/3", "y"}}));
  // Its end, and that of its lease, does not take away the record of the other.
  two.reset();
  std::this_thread::sleep_for(3s);
  const auto still = get(*coordinator, "n/1");
  REQUIRE((still && *still));
  CHECK((*still)->value == "three");
}
