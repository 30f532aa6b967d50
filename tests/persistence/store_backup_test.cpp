// Backups of a RocksDbStore that is in use: whole, stores by themselves, and refused where they are damaged.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "persistence/rocksdb_store.hpp"
#include "persistence/store_reader.hpp"
#include "tests/support/store_testing.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kObjects = 50;

/// Transaction `tid` writes five objects, the same ones whenever it is made.
void commit_next(RocksDbStore& store) {
  const std::uint64_t tid = store.last_tid().value + 1;
  std::vector<std::string> records;
  for (std::uint64_t i = 0; i < 5; ++i) records.push_back(record_of((tid * 5 + i) % kObjects + 1, tid, 300));
  std::vector<ObjectWrite> writes;
  for (std::uint64_t i = 0; i < 5; ++i) writes.push_back(put((tid * 5 + i) % kObjects + 1, records[i]));
  commit(store, tid, writes);
}

/// Every object is as `commit_next` has left it.
void expect_whole(RocksDbStore& store, Tid at_least) {
  const std::uint64_t last = store.last_tid().value;
  EXPECT_GE(last, at_least.value);
  EXPECT_NO_THROW(store.verify());  // of none, where all up to the last one is packed
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) {
    std::uint64_t tid = last;
    const auto writes = [&] {
      for (std::uint64_t i = 0; i < 5; ++i) {
        if ((tid * 5 + i) % kObjects + 1 == oid) return true;
      }
      return false;
    };
    while (tid > 0 && !writes()) --tid;
    const std::optional<Revision> found = store.load(Oid{oid}, kInfinity);
    ASSERT_EQ(found.has_value(), tid > 0) << oid;
    if (found) {
      EXPECT_EQ(found->record, record_of(oid, tid, 300));
    }
  }
}

RocksDbStore opened(const fs::path& directory) {
  RocksDbOptions options;
  options.create_if_missing = false;
  return RocksDbStore(directory, options);
}

class StoreBackup : public ::testing::TestWithParam<bool> {
 protected:
  StoreBackup() {
    RocksDbOptions options = creating();
    options.durable = GetParam();
    options.write_buffer_bytes = std::size_t{64} << 10;  // so that files come and go
    store_.emplace(scratch_.store(), options);
  }
  fs::path place(const std::string& name) const { return scratch_.path() / name; }

  ScratchDirectory scratch_;
  std::optional<RocksDbStore> store_;
};

TEST_P(StoreBackup, IsAStoreByItself) {
  for (int i = 0; i < 20; ++i) commit_next(*store_);
  const Oid given = store_->allocate_oids(7).first;
  const BackupResult result = store_->backup(place("copy"));
  EXPECT_EQ(result.last, Tid{20});
  EXPECT_GT(result.bytes, 0u);
  commit_next(*store_);
  EXPECT_EQ(StoreReader(place("copy")).last_tid(), Tid{20});
  EXPECT_EQ(StoreReader(place("copy")).verify_chain(), 20u);
  RocksDbStore copy = opened(place("copy"));
  expect_whole(copy, Tid{20});
  EXPECT_GT(copy.allocate_oids(1).first.value, given.value + 6) << "an oid is not given out again";
  for (int i = 0; i < 5; ++i) commit_next(copy);
  expect_whole(copy, Tid{25});
  expect_whole(*store_, Tid{21});
}

TEST_P(StoreBackup, OfAnEmptyStoreIsOne) {
  store_->backup(place("copy"));
  RocksDbStore copy = opened(place("copy"));
  EXPECT_EQ(copy.last_tid(), Tid{});
  commit_next(copy);
}

TEST_P(StoreBackup, TakesNothingThatIsAnothers) {
  commit_next(*store_);
  fs::create_directory(place("copy.part.tmp"));
  store_->backup(place("copy"));
  EXPECT_TRUE(fs::exists(place("copy.part.tmp")));
  EXPECT_FALSE(fs::exists(place("copy.part")));
  fs::create_directory(place("other.part"));
  EXPECT_THROW(store_->backup(place("other")), StoreExistsError);
  EXPECT_TRUE(fs::exists(place("other.part")));
}

TEST_P(StoreBackup, OfSeveralToOnePlaceOneIsMade) {
  for (int i = 0; i < 10; ++i) commit_next(*store_);
  for (int round = 0; round < 10; ++round) {
    const fs::path copy = place("copy " + std::to_string(round));
    std::atomic<int> made{0}, refused{0};
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
          try {
            store_->backup(copy);
            ++made;
          } catch (const StoreExistsError&) {
            ++refused;
          }
        });
      }
    }
    EXPECT_EQ(made, 1);
    EXPECT_EQ(refused, 2);
    RocksDbStore opened_copy = opened(copy);
    expect_whole(opened_copy, Tid{10});
  }
}

// Commits, packs and further backups go on meanwhile.
TEST_P(StoreBackup, UnderLoadIsWhole) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) commit_next(*store_);
  });
  std::thread packer([&] {
    for (std::uint64_t before = 0; !stop; before = store_->last_tid().value)
      store_->pack({.before = Tid{before}, .is_garbage = {}, .progress = {}});
  });
  const int times = stress() ? 100 : repetitions(24);
  for (int i = 0; i < times; ++i) {
    const fs::path copy = place("copy " + std::to_string(i));
    const Tid before = store_->last_tid();
    const BackupResult result = store_->backup(copy);
    EXPECT_GE(result.last, before);
    RocksDbStore opened_copy = opened(copy);
    expect_whole(opened_copy, result.last);
  }
  stop = true;
  writer.join();
  packer.join();
  expect_whole(*store_, Tid{1});
}

TEST_P(StoreBackup, KeepsWhatAPackDropsLater) {
  for (int i = 0; i < 40; ++i) commit_next(*store_);
  store_->backup(place("before"));
  store_->pack({.before = kInfinity, .is_garbage = {}, .progress = {}});
  store_->backup(place("after"));
  RocksDbStore before = opened(place("before")), after = opened(place("after"));
  EXPECT_EQ(before.load(Oid{6}, Tid{1})->record, record_of(6, 1, 300));
  EXPECT_THROW((void)after.load(Oid{6}, Tid{1}), SnapshotTooOldError);
  expect_whole(after, Tid{40});
}

TEST_P(StoreBackup, SharesFilesOnOneFileSystemOnly) {
  for (int i = 0; i < 300; ++i) commit_next(*store_);
  store_->pack({.before = Tid{1}, .is_garbage = {}, .progress = {}});  // all is in database files
  const auto shared = [](const fs::path& directory) {
    std::size_t files = 0;
    for (const fs::path& file : fs::directory_iterator(directory)) files += fs::hard_link_count(file) > 1;
    return files;
  };
  store_->backup(place("copy"));
  EXPECT_GT(shared(place("copy")), 0u);
  const auto device_of = [](const fs::path& path) {
    struct stat found = {};
    return ::stat(path.c_str(), &found) == 0 ? found.st_dev : dev_t{};
  };
  if (!fs::is_directory("/dev/shm") || device_of("/dev/shm") == device_of(scratch_.path()))
    GTEST_SKIP() << "there is one file system only";
  const ScratchDirectory elsewhere("/dev/shm");
  store_->backup(elsewhere.store());
  EXPECT_EQ(shared(elsewhere.store()), 0u);
  RocksDbStore copy = opened(elsewhere.store());
  expect_whole(copy, Tid{300});
}

TEST_P(StoreBackup, IsNotMadeOverAnything) {
  commit_next(*store_);
  fs::create_directory(place("directory"));
  std::ofstream(place("file")) << "text";
  fs::create_symlink("nowhere", place("link"));
  fs::create_directory(place("made.part"));
  for (const char* name : {"directory", "file", "link", "made", "directory/"})
    EXPECT_THROW(store_->backup(place(name)), StoreExistsError) << name;
  EXPECT_THROW(store_->backup(scratch_.store()), StoreExistsError);
  EXPECT_THROW(store_->backup(scratch_.store() / "within"), StoreError);
  EXPECT_THROW(store_->backup(place("missing") / "copy"), StoreError);
  EXPECT_THROW(store_->backup(""), StoreError);
  std::vector<std::string> names;
  for (const fs::path& path : fs::directory_iterator(scratch_.path())) names.push_back(path.filename());
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"directory", "file", "link", "made.part", "store"})) << "nothing is left";
  EXPECT_TRUE(fs::is_empty(place("directory")));
  expect_whole(*store_, Tid{1});
}

// What its witness claims, and what it lacks then.
TEST_P(StoreBackup, ThatIsDamagedIsRefused) {
  for (int i = 0; i < 100; ++i) commit_next(*store_);
  store_->backup(place("copy"));
  for (const fs::path& file : fs::directory_iterator(place("copy"))) {
    const std::string name = file.filename();
    if (name.starts_with("OPTIONS")) continue;  // nobody needs it
    fs::copy(place("copy"), place("damaged"));
    if (fs::file_size(place("damaged") / name) == 0) {
      fs::remove_all(place("damaged"));
      continue;
    }
    fs::remove(place("damaged") / name);
    bool refused = false;
    try {
      RocksDbStore damaged = opened(place("damaged"));
      damaged.verify();
    } catch (const StoreError&) {
      refused = true;
    }
    EXPECT_TRUE(refused) << name;
    fs::remove_all(place("damaged"));
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreBackup, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Durable" : "NotDurable"; });

}  // namespace
}  // namespace cow::testing
