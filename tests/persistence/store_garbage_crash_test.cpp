// Kills a process in the middle of packs that collect garbage, again and again, and looks at what it left behind.
//
// The child puts a node in front of a list with each commit, and now and then begins a new list: what the old one has is garbage once no
// snapshot that is kept sees it. Another thread packs and collects. The parent kills it at a random moment and opens the store: it verifies,
// with no reference that leads nowhere; every snapshot that can be read has its whole list; and after a pack to the end, garbage is gone.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>

#include "cow_cache/cow_cache.hpp"
#include "kill_testing.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

constexpr std::uint64_t kLongest = 12;  // nodes of a list
constexpr std::uint64_t kKept = 20;     // transactions that a pack leaves

struct Node {
  static constexpr std::string_view cow_type_name = "test.Node";
  std::uint64_t number = 0;
  Ref<Node> next;
  std::string padding;
  MSGPACK_DEFINE_MAP(number, next, padding);
};

RocksDbOptions options_of(bool durable) {
  RocksDbOptions options;
  options.durable = durable;
  options.write_buffer_bytes = 64 << 10;  // so that it is killed during flushes and compactions, too
  options.max_log_bytes = 128 << 10;
  return options;
}

/// Puts a node in front of the list; the tid.
std::uint64_t add_node(Database& db) {
  Transaction txn = db.begin();
  Node node;
  if (txn.root().contains("head")) {
    const Ref<Node> head = txn.root().get<Node>("head");
    node.number = txn.read(head).number + 1;
    if (node.number % kLongest != 0) node.next = head;
  }
  node.padding.assign(200 + node.number % 7 * 100, 'x');
  txn.root().set("head", txn.create(std::move(node)));
  return txn.commit().value;
}

int run_child(const std::string& path, int pipe, bool durable) {
  RocksDbStore store(path, creating(options_of(durable)));
  Database db(store);
  std::thread packs([&] {
    for (;;) {
      const std::uint64_t last = db.last_tid().value;
      if (last <= kKept + store.oldest_tid().value) continue;
      tell(pipe, Acknowledgement::kPackBegins, last - kKept);
      PackOptions options;
      options.collect_garbage = true;
      const PackResult result = db.pack(Tid{last - kKept}, options);
      if (!result.complete && !result.outrun) ::_exit(2);
      tell(pipe, Acknowledgement::kPacked, result.oldest.value);
    }
  });
  for (;;) tell(pipe, Acknowledgement::kCommitted, add_node(db));
}

/// The list as of a tid is whole: it ends where a new one was begun.
void expect_whole(Database& db, Tid at) {
  auto txn = db.begin_at(at);
  if (!txn.root().contains("head")) return;  // before the first node
  Ref<Node> node = txn.root().template get<Node>("head");
  for (std::uint64_t expected = txn.read(node).number;; --expected) {
    const Node& found = txn.read(node);
    ASSERT_EQ(found.number, expected) << "at " << at;
    ASSERT_EQ(!found.next, expected % kLongest == 0) << "at " << at;
    if (!found.next) return;
    node = found.next;
  }
}

void expect_all_whole(RocksDbStore& store, const std::string& when) {
  SCOPED_TRACE(when);
  const VerifyReport report = store.verify(VerifyOptions());
  ASSERT_TRUE(report.sound()) << report.faults.front().oid << " of " << report.faults.front().tid << ": "
                              << report.faults.front().what << "; packed up to " << store.oldest_tid();
  Database db(store);
  for (std::uint64_t tid = std::max<std::uint64_t>(store.oldest_tid().value, 1); tid <= db.last_tid().value; ++tid) {
    ASSERT_NO_THROW(expect_whole(db, Tid{tid})) << "at tid " << tid;
  }
}

void crash_again_and_again(bool durable, int rounds) {
  // In memory, where there is such a file system: a kill loses nothing of what a process has written, and a pack syncs often.
  const ScratchDirectory scratch(std::filesystem::is_directory("/dev/shm") ? "/dev/shm"
                                                                           : std::filesystem::temp_directory_path());
  std::mt19937 random(17);
  Known known;
  int interrupted = 0;
  // Where a kill comes is left to chance: on until one came in the midst of a pack.
  const int most = 8 * rounds;
  for (int round = 0; round < rounds || (interrupted == 0 && round < most); ++round) {
    Child child(scratch.store(), durable ? 'd' : 'n');
    child.kill_after(round % 8 == 1 ? Acknowledgement::kPacked : Acknowledgement::kPackBegins,
                     std::chrono::microseconds(random() % 100'000), known);
    interrupted += known.pack_begun > known.packed;
    RocksDbStore store(scratch.store(), options_of(durable));
    ASSERT_GE(store.last_tid().value, known.committed);
    ASSERT_GE(store.oldest_tid().value, known.packed);
    expect_all_whole(store, "round " + std::to_string(round) + ", after the kill");
    if (round % 3 != 0) continue;  // mostly the next child goes on with the pack
    {
      Database db(store);
      PackOptions options;
      options.collect_garbage = true;
      ASSERT_TRUE(db.pack(db.last_tid(), options).complete);
    }
    expect_all_whole(store, "round " + std::to_string(round) + ", after a pack to the end");
    // The root, the types, one list: nothing else is left.
    const VerifyReport report = store.verify(VerifyOptions());
    ASSERT_EQ(report.of_garbage, 0u) << "round " << round;
    Database db(store);
    Transaction txn = db.begin();
    const std::uint64_t newest = txn.read(txn.root().get<Node>("head")).number;
    ASSERT_EQ(report.objects, 2 + newest % kLongest + 1) << "round " << round;
  }
  EXPECT_GT(known.packs, 0u);
  EXPECT_GT(interrupted, 0);
  std::cout << "at least " << rounds << " kills, " << interrupted << " of them in the midst of a pack; " << known.packs
            << " packs that ended, " << known.committed << " transactions\n";
}

TEST(StoreGarbageCrash, DurableStoreSurvivesKill) { crash_again_and_again(true, kills(12)); }
TEST(StoreGarbageCrash, StoreThatIsNotSyncedSurvivesKillToo) { crash_again_and_again(false, kills(12)); }

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  if (cow::testing::is_child(argc, argv))
    return cow::testing::run_child(argv[2], std::atoi(argv[3]), argv[4][0] == 'd');
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
