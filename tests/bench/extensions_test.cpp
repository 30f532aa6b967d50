// The examples of the guide's pages "in 60 lines", where the suites for all of their kind (reclamation_schemes, store_conformance,
// simulator) do not look: what a store of one's own promises across crashes, and where a policy differs from the others.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/extensions/log_store.hpp"
#include "bench/extensions/segmented_policy.hpp"
#include "bench/simulator/further_policies.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

using bench::LogStore;

class LogStoreTest : public ::testing::Test {
 protected:
  std::string content() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void replace_content(std::string_view bytes) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << bytes;
  }
  std::filesystem::path path() const { return directory_.store(); }

 private:
  ScratchDirectory directory_;
};

TEST_F(LogStoreTest, WhatWasCommittedIsThereWhenItIsOpenedAgain) {
  OidBlock first;
  {
    LogStore store(path());
    first = store.allocate_oids(3);
    commit(store, 10, {put(2, "a"), put(3, "b")});
    commit(store, 20, {put(2, "c"), erase(3)});
  }
  LogStore store(path());
  EXPECT_EQ(store.last_tid(), Tid{20});
  EXPECT_EQ(store.load(Oid{2}, Tid{19})->record, "a");
  EXPECT_EQ(store.load(Oid{2}, kInfinity)->record, "c");
  EXPECT_TRUE(store.load(Oid{3}, kInfinity)->erased);
  EXPECT_GE(store.allocate_oids(1).first.value, first.first.value + first.count);
}

// A crash may leave any part of what was being written.
TEST_F(LogStoreTest, CutAnywhereItHasAllGroupsBeforeTheCutAndGoesOn) {
  std::vector<std::size_t> ends;
  {
    LogStore store(path());
    for (std::uint64_t tid = 1; tid <= 4; ++tid) {
      const std::string first = record_of(2, tid, 20), second = record_of(3, tid, 20);
      const std::vector<ObjectWrite> one{put(2, first)}, other{put(3, second)};
      const std::vector<TransactionWrite> group{{Tid{2 * tid}, one}, {Tid{2 * tid + 1}, other}};
      store.commit(group);
      ends.push_back(content().size());
    }
  }
  const std::string whole = content();
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    replace_content(whole.substr(0, cut));
    const auto groups = static_cast<std::uint64_t>(std::upper_bound(ends.begin(), ends.end(), cut) - ends.begin());
    {
      LogStore store(path());
      ASSERT_EQ(store.last_tid(), groups == 0 ? Tid{0} : Tid{2 * groups + 1}) << "cut at " << cut;
      for (std::uint64_t oid : {2, 3}) {
        const std::optional<Revision> found = store.load(Oid{oid}, kInfinity);
        ASSERT_EQ(found ? found->record : "", groups == 0 ? "" : record_of(oid, groups, 20)) << "cut at " << cut;
      }
      commit(store, 100, {put(4, "later")});
    }
    LogStore store(path());
    ASSERT_EQ(store.load(Oid{4}, kInfinity)->record, "later") << "cut at " << cut;
    ASSERT_EQ(store.last_tid(), Tid{100});
  }
}

TEST_F(LogStoreTest, AnyDamagedByteIsNoticed) {
  {
    LogStore store(path());
    commit(store, 1, {put(2, "first")});
    commit(store, 2, {put(2, "second")});
  }
  const std::string whole = content();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    replace_content(damaged);
    try {
      LogStore store(path());
      ASSERT_LT(store.last_tid(), Tid{2}) << "byte " << at;
    } catch (const StoreFormatError&) {
      ASSERT_LT(at, 8u) << "the name of the format";
    }
  }
}

TEST_F(LogStoreTest, FilesThatAreSomebodyElsesAreRefusedAndLeftAlone) {
  for (const std::string other : {"#!/bin/sh\necho a script\n", "x"}) {
    replace_content(other);
    EXPECT_THROW(LogStore store(path()), StoreFormatError);
    EXPECT_EQ(content(), other);
  }
  EXPECT_THROW(LogStore store(path() / "below a file"), StoreError);
}

TEST_F(LogStoreTest, OnlyOneHasItOpen) {
  LogStore store(path());
  EXPECT_THROW(LogStore other(path()), StoreLockedError);
}

TEST_F(LogStoreTest, AfterAWriteThatFailedItRefusesAndKeepsWhatItHad) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  {
    LogStore store(path());
    commit(store, 1, {put(2, "kept")});
    const rlimit little{content().size() + 10, usual.rlim_max};
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &little), 0);
    EXPECT_THROW(commit(store, 2, {put(2, "does not fit")}), OutcomeUnknownError);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
    std::signal(SIGXFSZ, handler);
    EXPECT_THROW(commit(store, 2, {put(2, "would fit")}), StoreReadOnlyError);
    EXPECT_EQ(store.load(Oid{2}, kInfinity)->record, "kept");
  }
  LogStore store(path());
  EXPECT_EQ(store.last_tid(), Tid{1});
  commit(store, 2, {put(2, "fits")});
}

TEST(SegmentedPolicyTest, AScanLeavesProtectedObjectsAlone) {
  using detail::Residency;
  bench::SegmentedPolicy policy;
  for (std::uint64_t oid = 1; oid <= 8; ++oid) policy.admit(Oid{oid});
  bool read = true;  // all of them, once
  const auto ask = [&](Oid oid) { return read && oid.value <= 8 ? Residency::read : Residency::unread; };
  for (std::uint64_t oid = 9; oid <= 12; ++oid) policy.admit(Oid{oid});
  EXPECT_EQ(policy.victim(ask), Oid{9});  // the others were read
  read = false;
  // 8 are protected, 3 on probation; a scan brings one and takes one.
  for (std::uint64_t oid = 13; oid <= 100; ++oid) {
    policy.admit(Oid{oid});
    const std::optional<Oid> left = policy.victim(ask);
    ASSERT_TRUE(left && left->value > 8) << oid;
  }
}

TEST(SegmentedPolicyTest, MissesLessThanLruWhereScansPassBy) {
  const bench::Accesses accesses = bench::number_units(
      bench::zipf_keys({.objects = 1000, .accesses = 50'000, .scan_every = 5000, .scan_objects = 200}));
  EXPECT_LT(bench::count_misses_of<bench::SegmentedPolicy>(accesses, 100), bench::count_lru_misses(accesses, 100));
}

}  // namespace
}  // namespace cow::testing
