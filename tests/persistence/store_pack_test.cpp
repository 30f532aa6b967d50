// What RocksDbStore's packs leave on the device, beyond what every store that can be packed promises (pack_conformance_test.cpp).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "persistence/detail/encoding.hpp"
#include "persistence/detail/pack_mark.hpp"
#include "persistence/detail/rocksdb_handle.hpp"
#include "persistence/detail/store_directory.hpp"
#include "persistence/rocksdb_options.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

// Called with what a backup is about to hand to the device.
std::atomic<const std::function<void(int)>*> on_slice{nullptr};

}  // namespace
}  // namespace cow::testing

// In the place of the C library's, which a backup calls for each slice that it has written.
extern "C" int sync_file_range(int file, off64_t offset, off64_t count, unsigned int flags) {
  if (const auto* const call = cow::testing::on_slice.load()) (*call)(file);
  return static_cast<int>(::syscall(SYS_sync_file_range, file, offset, count, flags));
}

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

std::string random_bytes(std::uint64_t seed, std::size_t size) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::set<fs::path> listed(const fs::path& directory) {
  return {fs::recursive_directory_iterator(directory), fs::recursive_directory_iterator()};
}

/// What a kill would leave of an open store to which nobody commits. RocksDB may make and delete files meanwhile: then they are copied again.
void copy_open_store(const fs::path& from, const fs::path& to) {
  for (std::set<fs::path> files = listed(from);;) {
    fs::remove_all(to);
    std::error_code failure;
    fs::copy(from, to, failure);
    std::set<fs::path> now = listed(from);
    if (!failure && now == files) return;
    files = std::move(now);
  }
}

/// The files below `directory` that have `marker` in them. The store may be open: where it has made or deleted files meanwhile,
/// they are read again, since what moves from one file to another must not be missed in both.
std::vector<std::string> files_with(const fs::path& directory, const std::string& marker) {
  for (std::set<fs::path> files = listed(directory);;) {
    std::vector<std::string> found;
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(in)), {});
      if (bytes.find(marker) != bytes.npos) found.push_back(file.filename());
    }
    std::set<fs::path> now = listed(directory);
    if (now == files) return found;
    files = std::move(now);
  }
}

PackResult pack(RocksDbStore& store, std::uint64_t before) {
  return store.pack({.before = Tid{before}, .is_garbage = {}, .progress = {}});
}

/// What a store should have: every revision that was committed.
class Model {
 public:
  void commit(Store& store, const std::vector<std::pair<std::uint64_t, std::string>>& records) {
    const std::uint64_t tid = store.last_tid().value + 1;
    std::vector<ObjectWrite> writes;
    for (const auto& [oid, record] : records) {
      writes.push_back(record.empty() ? erase(oid) : put(oid, record));
      revisions_[oid][tid] = record;
    }
    testing::commit(store, tid, writes);
  }

  /// As if there had never been that object.
  void forget(std::uint64_t oid) { revisions_[oid].clear(); }

  void expect(Store& store, std::uint64_t from) const {
    const std::uint64_t last = store.last_tid().value;
    for (const auto& [oid, history] : revisions_) {
      for (std::uint64_t at = from; at <= last; at += 1 + (last - from) / 7) {
        const auto next = history.upper_bound(at);
        const std::string expected = next == history.begin() ? "" : std::prev(next)->second;
        const std::optional<Revision> found = store.load(Oid{oid}, Tid{at});
        ASSERT_EQ(found ? found->record : "", expected) << oid << " at " << at;
        if (found) {
          ASSERT_EQ(found->end, next == history.end() ? kInfinity : Tid{next->first}) << oid << " at " << at;
        }
      }
    }
  }

  /// How many revisions a pack leaves.
  std::uint64_t left_by_pack(std::uint64_t oldest) const {
    std::uint64_t count = 0;
    for (const auto& [oid, history] : revisions_) {
      const auto next = history.upper_bound(oldest);
      count += static_cast<std::uint64_t>(std::distance(next, history.end()));
      if (next != history.begin() && !std::prev(next)->second.empty()) ++count;
    }
    return count;
  }
  std::uint64_t revisions() const {
    std::uint64_t count = 0;
    for (const auto& [oid, history] : revisions_) count += history.size();
    return count;
  }

 private:
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> revisions_;
};

RocksDbOptions small_buffers() {
  RocksDbOptions options;
  options.durable = false;
  options.write_buffer_bytes = 64 << 10;
  options.max_log_bytes = 128 << 10;
  return options;
}

/// A store without its witness and its checks, as one that has fallen into strange hands.
detail::RocksDbHandle open_raw(const fs::path& directory) {
  rocksdb::Options rocks = make_rocksdb_options({});
  const rocksdb::ColumnFamilyOptions plain = make_rocksdb_plain_family_options(rocks);
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors{{rocksdb::kDefaultColumnFamilyName, plain},
                                                                 {detail::kTransactionsFamily, plain},
                                                                 {detail::kRevisionsFamily, rocks}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(rocks, directory.string(), descriptors, &handles, &db);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return {db, std::move(handles)};
}

TEST(StorePack, BytesOfWhatWasErasedOrReplacedAreGone) {
  for (const bool flushed :
       {false, true}) {  // reopened in between: then it is in a database file, otherwise in the log
    const ScratchDirectory scratch;
    const std::string erased = random_bytes(1, 256), replaced = random_bytes(2, 256), kept = random_bytes(3, 256),
                      said = random_bytes(4, 256);
    auto store = std::make_unique<RocksDbStore>(scratch.store(), creating());
    const ObjectWrite first = put(1, erased);
    const TransactionNote note{said, "", {}};
    const TransactionWrite transaction{Tid{1}, {&first, 1}, &note};
    store->commit({&transaction, 1});
    commit(*store, 2, {put(2, replaced), put(3, kept)});
    if (flushed) {
      store.reset();
      store = std::make_unique<RocksDbStore>(scratch.store());
    }
    commit(*store, 3, {erase(1), put(2, "r")});
    EXPECT_TRUE(store->load(Oid{2}, Tid{2}));  // an iterator that has seen it stays in the pool
    for (const std::string& marker : {erased, replaced, kept, said})
      EXPECT_FALSE(files_with(scratch.store(), marker).empty());
    ASSERT_TRUE(pack(*store, 3).complete);
    for (const std::string& marker : {erased, replaced, said})
      EXPECT_EQ(files_with(scratch.store(), marker), std::vector<std::string>{}) << "flushed: " << flushed;
    EXPECT_FALSE(files_with(scratch.store(), kept).empty());
    EXPECT_EQ(store->verify(), 1u);
    store.reset();
    for (const std::string& marker : {erased, replaced, said})
      EXPECT_EQ(files_with(scratch.store(), marker), std::vector<std::string>{}) << "closed; flushed: " << flushed;
  }
}

TEST(StorePack, OfManyRevisionsLeavesThoseThatAreSeen) {
  const ScratchDirectory scratch;
  Model model;
  std::mt19937_64 random(5);
  std::uint64_t oldest = 0;
  for (int round = 0; round < 3; ++round) {
    RocksDbStore store(scratch.store(), creating(small_buffers()));
    EXPECT_EQ(store.oldest_tid(), Tid{oldest});
    for (int i = 0; i < 400; ++i) {
      std::vector<std::pair<std::uint64_t, std::string>> records;
      for (std::uint64_t oid = 1; oid <= 60; ++oid) {
        // The first few have long histories, longer than a batch of deletions; and some of them end.
        const bool writes = oid <= 5 || random() % 20 == 0;
        const bool erases = oid <= 5 ? oid <= 2 && i == 350 + static_cast<int>(oid) : random() % 4 == 0;
        if (writes && !(oid == 1 && i > 351))
          records.emplace_back(oid, erases ? "" : random_bytes(random(), random() % 200 + 1));
      }
      model.commit(store, records);
    }
    oldest = store.last_tid().value - 20;
    const PackResult result = pack(store, oldest);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.oldest, Tid{oldest});
    model.expect(store, oldest);
    EXPECT_EQ(store.verify(), 21u) << "twenty, and the one at which the chain begins";
    EXPECT_THROW(store.load(Oid{3}, Tid{oldest - 1}), SnapshotTooOldError);
  }
  RocksDbStore store(scratch.store());
  EXPECT_EQ(store.oldest_tid(), Tid{oldest});
  EXPECT_EQ(store.verify(), 21u);
  model.expect(store, oldest);
  std::uint64_t seen = 0;
  EXPECT_TRUE(
      store
          .pack({.before = Tid{oldest},
                 .is_garbage = [](Oid) { return false; },
                 .progress = [&](const PackProgress& progress) { return seen = progress.revisions_seen, true; }})
          .complete);
  EXPECT_EQ(seen, model.left_by_pack(oldest));
  EXPECT_LT(seen, model.revisions() / 10);
}

// So much that a filter drops what is superseded, in files of which some end in the midst of an object's revisions.
TEST(StorePack, OfALargerStoreDropsWhileFilesAreRewritten) {
  const ScratchDirectory scratch;
  Model model;
  std::mt19937_64 random(9);
  const std::string replaced = random_bytes(10, 256);
  {
    RocksDbStore store(scratch.store(), creating(small_buffers()));
    for (int i = 0; i < 300; ++i) {
      std::vector<std::pair<std::uint64_t, std::string>> records;
      for (std::uint64_t oid = 1; oid <= 150; ++oid) {
        if (oid > 100 && random() % 3 == 0) continue;
        records.emplace_back(oid, oid % 10 == 0 && random() % 2 == 0 ? "" : random_bytes(random(), 250));
        if (oid == 7 && i == 100) records.back().second = replaced;
      }
      model.commit(store, records);
    }
    EXPECT_FALSE(files_with(scratch.store(), replaced).empty());
    // Stopped after a part of the files, or at the end of the sweep: some that are superseded are there, others not.
    bool swept = false;
    store.pack({.before = Tid{300}, .is_garbage = {}, .progress = [&](const PackProgress& progress) {
                  return !std::exchange(swept, progress.done > 0.7);
                }});
    EXPECT_EQ(store.oldest_tid(), Tid{300});
    EXPECT_EQ(store.verify(), 1u);
    model.expect(store, 300);
    // Objects that go altogether, between others of which the mark counts the newest only.
    model.commit(store, {{20, ""}, {51, ""}, {149, ""}});
    EXPECT_TRUE(pack(store, 301).complete);
    EXPECT_EQ(files_with(scratch.store(), replaced), std::vector<std::string>{});
    EXPECT_EQ(store.verify(), 1u);
    model.expect(store, 301);
  }
  const ScratchDirectory other;
  fs::copy(scratch.store(), other.store());
  const bool was_filtered = [&] {
    const detail::RocksDbHandle handle = open_raw(other.store());
    return detail::read_pack_mark(other.store(), handle).value().loose >= Tid{300};
  }();
  RocksDbStore store(scratch.store());
  EXPECT_EQ(store.verify(), 1u);
  std::uint64_t seen = 0;
  EXPECT_TRUE(
      store
          .pack({.before = Tid{301},
                 .is_garbage = [](Oid) { return false; },
                 .progress = [&](const PackProgress& progress) { return seen = progress.revisions_seen, true; }})
          .complete);
  EXPECT_EQ(seen, model.left_by_pack(301)) << "what a filter has left over at the ends of files is gone, too";
  EXPECT_TRUE(was_filtered);
}

TEST(StorePack, ThatWasStoppedIsVerifiedReopenedAndGoneOnWith) {
  const ScratchDirectory scratch;
  Model model;
  {
    RocksDbStore store(scratch.store(), creating(small_buffers()));
    for (int i = 0; i < 30; ++i) {
      std::vector<std::pair<std::uint64_t, std::string>> records;
      for (std::uint64_t oid = 1; oid <= 100; ++oid)
        records.emplace_back(oid, oid % 3 == 0 && i % 5 == 0 ? "" : record_of(oid, static_cast<std::uint64_t>(i)));
      model.commit(store, records);
    }
  }
  for (int stop = 1; stop <= 4; ++stop) {
    RocksDbStore store(scratch.store());
    int calls = 0;
    const PackResult result = store.pack(
        {.before = Tid{20 + static_cast<std::uint64_t>(stop)}, .is_garbage = {}, .progress = [&](const PackProgress&) {
           return ++calls < (stop == 1 ? 3 : 1);
         }});
    EXPECT_FALSE(result.complete);
    EXPECT_GT(result.dropped.revisions_dropped, 0u);
    EXPECT_EQ(store.verify(), 30u - 20 - static_cast<std::uint64_t>(stop) + 1);
    model.expect(store, 20 + static_cast<std::uint64_t>(stop));
  }
  RocksDbStore store(scratch.store());
  EXPECT_EQ(store.oldest_tid(), Tid{24});
  EXPECT_TRUE(pack(store, 24).complete);
  EXPECT_EQ(store.verify(), 7u);
  model.expect(store, 24);
}

/// Has the mark count up to its tid the newest revision of each object only, as that of a pack that was killed just before a filter
/// could drop what is superseded (pack_filter.hpp).
void loosen_mark(const fs::path& directory) {
  const detail::RocksDbHandle handle = open_raw(directory);
  detail::PackMark mark = detail::read_pack_mark(directory, handle).value();
  mark.loose = mark.oldest;
  mark.kept = {};
  detail::CountedRevisions counted(mark.oldest, mark.loose);
  const auto it = handle.iterate(handle.revisions());
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const Oid oid = detail::RevisionKey::oid_of(it->key().data());
    const Tid tid = detail::RevisionKey::tid_of(it->key().data());
    if (counted.counts(oid, tid)) mark.kept.add(oid, tid, detail::stored_checksum(it->value().ToStringView()));
  }
  rocksdb::WriteBatch batch;
  ASSERT_TRUE(batch.Put(handle.metadata(), detail::to_slice(detail::kPackKey), mark.encode()).ok());
  ASSERT_TRUE(handle->Write({}, &batch).ok());
}

enum class End { replaced, erased, garbage };

/// Whether a filter drops what is superseded, and how a long history ends that the mark counts one revision of.
class StorePackOfALongHistory : public ::testing::TestWithParam<std::tuple<bool, End>> {};

// It is deleted in several batches, and the one that is counted must not go before the others.
TEST_P(StorePackOfALongHistory, ThatWasKilledIsGoneOnWith) {
  constexpr std::uint64_t kRevisions = 800, kLong = 5;
  const auto [by_filter, end] = GetParam();
  RocksDbOptions options;
  options.durable = false;
  options.accept_loss = true;  // the mark is changed by strange hands
  const ScratchDirectory scratch;
  Model model;
  std::uint64_t oldest = kRevisions;
  {
    RocksDbStore store(scratch.store(), creating(options));
    for (std::uint64_t tid = 1; tid <= kRevisions; ++tid) {
      std::vector<std::pair<std::uint64_t, std::string>> records{{kLong, record_of(kLong, tid)}};
      if (tid <= 10) records.emplace_back(tid % 2 == 0 ? 1 : 9, record_of(1, tid));
      if (by_filter && tid <= 5) records.emplace_back(20 + tid, random_bytes(tid, 1 << 20));
      model.commit(store, records);
    }
  }
  {
    RocksDbStore store(scratch.store());  // all is in database files
    const PackResult result =
        store.pack({.before = Tid{oldest}, .is_garbage = {}, .progress = [](const PackProgress&) { return false; }});
    ASSERT_FALSE(result.complete);
    ASSERT_EQ(result.dropped.revisions_dropped == 0, by_filter);
  }
  loosen_mark(scratch.store());
  {
    RocksDbStore store(scratch.store(), options);
    ASSERT_EQ(store.verify(), 1u);
    model.commit(store, {{kLong, end == End::erased ? "" : "new"}});  // above what is counted loosely
    ++oldest;
  }
  PackRequest request{.before = Tid{oldest}, .is_garbage = {}, .progress = {}};
  if (end == End::garbage) {
    request.is_garbage = [](Oid oid) { return oid == Oid{kLong}; };
    model.forget(kLong);
  }
  int stops = 0;
  for (bool is_complete = false; !is_complete;) {
    const fs::path killed = scratch.path() / ("killed " + std::to_string(stops));
    {
      RocksDbStore store(scratch.store(), options);
      request.progress = [&](const PackProgress& progress) {
        if (progress.done >= 0.7) return true;  // no further batches
        copy_open_store(scratch.store(), killed);
        ++stops;
        return false;
      };
      is_complete = store.pack(request).complete;
      ASSERT_EQ(store.verify(), 1u);
      if (end != End::garbage || is_complete) model.expect(store, oldest);
    }
    if (is_complete) continue;
    RocksDbStore store(killed, options);
    ASSERT_EQ(store.verify(), 1u);
    request.progress = {};
    ASSERT_TRUE(store.pack(request).complete);
    ASSERT_EQ(store.verify(), 1u);
    model.expect(store, oldest);
  }
  EXPECT_EQ(stops > 1, !by_filter || end != End::replaced) << "what a filter drops goes in no batch";
  EXPECT_EQ(RocksDbStore(scratch.store(), options).verify(), 1u);
}

std::string name_of_history(const ::testing::TestParamInfo<std::tuple<bool, End>>& info) {
  const auto [by_filter, end] = info.param;
  constexpr const char* kEnds[]{"Replaced", "Erased", "Garbage"};
  return kEnds[static_cast<int>(end)] + std::string(by_filter ? "ByFilter" : "");
}

INSTANTIATE_TEST_SUITE_P(All, StorePackOfALongHistory,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(End::replaced, End::erased, End::garbage)),
                         name_of_history);

TEST(StorePack, GarbageThatIsWrittenMeanwhileStays) {
  const ScratchDirectory scratch;
  RocksDbStore store(scratch.store(), creating());
  commit(store, 1, {put(1, "root"), put(2, "garbage"), put(3, "garbage, too")});
  bool written = false;
  const PackResult result = store.pack({.before = Tid{1},
                                        .is_garbage =
                                            [&](Oid oid) {
                                              if (oid == Oid{2} && !std::exchange(written, true))
                                                commit(store, 2, {put(2, "written in the meantime")});
                                              return oid != Oid{1};
                                            },
                                        .progress = {}});
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.dropped.revisions_dropped, 1u);
  EXPECT_EQ(store.load(Oid{2}, Tid{1})->record, "garbage");
  EXPECT_EQ(store.load(Oid{2}, Tid{2})->record, "written in the meantime");
  EXPECT_FALSE(store.load(Oid{3}, Tid{2}));
  EXPECT_EQ(store.verify(), 2u);
}

TEST(StorePack, SaysThatTheStoreIsOfAnotherFormat) {
  const ScratchDirectory scratch;
  const auto format = [&] {
    const detail::RocksDbHandle handle = open_raw(scratch.store());
    std::string bytes;
    EXPECT_TRUE(handle->Get({}, handle.metadata(), detail::to_slice(detail::kFormatKey), &bytes).ok());
    return detail::StoreFormat::decode(scratch.store(), bytes).version;
  };
  { commit(*std::make_unique<RocksDbStore>(scratch.store(), creating()), 1, {put(1, "a")}); }
  EXPECT_EQ(format(), detail::StoreFormat::kVersion);
  RocksDbOptions accepts_loss;
  accepts_loss.accept_loss = true;  // the manifest is another one
  { pack(*std::make_unique<RocksDbStore>(scratch.store(), accepts_loss), 1); }
  EXPECT_EQ(format(), detail::StoreFormat::kPackedVersion);
}

// The chain does not name what lies below the pack, and still nothing can be taken from there, added or changed.
TEST(StorePack, VouchesForWhatItHasLeft) {
  for (const bool complete : {true, false}) {
    for (const std::string_view damage : {"lost", "added", "changed", "no mark", "none"}) {
      const ScratchDirectory scratch;
      {
        RocksDbStore store(scratch.store(), creating());
        for (std::uint64_t tid = 1; tid <= 5; ++tid)
          commit(store, tid, {put(1, "a"), put(2, record_of(2, tid)), put(10 + tid, "c")});
        store.pack({.before = Tid{4}, .is_garbage = {}, .progress = [&](const PackProgress&) { return complete; }});
        commit(store, 6, {put(1, "b")});
      }
      {
        const detail::RocksDbHandle handle = open_raw(scratch.store());
        const detail::RevisionKey key(Oid{11}, Tid{1}), other(Oid{99}, Tid{2});
        const auto value = [](const detail::RevisionKey& of, std::string record) {
          std::string tail(detail::kRecordChecksumSize, '\0');
          detail::store_int(tail.data(),
                            detail::record_checksum(detail::RevisionKey::oid_of(of.bytes().data()),
                                                    detail::RevisionKey::tid_of(of.bytes().data()), record));
          return record + tail;
        };
        rocksdb::WriteBatch batch;
        if (damage == "lost") batch.Delete(handle.revisions(), detail::to_slice(key.bytes()));
        if (damage == "added") batch.Put(handle.revisions(), detail::to_slice(other.bytes()), value(other, "x"));
        if (damage == "changed") batch.Put(handle.revisions(), detail::to_slice(key.bytes()), value(key, "d"));
        if (damage == "no mark") batch.Delete(handle.metadata(), detail::to_slice(detail::kPackKey));
        ASSERT_TRUE(handle->Write({}, &batch).ok());
      }
      RocksDbOptions options;
      options.accept_loss = true;
      if (damage == "none") {
        EXPECT_EQ(RocksDbStore(scratch.store(), options).verify(), 3u);
        continue;
      }
      EXPECT_THROW(RocksDbStore(scratch.store(), options), StoreCorruptError) << damage << ", complete: " << complete;
    }
  }
}

// A loss that the open does not see, because it does not look at everything: a pack does, and signs nothing off.
TEST(StorePack, FindsWhatIsLostBeforeItSignsOff) {
  const ScratchDirectory scratch;
  const fs::path copy = scratch.path() / "killed";
  {
    RocksDbStore store(scratch.store(), creating());
    for (std::uint64_t tid = 1; tid <= 5; ++tid) commit(store, tid, {put(1, record_of(1, tid)), put(1 + tid, "b")});
    fs::copy(scratch.store(), copy);  // nobody writes
  }
  {
    const detail::RocksDbHandle handle = open_raw(copy);
    const detail::RevisionKey key(Oid{3}, Tid{2});
    ASSERT_TRUE(handle->Delete({}, handle.revisions(), detail::to_slice(key.bytes())).ok());
  }
  RocksDbOptions options;
  options.verify_at_open = 1;
  for (const std::uint64_t before : {4, 5}) {  // and again
    RocksDbStore store(copy, options);
    EXPECT_THROW(pack(store, before), StoreCorruptError);
    EXPECT_THROW(store.verify(), StoreCorruptError);
    EXPECT_EQ(store.load(Oid{1}, Tid{5})->record, record_of(1, 5));
  }
}

/// A backup that waits in the midst of its copy.
class HeldBackup {
 public:
  HeldBackup(RocksDbStore& store, const fs::path& directory) {
    on_slice = &hold_;
    thread_ = std::jthread([&store, directory] { store.backup(directory); });
    copies_.get_future().wait();
  }
  ~HeldBackup() { end(); }
  void end() {
    if (!thread_.joinable()) return;
    let_go_.set_value();
    thread_.join();
    on_slice = nullptr;
  }

 private:
  std::promise<void> copies_, let_go_;
  std::shared_future<void> until_{let_go_.get_future()};
  std::atomic<bool> holds_{false};
  const std::function<void(int)> hold_ = [this](int file) {
    std::error_code failure;
    const std::string path = fs::read_symlink("/proc/self/fd/" + std::to_string(file), failure);
    if (path.find(".part/") == path.npos || holds_.exchange(true)) return;
    copies_.set_value();
    until_.wait();
  };
  std::jthread thread_;
};

// RocksDB keeps all its files while a backup copies them, and so does what was dropped keep its bytes.
TEST(StorePack, DuringABackupIsCompleteWhenTheBytesAreGone) {
  const ScratchDirectory scratch;
  const std::string erased = random_bytes(1, 256), replaced = random_bytes(2, 256), kept = random_bytes(3, 256);
  {
    RocksDbStore store(scratch.store(), creating());
    commit(store, 1, {put(1, erased), put(2, replaced), put(3, kept)});
  }
  RocksDbStore store(scratch.store());
  commit(store, 2, {erase(1), put(2, "r")});
  HeldBackup backup(store, scratch.path() / "copy");
  std::atomic<int> waits{0};
  std::atomic<bool> complete{false};
  std::jthread packs([&] {
    complete = store
                   .pack({.before = Tid{2},
                          .is_garbage = {},
                          .progress =
                              [&](const PackProgress& now) {
                                waits += now.done >= 0.99 && now.done < 1;
                                return true;
                              }})
                   .complete;
  });
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (waits < 5 && !complete && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(waits, 5) << "it waits, and can be stopped";
  EXPECT_FALSE(complete);
  EXPECT_FALSE(files_with(scratch.store(), erased).empty()) << "so there is something to wait for";
  commit(store, 3, {put(4, "meanwhile")});
  backup.end();
  packs.join();
  EXPECT_TRUE(complete);
  for (const std::string& marker : {erased, replaced})
    EXPECT_EQ(files_with(scratch.store(), marker), std::vector<std::string>{});
  EXPECT_FALSE(files_with(scratch.store(), kept).empty());
  EXPECT_EQ(store.verify(), 2u);
  EXPECT_FALSE(files_with(scratch.path() / "copy", erased).empty()) << "a backup keeps what a later pack drops";
}

TEST(StorePack, ThatWasStoppedDuringABackupLeavesNoBytesBehindIt) {
  const ScratchDirectory scratch;
  const std::string erased = random_bytes(1, 256);
  {
    RocksDbStore store(scratch.store(), creating());
    commit(store, 1, {put(1, erased), put(2, "a")});
  }
  RocksDbStore store(scratch.store());
  commit(store, 2, {erase(1)});
  HeldBackup backup(store, scratch.path() / "copy");
  int waits = 0;
  EXPECT_FALSE(store
                   .pack({.before = Tid{2},
                          .is_garbage = {},
                          .progress = [&](const PackProgress& now) { return now.done < 0.99 || ++waits < 3; }})
                   .complete);
  EXPECT_FALSE(files_with(scratch.store(), erased).empty());
  backup.end();
  EXPECT_EQ(files_with(scratch.store(), erased), std::vector<std::string>{});
  EXPECT_TRUE(pack(store, 2).complete);
  EXPECT_EQ(store.verify(), 1u);
}

// Backups one after another, so that there is nearly always one: the next waits for a pack that waits.
TEST(StorePack, IsNotHeldUpByBackupsForEver) {
  const ScratchDirectory scratch;
  RocksDbStore store(scratch.store(), creating());
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int number = 0; !stop; ++number) {
        const fs::path copy = scratch.path() / ("copy " + std::to_string(i) + " " + std::to_string(number));
        store.backup(copy);
        fs::remove_all(copy);
      }
    });
  }
  for (std::uint64_t tid = 1; tid <= 10; ++tid) {
    commit(store, tid, {put(1, record_of(1, tid))});
    EXPECT_TRUE(pack(store, tid).complete);
  }
  stop = true;
}

TEST(StorePack, RacesWithVerifyHistoryAndCommits) {
  const ScratchDirectory scratch;
  RocksDbStore store(scratch.store(), creating(small_buffers()));
  commit(store, 1, {put(1, "1")});
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  threads.emplace_back([&] {
    while (!stop) store.verify();
  });
  threads.emplace_back([&] {
    while (!stop) {
      const Tid last = store.last_tid();
      Tid next = last;
      for (const TransactionInfo& info : store.transactions(Tid{1}, last, HistoryOrder::newest_first, 50)) {
        ASSERT_EQ(info.tid, next);
        next = Tid{next.value - 1};
      }
      const Tid oldest = store.oldest_tid();
      next = {};
      for (const TransactionInfo& info :
           store.transactions(Tid{oldest.value + 1}, last, HistoryOrder::oldest_first, 50)) {
        ASSERT_TRUE(next == Tid{} || info.tid == next) << info.tid;
        next = Tid{info.tid.value + 1};
      }
      for (const RevisionInfo& info : store.revisions(Oid{1}, kInfinity, 20)) ASSERT_GT(info.begin, Tid{});
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      const std::uint64_t last = store.last_tid().value;
      if (last > 10) pack(store, last - 10);
    }
  });
  for (std::uint64_t tid = 2; tid <= 1500; ++tid)
    commit(store, tid, {put(1, std::to_string(tid)), put(2 + tid % 30, record_of(2, tid))});
  stop = true;
  threads.clear();
  store.verify();
}

}  // namespace
}  // namespace cow::testing
