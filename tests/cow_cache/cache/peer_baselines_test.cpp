// The caches that the shared one is compared with where other processes commit to the store: private caches, and these over records.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "bench/baselines/peer_two_level.hpp"
#include "persistence/memory_peer.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/peer_testing.hpp"

namespace cow::testing {
namespace {

using namespace std::chrono_literals;

using PrivateDatabase = BasicDatabase<bench::PrivateCache>;
using bench::PeerTwoLevelDatabase;

template <class Database>
class PeerBaselines : public ::testing::Test {
 protected:
  template <class D>
  static Ref<Label> created(D& database, const std::string& text) {
    auto session = open_session(database);
    return session.transact([&](auto& txn) { return txn.create(Label{text}); });
  }
  template <class S>
  static Tid set(S& session, const Ref<Label>& label, const std::string& text) {
    auto txn = session.begin();
    txn.write(label).text = text;
    return txn.commit();
  }

  MemoryStore store_;
  TestPeer here_{store_}, there_{store_};
};

using Baselines = ::testing::Types<PrivateDatabase, PeerTwoLevelDatabase>;
TYPED_TEST_SUITE(PeerBaselines, Baselines);

TYPED_TEST(PeerBaselines, SessionsSeeWhatAnotherProcessCommits) {
  TypeParam a(this->here_), b(this->there_);
  const Oid oid = this->created(a, "0").oid();
  auto first = open_session(b), second = open_session(b), writer = open_session(a);
  ASSERT_TRUE(b.sync(a.last_tid(), 1h));
  const Ref<Label> by_first(oid), by_second(oid), by_writer(oid);
  for (int i = 1; i < 50; ++i) {
    EXPECT_EQ(first.begin().read(by_first).text, std::to_string(i - 1));
    const Tid tid = this->set(writer, by_writer, std::to_string(i));
    ASSERT_TRUE(b.sync(tid, 1h));
    EXPECT_EQ(first.begin().read(by_first).text, std::to_string(i));
    EXPECT_EQ(second.begin().read(by_second).text, std::to_string(i));
    EXPECT_EQ(writer.begin().read(by_writer).text, std::to_string(i));
  }
}

TYPED_TEST(PeerBaselines, ASnapshotStaysWhatItWas) {
  TypeParam a(this->here_), b(this->there_);
  const Oid one = this->created(a, "one").oid(), other = this->created(a, "other").oid();
  ASSERT_TRUE(b.sync(a.last_tid(), 1h));
  auto reader = open_session(b);
  auto writer = open_session(a);
  auto txn = reader.begin();
  EXPECT_EQ(txn.read(Ref<Label>(one)).text, "one");
  (void)this->set(writer, Ref<Label>(one), "changed");
  const Tid tid = this->set(writer, Ref<Label>(other), "changed");
  ASSERT_TRUE(b.sync(tid, 1h));
  EXPECT_EQ(txn.read(Ref<Label>(other)).text, "other") << "it is loaded at the snapshot";
  EXPECT_EQ(txn.read(Ref<Label>(one)).text, "one");
  txn.abort();
  EXPECT_EQ(reader.begin().read(Ref<Label>(other)).text, "changed");
}

TYPED_TEST(PeerBaselines, FirstCommitterWinsAcrossProcesses) {
  TypeParam a(this->here_), b(this->there_);
  const Oid oid = this->created(a, "0").oid();
  ASSERT_TRUE(b.sync(a.last_tid(), 1h));
  auto here = open_session(a), there = open_session(b);
  auto one = here.begin();
  auto other = there.begin();
  one.write(Ref<Label>(oid)).text = "one";
  other.write(Ref<Label>(oid)).text = "other";
  const Tid tid = one.commit();
  EXPECT_THROW(other.commit(), ConflictError);
  ASSERT_TRUE(b.sync(tid, 1h));
  EXPECT_EQ(there.begin().read(Ref<Label>(oid)).text, "one");
}

// Commits that a pack has taken out of the history: nothing that was read before may be used.
TYPED_TEST(PeerBaselines, AJumpOverMissedCommitsForgetsEverything) {
  Database a(this->here_);  // which can pack
  TypeParam b(this->there_);
  const Oid oid = this->created(a, "old").oid();
  ASSERT_TRUE(b.sync(a.last_tid(), 1h));
  auto reader = open_session(b);
  auto writer = open_session(a);
  EXPECT_EQ(reader.begin().read(Ref<Label>(oid)).text, "old");
  this->there_.holds_nothing = true;
  this->there_.make_deaf();
  this->store_.release(&this->there_);  // its lease has ended
  Tid last{};
  for (int i = 0; i < 5; ++i) last = this->set(writer, Ref<Label>(oid), "new " + std::to_string(i));
  ASSERT_EQ(a.pack(kInfinity).oldest, last);
  EXPECT_EQ(reader.begin().read(Ref<Label>(oid)).text, "old") << "the frontier has not moved";
  this->there_.is_deaf = this->there_.holds_nothing = false;
  ASSERT_TRUE(b.sync(last, 1h));
  EXPECT_EQ(b.peer_status().jumps, 1u);
  EXPECT_EQ(reader.begin().read(Ref<Label>(oid)).text, "new 4");
}

// What is moved between labels stays constant in every snapshot of every session.
TYPED_TEST(PeerBaselines, SnapshotsOfAllProcessesAreWhole) {
  constexpr int kAccounts = 20, kTotal = 1'000 * kAccounts;
  TypeParam a(this->here_), b(this->there_);
  std::vector<Oid> accounts;
  {
    auto session = open_session(a);
    session.transact([&](auto& txn) {
      accounts.clear();
      for (int i = 0; i < kAccounts; ++i) accounts.push_back(txn.create(Label{"1000"}).oid());
    });
  }
  ASSERT_TRUE(b.sync(a.last_tid(), 1h));
  std::atomic<std::uint64_t> moved{0}, wrong{0};
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      TypeParam& database = thread % 2 == 0 ? a : b;
      auto session = open_session(database);
      std::mt19937 random(static_cast<unsigned>(thread));
      std::vector<Ref<Label>> labels(accounts.begin(), accounts.end());
      for (int i = 0; i < 400; ++i) {
        session.transact(
            [&](auto& txn) {
              int total = 0;
              for (const Ref<Label>& label : labels) total += std::stoi(txn.read(label).text);
              wrong += total != kTotal;
              Label& from = txn.write(labels[random() % kAccounts]);
              Label& to = txn.write(labels[random() % kAccounts]);
              from.text = std::to_string(std::stoi(from.text) - 1);
              to.text = std::to_string(std::stoi(to.text) + 1);
            },
            RetryPolicy{.most_attempts = 1'000'000});
        ++moved;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(moved, 1'600u);
}

TEST(PeerByteCacheTest, WhatIsReadWhileItIsChangedIsNotKept) {
  MemoryStore store;
  TestPeer peer(store), writer_peer(store);
  Database writer(writer_peer);
  const Ref<Label> label = writer.transact([&](Transaction& txn) { return txn.create(Label{"old"}); });
  bench::PeerByteCacheStore records(peer, 1 << 20);
  const Tid before = writer.last_tid();
  peer.hold_loads(label.oid());
  std::jthread reader([&] { (void)records.load(label.oid(), before); });
  peer.await_held_load();
  Transaction txn = writer.begin();
  txn.write(label).text = "new";
  const Tid tid = txn.commit();
  const Oid changed[] = {label.oid()};
  std::jthread leader([&] { records.supersede(changed, tid); });  // waits for the entry
  peer.let_go();
  reader.join();
  leader.join();
  EXPECT_EQ(records.load(label.oid(), tid)->begin, tid);
  EXPECT_EQ(records.load(label.oid(), before)->begin, before) << "at a snapshot below the store is asked";
}

TEST(PeerByteCacheTest, ASessionDecodesWhatAnotherOneHasLoaded) {
  MemoryStore store;
  TestPeer peer(store);
  PeerTwoLevelDatabase database(peer);
  auto first = open_session(database), second = open_session(database);
  const Oid oid = first.transact([&](auto& txn) { return txn.create(Label{"text"}).oid(); });
  database.evict_all();
  const auto loads = [&] { return database.statistics().loads; };
  const std::uint64_t before = loads();
  EXPECT_EQ(first.begin().read(Ref<Label>(oid)).text, "text");
  EXPECT_EQ(loads(), before + 1);
  EXPECT_EQ(second.begin().read(Ref<Label>(oid)).text, "text");
  EXPECT_EQ(loads(), before + 1);
}

}  // namespace
}  // namespace cow::testing
