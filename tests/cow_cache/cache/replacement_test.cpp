// The replacement policies: what leaves first, what is kept, and what they cost while they decide.
#include "cow_cache/detail/replacement/replacement.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cow {

using cow::detail::Ghosts;
using cow::detail::make_replacement_policy;
using cow::detail::ReplacementPolicy;
using cow::detail::Residency;

namespace {

/// A cache of oids with room for `capacity`, under some policy.
class Simulated {
 public:
  Simulated(Replacement replacement, std::size_t capacity)
      : capacity(capacity), policy(make_replacement_policy(replacement)) {}

  /// True: it was there.
  bool access(Oid oid) {
    if (auto found = read.find(oid); found != read.end()) {
      found->second = true;
      return true;
    }
    if (read.size() == capacity) evict();
    read[oid] = false;
    policy->admit(oid);
    return false;
  }
  Oid evict() {
    std::optional<Oid> victim = policy->victim([&](Oid oid) { return ask(oid); });
    EXPECT_TRUE(victim.has_value());
    EXPECT_EQ(read.erase(victim.value_or(Oid{})), 1u) << "what is evicted was resident";
    return victim.value_or(Oid{});
  }
  Residency ask(Oid oid) {
    ++asked;
    auto found = read.find(oid);
    if (found == read.end()) return Residency::gone;
    return std::exchange(found->second, always_read) ? Residency::read : Residency::unread;
  }
  bool resident(Oid oid) const { return read.contains(oid); }

  const std::size_t capacity;
  std::unique_ptr<ReplacementPolicy> policy;
  std::unordered_map<Oid, bool> read;  // the residents
  bool always_read = false;            // somebody marks objects as fast as the policy clears the marks
  std::size_t asked = 0;
};

class ReplacementTest : public ::testing::TestWithParam<Replacement> {
 protected:
  Simulated cache(std::size_t capacity) const { return Simulated(GetParam(), capacity); }
};

TEST_P(ReplacementTest, WhatWasNotReadLeavesBeforeWhatWas) {
  Simulated cache = this->cache(100);
  for (std::uint64_t i = 1; i <= 100; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 1; i <= 50; ++i) cache.access(Oid{i});
  // Not to the last one: a policy keeps a few places for what is new.
  for (int i = 0; i < 40; ++i) EXPECT_GT(cache.evict(), Oid{50});
}

TEST_P(ReplacementTest, ObjectsLoadedOnceDoNotPushOutWhatIsReadAgainAndAgain) {
  Simulated cache = this->cache(200);
  for (std::uint64_t i = 1; i <= 100; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 1; i <= 100; ++i) cache.access(Oid{i});
  int lost = 0;
  for (std::uint64_t scanned = 1000; scanned < 20'000;) {
    for (int i = 0; i < 50; ++i) cache.access(Oid{scanned++});
    for (std::uint64_t i = 1; i <= 100; ++i) lost += !cache.access(Oid{i});
  }
  EXPECT_EQ(lost, 0);
}

TEST_P(ReplacementTest, EveryResidentObjectLeavesOnceThenNothing) {
  Simulated cache = this->cache(1000);
  std::mt19937_64 random(1);
  for (int i = 0; i < 5000; ++i) cache.access(Oid{1 + random() % 2000});
  for (std::size_t left = cache.read.size(); left > 0; --left) cache.evict();
  EXPECT_EQ(cache.policy->victim([&](Oid oid) { return cache.ask(oid); }), std::nullopt);
}

TEST_P(ReplacementTest, MemoryIsProportionalToWhatIsResident) {
  Simulated cache = this->cache(1000);
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    cache.access(Oid{1 + random() % 5000});
    ASSERT_LE(cache.policy->bytes(), 32 * cache.capacity);
  }
  while (cache.read.size() > 100) cache.evict();
  for (int i = 0; i < 1000; ++i) {
    cache.evict();
    cache.access(Oid{10'000 + random() % 5000});
  }
  EXPECT_LE(cache.policy->bytes(), 32u * 200) << "ghosts of better days";
}

TEST_P(ReplacementTest, EntriesOfObjectsThatAreGoneAreDropped) {
  Simulated cache = this->cache(1000);
  for (std::uint64_t i = 1; i <= 1000; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    if (i % 100 != 0) cache.read.erase(Oid{i});
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(cache.evict().value % 100, 0u);
  EXPECT_EQ(cache.policy->victim([&](Oid oid) { return cache.ask(oid); }), std::nullopt);
  EXPECT_LE(cache.asked, 2000u);
}

// Marks that come back as fast as they are cleared: a call must end, after a bounded number of questions.
TEST_P(ReplacementTest, EvictsInBoundedWorkWhenEverythingIsRead) {
  Simulated cache = this->cache(20'000);
  for (std::uint64_t i = 1; i <= cache.capacity; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 1; i <= cache.capacity; ++i) cache.access(Oid{i});
  cache.always_read = true;
  for (int i = 0; i < 1000; ++i) {
    cache.asked = 0;
    cache.evict();
    ASSERT_LE(cache.asked, 2u * ReplacementPolicy::kMaxSecondChances + 1);
  }
}

TEST_P(ReplacementTest, ClearForgetsEverything) {
  Simulated cache = this->cache(100);
  for (std::uint64_t i = 1; i <= 1000; ++i) cache.access(Oid{i});
  cache.policy->clear();
  EXPECT_EQ(cache.policy->bytes(), 0u);
  EXPECT_EQ(cache.policy->victim([&](Oid oid) { return cache.ask(oid); }), std::nullopt);
  Oid oid = cache.read.begin()->first;
  cache.policy->admit(oid);
  EXPECT_EQ(cache.evict(), oid);
}

std::string name_of(const ::testing::TestParamInfo<Replacement>& info) {
  constexpr const char* kNames[] = {"Adaptive", "Clock", "S3Fifo", "Sieve"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Policies, ReplacementTest,
                         ::testing::Values(Replacement::adaptive, Replacement::clock, Replacement::s3_fifo,
                                           Replacement::sieve),
                         name_of);

class GhostlyReplacementTest : public ReplacementTest {};

TEST_P(GhostlyReplacementTest, WhatComesBackSoonOutlivesWhatIsNew) {
  Simulated cache = this->cache(100);
  for (std::uint64_t i = 1; i <= 101; ++i) cache.access(Oid{i});
  ASSERT_FALSE(cache.resident(Oid{1}));
  cache.access(Oid{1});
  for (std::uint64_t i = 1000; i < 1300; ++i) cache.access(Oid{i});
  EXPECT_TRUE(cache.resident(Oid{1}));
  EXPECT_FALSE(cache.resident(Oid{101}));
}

INSTANTIATE_TEST_SUITE_P(Policies, GhostlyReplacementTest,
                         ::testing::Values(Replacement::adaptive, Replacement::s3_fifo), name_of);

// What is read right after it was loaded, and never again, is no better than what was not read at all.
TEST(AdaptivePolicyTest, ReadsRightAfterTheLoadDoNotPromote) {
  Simulated cache(Replacement::adaptive, 1000);
  for (std::uint64_t i = 1; i <= 1000; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 1; i <= 200; ++i) cache.access(Oid{i});
  for (std::uint64_t i = 2000; i < 10'000; ++i) {
    for (int read = 0; read < 3; ++read) cache.access(Oid{i});
  }
  int kept = 0;
  for (std::uint64_t i = 1; i <= 200; ++i) kept += cache.resident(Oid{i});
  EXPECT_EQ(kept, 200);
}

/// The algorithm as published: one list, a hand in it.
class PublishedSieve {
 public:
  explicit PublishedSieve(std::size_t capacity) : capacity_(capacity) {}
  bool access(std::uint64_t key) {
    if (auto found = place_.find(key); found != place_.end()) return found->second->second = true;
    if (place_.size() == capacity_) evict();
    list_.emplace_front(key, false);
    place_[key] = list_.begin();
    return false;
  }

 private:
  void evict() {
    if (hand_ == list_.end()) hand_ = std::prev(list_.end());
    while (hand_->second) {
      hand_->second = false;
      hand_ = hand_ == list_.begin() ? std::prev(list_.end()) : std::prev(hand_);
    }
    auto victim = hand_;
    hand_ = victim == list_.begin() ? list_.end() : std::prev(victim);
    place_.erase(victim->first);
    list_.erase(victim);
  }

  std::size_t capacity_;
  std::list<std::pair<std::uint64_t, bool>> list_;  // newest first
  std::list<std::pair<std::uint64_t, bool>>::iterator hand_ = list_.end();
  std::unordered_map<std::uint64_t, decltype(hand_)> place_;
};

TEST(SievePolicyTest, TwoQueuesMissExactlyWhatTheListMisses) {
  constexpr std::size_t kCapacity = 200;  // fewer than second chances, which the published algorithm does not limit
  Simulated cache(Replacement::sieve, kCapacity);
  PublishedSieve published(kCapacity);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    std::uint64_t key = 1 + random() % 30 * (random() % 30);
    ASSERT_EQ(cache.access(Oid{key}), published.access(key)) << "access " << i;
  }
}

TEST(GhostsTest, RemembersTheLatestOnly) {
  Ghosts ghosts;
  EXPECT_FALSE(ghosts.take(Oid{1}));
  for (std::uint64_t i = 1; i <= 10'000; ++i) ghosts.add(Oid{i}, 1000);
  EXPECT_LE(ghosts.size(), 1000u);
  for (std::uint64_t i = 1; i <= 9000; ++i) ASSERT_FALSE(ghosts.take(Oid{i})) << i;
  int remembered = 0;
  for (std::uint64_t i = 9001; i <= 10'000; ++i) remembered += ghosts.take(Oid{i});
  EXPECT_GE(remembered, 950) << "buckets lose few";
  for (std::uint64_t i = 9001; i <= 10'000; ++i) ASSERT_FALSE(ghosts.take(Oid{i})) << "taken before";
  EXPECT_EQ(ghosts.size(), 0u);
}

TEST(GhostsTest, GrowsAndShrinksWithItsLimitAndKeepsWhatItMay) {
  Ghosts ghosts;
  for (std::uint64_t i = 1; i <= 10'000; ++i) ghosts.add(Oid{i}, i);
  int remembered = 0;
  for (std::uint64_t i = 1; i <= 10'000; i += 2) remembered += ghosts.take(Oid{i});
  EXPECT_GE(remembered, 4750);
  ghosts.add(Oid{20'000}, 10);
  EXPECT_LE(ghosts.bytes(), 512u);
  EXPECT_TRUE(ghosts.take(Oid{20'000}));
  EXPECT_TRUE(ghosts.take(Oid{10'000}));
  EXPECT_FALSE(ghosts.take(Oid{9000}));
}

}  // namespace
}  // namespace cow
