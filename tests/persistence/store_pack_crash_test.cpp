// Kills a process in the middle of its packs, again and again, and looks at what it left behind.
//
// The child is this same program, executed afresh (a forked copy of an open RocksDB would hang). One thread of it commits, another one
// packs; each tells on a pipe what it has done. The parent kills it at a random moment, opens the store and checks: it verifies, and what
// it says of its oldest tid is what was acknowledged or what the pack was going to; every snapshot from there on has what was
// committed; and it can be packed to the end.
//
// COW_CACHE_KILLS says how many kills there are; without it, few.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kill_testing.hpp"
#include "persistence/detail/encoding.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

constexpr std::uint64_t kObjects = 30;
constexpr std::uint64_t kKept = 25;       // transactions that a pack leaves
constexpr std::uint64_t kGarbage = 1000;  // from this oid on objects are garbage once they are older than a pack

// What a transaction writes follows from its tid, so that the parent knows it too.
bool writes(std::uint64_t oid, std::uint64_t tid) { return (oid * 7 + tid * tid) % 5 == 0; }
bool erases(std::uint64_t oid, std::uint64_t tid) { return (oid + tid) % 4 == 0; }

enum class Kind : char { durable = 'd', not_synced = 'n', large = 'l' };
// Of this process. Large: records that cannot be compressed, and so many between two packs that a filter drops them (pack_filter.hpp).
Kind kind = Kind::durable;

std::string content_of(std::uint64_t oid, std::uint64_t tid) {
  if (kind != Kind::large) return record_of(oid, tid, 50 + 37 * ((oid * tid) % 60));
  std::mt19937_64 random(oid * 1'000'003 + tid);
  std::string content(3000, '\0');
  for (std::size_t i = 0; i < content.size(); i += 8) detail::store_int(&content[i], random());
  return content;
}

// Transactions between two packs.
std::uint64_t pack_interval() { return kind == Kind::large ? 350 : 1; }

std::string expected_at(std::uint64_t oid, std::uint64_t at) {
  while (at > 0 && !writes(oid, at)) --at;
  return at == 0 || erases(oid, at) ? "" : content_of(oid, at);
}

RocksDbOptions options_of() {
  RocksDbOptions options;
  options.durable = kind == Kind::durable;
  options.write_buffer_bytes = 64 << 10;  // so that it is killed during flushes and compactions, too
  options.max_log_bytes = 128 << 10;
  options.verify_at_open = 64;
  return options;
}

int run_child(const std::string& path, int pipe) {
  RocksDbStore store(path, creating(options_of()));
  const auto tell = [&](Acknowledgement::What what, std::uint64_t tid) { testing::tell(pipe, what, tid); };
  std::thread packs([&] {
    for (;;) {
      const std::uint64_t last = store.last_tid().value;
      if (last < kKept + store.oldest_tid().value + pack_interval()) continue;
      tell(Acknowledgement::kPackBegins, last - kKept);
      const PackResult result = store.pack(
          {.before = Tid{last - kKept}, .is_garbage = [](Oid oid) { return oid.value >= kGarbage; }, .progress = {}});
      if (!result.complete) ::_exit(2);
      tell(Acknowledgement::kPacked, result.oldest.value);
    }
  });
  for (;;) {
    const std::uint64_t tid = store.last_tid().value + 1;
    std::vector<std::string> records;
    records.reserve(kObjects + 1);
    std::vector<ObjectWrite> objects;
    for (std::uint64_t oid = 1; oid <= kObjects; ++oid) {
      if (!writes(oid, tid)) continue;
      objects.push_back(erases(oid, tid) ? erase(oid) : put(oid, records.emplace_back(content_of(oid, tid))));
    }
    objects.push_back(put(kGarbage + tid, records.emplace_back(content_of(kGarbage, tid))));
    commit(store, tid, objects);
    tell(Acknowledgement::kCommitted, tid);
  }
}

void expect_all(RocksDbStore& store, std::uint64_t from) {
  const std::uint64_t last = store.last_tid().value;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) {
    for (std::uint64_t at = from; at <= last; ++at) {
      const std::optional<Revision> revision = store.load(Oid{oid}, Tid{at});
      ASSERT_EQ(revision ? revision->record : "", expected_at(oid, at)) << "oid " << oid << " at " << at;
    }
  }
  for (std::uint64_t tid = from + 1; tid <= last; ++tid)
    ASSERT_TRUE(store.load(Oid{kGarbage + tid}, Tid{last})) << "written after the pack's tid";
}

void crash_again_and_again(Kind of, int rounds) {
  kind = of;
  // In memory, where there is such a file system: a kill loses nothing of what a process has written, and a pack syncs often.
  const ScratchDirectory scratch(std::filesystem::is_directory("/dev/shm") ? "/dev/shm"
                                                                           : std::filesystem::temp_directory_path());
  std::mt19937 random(11);
  Known known;
  int interrupted = 0;
  // Where a kill comes is left to chance: on until one came in the midst of a pack.
  const int most = 8 * rounds;
  for (int round = 0; round < rounds || (interrupted == 0 && round < most); ++round) {
    Child child(scratch.store(), static_cast<char>(kind));
    child.kill_after(round % 8 == 1 ? Acknowledgement::kPacked : Acknowledgement::kPackBegins,
                     std::chrono::microseconds(random() % 150'000), known);
    RocksDbStore store(scratch.store(), options_of());
    const std::uint64_t oldest = store.oldest_tid().value, last = store.last_tid().value;
    ASSERT_GE(last, known.committed);
    ASSERT_GE(oldest, known.packed);
    ASSERT_LE(oldest, known.pack_begun);
    ASSERT_EQ(store.verify(), last - oldest + (oldest > 0)) << "round " << round;
    expect_all(store, std::max<std::uint64_t>(oldest, 1));
    if (oldest > 1) {
      ASSERT_THROW(store.load(Oid{1}, Tid{oldest - 1}), SnapshotTooOldError);
    }
    if (round % 3 != 0) continue;  // mostly the next child goes on with the pack
    const bool whole =
        store.pack({.before = Tid{oldest}, .is_garbage = {}, .progress = {}}).dropped.revisions_seen == 0;
    interrupted += !whole;
    ASSERT_EQ(store.verify(), last - oldest + (oldest > 0));
    expect_all(store, std::max<std::uint64_t>(oldest, 1));
  }
  EXPECT_GT(known.packs, 0u);
  std::cout << "at least " << rounds << " kills, " << known.packs << " packs that ended, of " << (rounds + 2) / 3
            << " stores " << interrupted << " in the midst of one; " << known.committed << " transactions\n";
  EXPECT_GT(interrupted, 0);
}

TEST(StorePackCrash, DurableStoreSurvivesKill) { crash_again_and_again(Kind::durable, kills(24)); }
TEST(StorePackCrash, StoreThatIsNotSyncedSurvivesKillToo) { crash_again_and_again(Kind::not_synced, kills(16)); }
TEST(StorePackCrash, LargerStoreSurvivesKill) { crash_again_and_again(Kind::large, kills(12)); }

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  if (cow::testing::is_child(argc, argv)) {
    cow::testing::kind = static_cast<cow::testing::Kind>(argv[4][0]);
    return cow::testing::run_child(argv[2], std::atoi(argv[3]));
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
