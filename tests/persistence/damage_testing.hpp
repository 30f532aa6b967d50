// What the tests of damaged stores share: a store whose every byte is known, its directory as bytes in memory, and what
// must come of opening it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {

/// The regular files of a directory, by name.
using Files = std::map<std::string, std::string>;

inline Files read_files(const std::filesystem::path& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().filename().string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return files;
}

inline void write_files(const Files& files, const std::filesystem::path& directory) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  for (const auto& [name, content] : files) std::ofstream(directory / name, std::ios::binary) << content;
}

/// The name of the only file, or the last of the files, whose name begins or ends like this.
inline std::string file_like(const Files& files, const std::string& part) {
  std::string found;
  for (const auto& [name, content] : files) {
    if ((name.starts_with(part) || name.ends_with(part)) && name > found) found = name;
  }
  return found;
}

/// A history that follows from its length alone: transaction `tid` writes some objects and erases others.
class KnownStore {
 public:
  explicit KnownStore(std::filesystem::path directory, RocksDbOptions options = {}, std::size_t record_bytes = 100)
      : directory_(std::move(directory)), options_(options), record_bytes_(record_bytes) {
    options_.create_if_missing = true;
  }

  /// Opens the store, commits up to `last`, and calls `step(files)` after each commit with the directory's content: what a
  /// kill would leave at this time.
  template <class Step>
  void work_in_steps(std::uint64_t last, Step&& step) {
    RocksDbStore store(directory_, options_);
    begin(store);
    for (std::uint64_t tid = store.last_tid().value + 1; tid <= last; ++tid) {
      write(store, tid);
      step(store_files());
    }
  }

  /// The same with one call before the store is closed.
  template <class Quiet>
  void work(std::uint64_t last, Quiet&& quiet) {
    RocksDbStore store(directory_, options_);
    begin(store);
    for (std::uint64_t tid = store.last_tid().value + 1; tid <= last; ++tid) write(store, tid);
    quiet(store_files());
  }
  void work(std::uint64_t last) {
    work(last, [](const Files&) {});
  }

  /// Packs it, when it is closed.
  void pack(std::uint64_t before) {
    RocksDbStore store(directory_, options_);
    packed_ = store.pack({.before = Tid{before}, .is_garbage = {}, .progress = {}}).oldest;
  }

  /// Every object at every tid up to `last`. A typed error about a record is in order, and below a pack; a wrong record is not.
  void expect_history(RocksDbStore& store, std::uint64_t last) const {
    ASSERT_EQ(store.last_tid(), Tid{last});
    for (std::uint64_t n = 0; n < kObjects; ++n) {
      for (std::uint64_t tid = 1; tid <= last; ++tid) {
        std::optional<Revision> found;
        try {
          found = store.load(Oid{oids_ + n}, Tid{tid});
        } catch (const Error&) {
          continue;
        }
        std::uint64_t begin = tid;
        while (begin > 0 && action_of(n, begin) == Action::nothing) --begin;
        if (Tid{begin} <= packed_ && begin > 0 && action_of(n, begin) == Action::erase) begin = 0;  // it has gone
        ASSERT_EQ(found.has_value(), begin > 0) << "object " << n << " at " << tid;
        if (!found) continue;
        ASSERT_EQ(found->begin, Tid{begin}) << "object " << n << " at " << tid;
        ASSERT_EQ(found->erased, action_of(n, begin) == Action::erase) << "object " << n << " at " << tid;
        const std::string expected = found->erased ? "" : record_of(n, begin, record_bytes_);
        ASSERT_EQ(found->record, expected) << "object " << n << " at " << tid;
      }
    }
  }

  /// The highest oid that was given away.
  std::uint64_t given() const { return given_; }
  const RocksDbOptions& options() const { return options_; }

 private:
  static constexpr std::uint64_t kObjects = 6;
  enum class Action { nothing, write, erase };

  static Action action_of(std::uint64_t n, std::uint64_t tid) {
    const std::uint64_t dice = (n * 7919 + tid * 104729) % 7;
    return dice == 0 ? Action::erase : dice < 4 ? Action::write : Action::nothing;
  }

  void begin(RocksDbStore& store) {
    const std::uint64_t fresh = store.last_tid() == Tid{} ? kObjects : 1;
    given_ = store.allocate_oids(fresh).first.value + fresh - 1;
  }

  // The files while the store is open, once no flush or compaction is under way.
  Files store_files() const {
    Files files = read_files(directory_);
    for (Files before; files != before; files = read_files(directory_)) {
      before = std::move(files);
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
    }
    return files;
  }

  void write(RocksDbStore& store, std::uint64_t tid) const {
    std::vector<std::string> records(kObjects);
    std::vector<ObjectWrite> objects;
    for (std::uint64_t n = 0; n < kObjects; ++n) {
      const Oid oid{oids_ + n};
      if (action_of(n, tid) == Action::erase) objects.push_back({oid, true, {}});
      if (action_of(n, tid) != Action::write) continue;
      records[n] = record_of(n, tid, record_bytes_);
      objects.push_back({oid, false, records[n]});
    }
    commit(store, tid, objects);
  }

  std::filesystem::path directory_;
  RocksDbOptions options_;
  std::size_t record_bytes_;
  std::uint64_t oids_ = kRootOid.value + 1;  // the first that a store gives
  std::uint64_t given_ = 0;
  Tid packed_{};
};

}  // namespace cow::testing
