// What RocksDbStore promises beyond the contract of all stores: reopening, refusing, and never serving wrong bytes.
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "persistence/detail/encoding.hpp"
#include "persistence/detail/store_directory.hpp"
#include "persistence/detail/witness.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"
#include "witness_testing.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

std::vector<fs::path> files_with(const fs::path& directory, const std::string& part) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().find(part) != std::string::npos) files.push_back(entry.path());
  }
  return files;
}

void flip_bit(const fs::path& file, std::uint64_t at, int bit) {
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekg(static_cast<std::streamoff>(at));
  char byte = 0;
  stream.get(byte);
  stream.seekp(static_cast<std::streamoff>(at));
  stream.put(static_cast<char>(byte ^ (1 << bit)));
  ASSERT_TRUE(stream.good());
}

// What a crash would leave: the files of a store that is still open (and quiet).
void copy_as_crashed(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

TEST(RocksDbStore, KeepsEverythingWhenReopened) {
  const ScratchDirectory scratch;
  std::set<std::uint64_t> oids;
  std::uint64_t last_oid = 0;
  for (std::uint64_t tid = 1; tid <= 5; ++tid) {
    RocksDbStore store(scratch.store(), creating());
    EXPECT_EQ(store.last_tid(), Tid{tid - 1});
    EXPECT_EQ(store.loads(), 0u);
    for (std::uint64_t before = 1; before < tid; ++before) {
      EXPECT_EQ(store.load(Oid{9}, Tid{before})->record, record_of(9, before));
    }
    commit(store, tid, {put(9, record_of(9, tid)), tid % 2 ? put(10, "odd") : erase(10)});
    last_oid = store.allocate_oids(10).first.value;
    EXPECT_TRUE(oids.insert(last_oid).second);
    EXPECT_EQ(store.verify(), tid);
    EXPECT_TRUE(store.writable());
    EXPECT_EQ(store.path(), scratch.store());
  }
  EXPECT_EQ(last_oid, 2u + 4 * 10) << "a clean close gives back what was reserved and not used";
}

TEST(RocksDbStore, NotesInItsLogWhatADatabaseCannotNotice) {
  const ScratchDirectory scratch;
  RocksDbStore store(scratch.store(), creating());
  EXPECT_FALSE(fs::exists(scratch.store() / "LOG")) << "there is nothing to say";
  HearsOfTypes& listener = store;
  listener.warn("100% an array");
  std::ifstream log(scratch.store() / "LOG");
  const std::string text((std::istreambuf_iterator<char>(log)), std::istreambuf_iterator<char>());
  EXPECT_NE(text.find("100% an array"), std::string::npos) << text;
}

TEST(RocksDbStore, ASecondOpenIsRefusedUntilTheFirstIsClosed) {
  const ScratchDirectory scratch;
  auto store = std::make_unique<RocksDbStore>(scratch.store(), creating());
  commit(*store, 1, {put(1, "a")});
  EXPECT_THROW(RocksDbStore again(scratch.store()), StoreLockedError);
  EXPECT_THROW(RocksDbStore again(scratch.path() / "." / "store"), StoreLockedError);
  commit(*store, 2, {put(1, "b")});
  store.reset();
  EXPECT_EQ(RocksDbStore(scratch.store()).last_tid(), Tid{2});
}

TEST(RocksDbStore, RefusesWhatIsNotAStoreAndLeavesItAlone) {
  const ScratchDirectory scratch;
  fs::create_directory(scratch.store());
  std::ofstream(scratch.store() / "thesis.txt") << "years of work";
  EXPECT_NE(message_of([&] { RocksDbStore store(scratch.store()); }).find("thesis.txt"), std::string::npos);
  EXPECT_THROW(RocksDbStore(scratch.store()), StoreFormatError);
  EXPECT_THROW(RocksDbStore(scratch.store(), creating()), StoreFormatError);
  EXPECT_THROW(RocksDbStore(scratch.store() / "thesis.txt", creating()), StoreFormatError);
  EXPECT_EQ(files_with(scratch.store(), "").size(), 1u);

  const std::string foreign = (scratch.path() / "foreign").string();
  rocksdb::Options create;
  create.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(create, foreign, &db).ok());
  ASSERT_TRUE(db->Put({}, "their key", "their value").ok());
  delete db;
  const auto before = files_with(foreign, "");
  EXPECT_THROW(RocksDbStore{foreign}, StoreFormatError);
  EXPECT_THROW(RocksDbStore::create(foreign), StoreFormatError);
  EXPECT_EQ(files_with(foreign, ""), before);
  EXPECT_NE(message_of([&] { RocksDbStore store(foreign); }).find(foreign), std::string::npos);
}

TEST(RocksDbStore, RefusesAnUnknownFormatVersion) {
  const ScratchDirectory scratch;
  { RocksDbStore::create(scratch.store()); }
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  ASSERT_TRUE(rocksdb::DB::Open({}, scratch.store().string(),
                                {{"default", {}}, {"transactions", {}}, {"revisions", {}}}, &handles, &db)
                  .ok());
  std::string format;
  ASSERT_TRUE(db->Get({}, std::string(detail::kFormatKey), &format).ok());
  format[format.find('\n') + 1] = 77;
  ASSERT_TRUE(db->Put({}, std::string(detail::kFormatKey), format).ok());
  for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  delete db;
  EXPECT_THROW(RocksDbStore(scratch.store()), StoreFormatError);
  EXPECT_NE(message_of([&] { RocksDbStore store(scratch.store()); }).find("version 77"), std::string::npos);
}

TEST(RocksDbStore, AnInterruptedCreationIsTakenUpAgain) {
  const ScratchDirectory scratch;
  fs::create_directory(scratch.store());
  for (const char* name : {"LOG", "LOCK", "IDENTITY", "000001.dbtmp", "MANIFEST-000001"}) {
    std::ofstream(scratch.store() / name) << "";
  }
  {
    RocksDbStore store = RocksDbStore::create(scratch.store());
    commit(store, 1, {put(1, "a")});
  }
  EXPECT_EQ(RocksDbStore(scratch.store()).last_tid(), Tid{1});

  const std::string empty = (scratch.path() / "empty").string();
  rocksdb::Options create;
  create.create_if_missing = true;
  rocksdb::DB* db = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(create, empty, &db).ok());
  delete db;
  RocksDbStore store = RocksDbStore::create(empty);
  commit(store, 1, {put(1, "a")});
}

TEST(RocksDbStore, AFullDiskRefusesCommitsAndNothingElse) {
  const ScratchDirectory scratch;
  {
    RocksDbStore store = RocksDbStore::create(scratch.store());
    commit(store, 1, {put(1, "a")});
  }
  RocksDbOptions full;
  full.reserve_bytes = ~std::uint64_t{0} / 2;
  {
    RocksDbStore store(scratch.store(), full);
    EXPECT_THROW(commit(store, 2, {put(1, "b")}), StoreFullError);
    EXPECT_THROW(store.allocate_oids(1), StoreFullError);
    EXPECT_EQ(store.last_tid(), Tid{1});
    EXPECT_EQ(store.load(Oid{1}, kInfinity)->record, "a");
    EXPECT_TRUE(store.writable());
    EXPECT_THROW(commit(store, 2, {put(1, "b")}), StoreFullError) << "not StoreReadOnlyError: it may be freed";
  }
  RocksDbStore store(scratch.store());
  commit(store, 2, {put(1, "b")});
  EXPECT_EQ(store.verify(), 2u);
}

// A limit on the size of files makes writes fail (EFBIG) in the middle of the log.
TEST(RocksDbStore, AFailedWriteClosesTheStoreForWriting) {
  const ScratchDirectory scratch;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  {
    RocksDbStore store = RocksDbStore::create(scratch.store());
    commit(store, 1, {put(1, "a")});
    const rlimit small{1 << 20, limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string big(4 << 20, 'x');
    try {
      commit(store, 2, {put(1, big), put(2, big)});
      ADD_FAILURE() << "must throw";
    } catch (const OutcomeUnknownError& error) {
      EXPECT_EQ(error.tid, Tid{2});
    }
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_FALSE(store.writable());
    EXPECT_THROW(commit(store, 2, {put(1, "b")}), StoreReadOnlyError);
    EXPECT_THROW(store.allocate_oids(1 << 20), StoreReadOnlyError);
    EXPECT_EQ(store.last_tid(), Tid{1});
    EXPECT_EQ(store.load(Oid{1}, kInfinity)->record, "a");
    EXPECT_EQ(store.load(Oid{1}, kInfinity)->end, kInfinity);
    EXPECT_FALSE(store.load(Oid{2}, kInfinity));
  }
  RocksDbStore store(scratch.store());
  EXPECT_EQ(store.verify(), store.last_tid().value);
  commit(store, store.last_tid().value + 1, {put(1, "b")});
}

// Every object's whole history up to `last` must be what the fixture below has written.
void expect_true_history(RocksDbStore& store, std::uint64_t last) {
  for (std::uint64_t tid = 1; tid <= last; ++tid) {
    for (std::uint64_t oid = 1; oid <= 3; ++oid) {
      const std::optional<Revision> revision = store.load(Oid{oid}, Tid{tid});
      ASSERT_TRUE(revision);
      ASSERT_EQ(revision->begin, Tid{tid});
      ASSERT_EQ(revision->record, record_of(oid, tid, 300));
    }
  }
}

void write_history(RocksDbStore& store, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t tid = from; tid <= to; ++tid) {
    std::vector<std::string> records;
    for (std::uint64_t oid = 1; oid <= 3; ++oid) records.push_back(record_of(oid, tid, 300));
    commit(store, tid, {put(1, records[0]), put(2, records[1]), put(3, records[2])});
    if (tid % 7 == 0) store.allocate_oids(5000);
  }
}

TEST(RocksDbStore, AFlippedBitInTheLogIsReported) {
  constexpr std::uint64_t kLast = 60;
  const ScratchDirectory scratch;
  const fs::path copy = scratch.path() / "copy";
  RocksDbStore original = RocksDbStore::create(scratch.store());
  write_history(original, 1, kLast);
  int reported = 0;
  constexpr int kFlips = repetitions(120);
  for (int i = 0; i < kFlips; ++i) {
    copy_as_crashed(scratch.store(), copy);
    fs::path log;
    for (const fs::path& file : files_with(copy, ".log")) {
      if (log.empty() || fs::file_size(file) > fs::file_size(log)) log = file;
    }
    ASSERT_GT(fs::file_size(log), kLast * 900);
    const std::uint64_t at = fs::file_size(log) * static_cast<std::uint64_t>(i) / kFlips;
    flip_bit(log, at, i % 8);
    try {
      RocksDbStore store(copy);
      ASSERT_EQ(store.last_tid(), Tid{kLast}) << "byte " << at << " of " << fs::file_size(log);
      expect_true_history(store, kLast);
    } catch (const StoreCorruptError& error) {
      ++reported;
      // It is refused again, not accepted the second time because the first one "repaired" it.
      if (reported % 10 == 0) {
        EXPECT_THROW(RocksDbStore again(copy), StoreCorruptError) << error.what();
      }
    }
  }
  EXPECT_GT(reported, kFlips * 9 / 10);
}

TEST(RocksDbStore, ATornEndOfTheLogIsOrdinary) {
  const ScratchDirectory scratch;
  const fs::path copy = scratch.path() / "copy";
  RocksDbStore original = RocksDbStore::create(scratch.store());
  write_history(original, 1, 20);
  const fs::path log = files_with(scratch.store(), ".log").back();
  const std::uint64_t before = fs::file_size(log);
  // As if the power had failed while the next commit was written: its witness comes after it.
  const fs::path witness = scratch.path() / "witness";
  fs::copy_file(scratch.store() / detail::kWitnessName, witness);
  write_history(original, 22, 22);
  const std::uint64_t after = fs::file_size(log);
  for (std::uint64_t size = before; size < after; size += 1 + (after - before) / repetitions(32)) {
    copy_as_crashed(scratch.store(), copy);
    fs::resize_file(copy / log.filename(), size);
    fs::copy_file(witness, copy / detail::kWitnessName, fs::copy_options::overwrite_existing);
    RocksDbStore store(copy);
    EXPECT_EQ(store.last_tid(), Tid{20});
    EXPECT_EQ(store.verify(), 20u);
    commit(store, 21, {put(1, "on it goes")});
  }
}

// Wherever a bit flips in the files of a closed store, opening and reading end in a typed error or in the truth.
TEST(RocksDbStore, AFlippedBitInADatabaseFileNeverServesWrongBytes) {
  constexpr std::uint64_t kLast = 40;
  const ScratchDirectory scratch;
  const fs::path copy = scratch.path() / "copy";
  {
    RocksDbStore original = RocksDbStore::create(scratch.store());
    write_history(original, 1, kLast);
  }
  constexpr int kFlips = repetitions(20);
  int reported = 0;
  for (const char* part : {".sst", "MANIFEST", "CURRENT"}) {
    for (const fs::path& file : files_with(scratch.store(), part)) {
      for (int i = 0; i < kFlips; ++i) {
        copy_as_crashed(scratch.store(), copy);
        const fs::path damaged = copy / file.filename();
        const std::uint64_t at = fs::file_size(damaged) * static_cast<std::uint64_t>(i) / kFlips;
        flip_bit(damaged, at, (3 * i) % 8);
        SCOPED_TRACE(damaged.string() + " byte " + std::to_string(at));
        try {
          RocksDbStore store(copy);
          expect_true_history(store, store.last_tid().value);
          ASSERT_EQ(store.last_tid(), Tid{kLast});
        } catch (const StoreError&) {
          ++reported;
        } catch (const CorruptRecordError& error) {
          ++reported;
          EXPECT_NE(std::string(error.what()).find("oid"), std::string::npos);
        }
      }
    }
  }
  EXPECT_GT(reported, kFlips);
}

TEST(RocksDbStore, VerifyNamesWhatIsWrong) {
  const ScratchDirectory scratch;
  const auto tamper = [&](const std::function<void(rocksdb::DB&, rocksdb::ColumnFamilyHandle*)>& action) {
    fs::remove_all(scratch.store());
    {
      RocksDbStore store = RocksDbStore::create(scratch.store());
      write_history(store, 1, 5);
    }
    rocksdb::DB* db = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    ASSERT_TRUE(rocksdb::DB::Open({}, scratch.store().string(),
                                  {{"default", {}}, {"transactions", {}}, {"revisions", {}}}, &handles, &db)
                    .ok());
    action(*db, handles[2]);
    for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
    delete db;
    forget_close(scratch.store());
  };
  const std::string key(detail::RevisionKey(Oid{2}, Tid{3}).bytes());

  tamper([&](auto& db, auto* revisions) { ASSERT_TRUE(db.Delete({}, revisions, key).ok()); });
  EXPECT_THROW(RocksDbStore(scratch.store()), StoreCorruptError);
  EXPECT_NE(message_of([&] { RocksDbStore store(scratch.store()); }).find("oid 2 at tid 3 is lost"), std::string::npos);

  RocksDbOptions hasty;
  hasty.verify_at_open = 1;
  tamper([&](auto& db, auto* revisions) { ASSERT_TRUE(db.Put({}, revisions, key, "altered").ok()); });
  {
    RocksDbStore store(scratch.store(), hasty);
    EXPECT_THROW(store.verify(), StoreCorruptError);
    try {
      store.load(Oid{2}, Tid{3});
      ADD_FAILURE() << "must throw";
    } catch (const CorruptRecordError& error) {
      EXPECT_EQ(error.oid, Oid{2});
      EXPECT_EQ(error.tid, Tid{3});
    }
    EXPECT_EQ(store.load(Oid{2}, Tid{4})->record, record_of(2, 4, 300));
    EXPECT_EQ(store.loads(), 2u);
  }
  const std::string stray(detail::RevisionKey(Oid{2}, Tid{9}).bytes());
  tamper([&](auto& db, auto* revisions) { ASSERT_TRUE(db.Put({}, revisions, stray, "stray").ok()); });
  RocksDbStore store(scratch.store(), hasty);
  EXPECT_NE(message_of([&] { store.verify(); }).find("16 revisions"), std::string::npos);
  EXPECT_EQ(store.load(Oid{2}, kInfinity)->begin, Tid{5}) << "no transaction has committed it";
}

}  // namespace
}  // namespace cow::testing
