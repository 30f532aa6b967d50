// Kills a process in the middle of its commits, again and again, and looks at what it left behind.
//
// The child is this same program, executed afresh (a forked copy of an open RocksDB would hang): it commits groups of
// transactions, and acknowledges each group on a pipe once `commit` has returned. The parent kills it at a random
// moment, opens the store and checks: what was acknowledged is there; the rest is whole or absent; the chain holds.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kill_testing.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

constexpr std::uint64_t kObjects = 40;

struct Committed {
  std::uint64_t last_tid;
  std::uint64_t last_oid;
};

// What a transaction writes follows from its tid, so that the parent knows it too.
std::vector<std::uint64_t> oids_of(std::uint64_t tid) {
  std::mt19937_64 random(tid);
  std::vector<std::uint64_t> oids;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) {
    if (random() % 4 == 0) oids.push_back(oid);
  }
  return oids;
}

std::string content_of(std::uint64_t oid, std::uint64_t tid) {
  return record_of(oid, tid, 50 + 37 * ((oid * tid) % 60));
}

// Every other one says something of itself.
TransactionNote note_of(std::uint64_t tid) {
  if (tid % 2 == 0) return {};
  return {"user " + std::to_string(tid), std::string(tid % 300, 'd'), {{"tid", std::to_string(tid)}}};
}

RocksDbOptions options_of(bool durable) {
  RocksDbOptions options;
  options.durable = durable;
  options.write_buffer_bytes = 256 << 10;  // so that it is killed during flushes and compactions too
  options.max_log_bytes = 512 << 10;
  options.oid_block = 16;
  return options;
}

int run_child(const std::string& path, int pipe, bool durable) {
  RocksDbStore store(path, creating(options_of(durable)));
  std::mt19937_64 random(std::random_device{}());
  for (;;) {
    const std::uint64_t first = store.last_tid().value + 1;
    const std::uint64_t count = 1 + random() % 3;
    std::vector<std::vector<std::string>> records(count);
    std::vector<std::vector<ObjectWrite>> objects(count);
    std::vector<TransactionNote> notes(count);
    std::vector<TransactionWrite> group;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto oids = oids_of(first + i);
      records[i].reserve(oids.size());
      for (std::uint64_t oid : oids)
        objects[i].push_back(put(oid, records[i].emplace_back(content_of(oid, first + i))));
      notes[i] = note_of(first + i);
      group.push_back({Tid{first + i}, objects[i], &notes[i]});
    }
    const OidBlock oids = store.allocate_oids(3);
    store.commit(group);
    const Committed done{store.last_tid().value, oids.first.value + oids.count - 1};
    if (::write(pipe, &done, sizeof done) != sizeof done) return 1;
  }
}

/// Lets a child work for `time` after its first commit, kills it, and returns what it acknowledged last.
Committed kill_after(const KilledProcess& child, std::chrono::microseconds time) {
  Committed last{};
  EXPECT_TRUE(child.read(last)) << "the child did not come to its first commit";
  std::this_thread::sleep_for(time);
  child.kill();
  while (child.read(last)) {
  }
  return last;
}

// The pipe holds 1 MiB: 65,536 acknowledgements, more than a child makes before it is killed.
void crash_again_and_again(bool durable, int rounds) {
  const ScratchDirectory scratch;
  std::mt19937 random(7);
  std::uint64_t total = 0;
  std::uint64_t checked = 0;
  for (int round = 0; round < rounds; ++round) {
    const KilledProcess child(scratch.store(), durable ? '1' : '0');
    const Committed acknowledged = kill_after(child, std::chrono::microseconds(random() % 60'000));
    RocksDbStore store(scratch.store(), options_of(durable));
    const std::uint64_t last = store.last_tid().value;
    ASSERT_GE(last, acknowledged.last_tid);
    ASSERT_LE(last, acknowledged.last_tid + 3) << "at most one group was on its way";
    ASSERT_EQ(store.verify(), last);
    ASSERT_GT(store.allocate_oids(1).first.value, acknowledged.last_oid);
    for (std::uint64_t tid = checked + 1; tid <= last; ++tid) {
      for (std::uint64_t oid : oids_of(tid)) {
        const std::optional<Revision> revision = store.load(Oid{oid}, Tid{tid});
        ASSERT_TRUE(revision) << "oid " << oid << " tid " << tid;
        ASSERT_EQ(revision->begin, Tid{tid}) << oid;
        ASSERT_EQ(revision->record, content_of(oid, tid));
      }
    }
    // The history, from either end: each once, with its note and its objects.
    const std::uint64_t few = std::min<std::uint64_t>(last, 200);
    const auto ascending = store.transactions(Tid{last - few + 1}, kInfinity, HistoryOrder::oldest_first, few + 1);
    auto descending = store.transactions(Tid{last - few + 1}, kInfinity, HistoryOrder::newest_first, few + 1);
    std::ranges::reverse(descending);
    ASSERT_EQ(ascending, descending);
    ASSERT_EQ(ascending.size(), few);
    for (std::uint64_t i = 0; i < few; ++i) {
      const TransactionInfo& info = ascending[i];
      ASSERT_EQ(info.tid, Tid{last - few + 1 + i});
      ASSERT_EQ(info.note, note_of(info.tid.value)) << info.tid;
      ASSERT_TRUE(i == 0 || info.time >= ascending[i - 1].time) << info.tid;
      std::vector<std::uint64_t> oids;
      for (const Oid oid : info.objects) oids.push_back(oid.value);
      ASSERT_EQ(oids, oids_of(info.tid.value)) << info.tid;
    }
    total = last;
    checked = last > 50 ? last - 50 : 0;  // verify() has checked the older ones, by checksum
  }
  std::cout << rounds << " kills, " << total << " transactions\n";
  EXPECT_GT(total, static_cast<std::uint64_t>(rounds));
}

TEST(StoreCrash, DurableCommitsSurviveKill) { crash_again_and_again(true, repetitions(25)); }
TEST(StoreCrash, CommitsThatWereNotSyncedSurviveKillToo) { crash_again_and_again(false, repetitions(15)); }

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  if (cow::testing::is_child(argc, argv)) {
    return cow::testing::run_child(argv[2], std::atoi(argv[3]), argv[4][0] == '1');
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
