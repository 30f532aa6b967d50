// What the tests of stores share: a directory that cleans up after itself, and transactions in one line.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "cow_cache/detail/sanitizers.hpp"
#include "cow_cache/store.hpp"
#include "persistence/rocksdb_store.hpp"

#ifndef COW_CACHE_STORE_FIXTURES  // outside of Meson, from the top folder
#define COW_CACHE_STORE_FIXTURES "tests/persistence/fixtures/stores"
#endif

namespace cow::testing {

/// The directory of the stores that earlier versions have written (fixtures/README.md).
inline constexpr const char* kStoreFixtures = COW_CACHE_STORE_FIXTURES;

/// How often a test repeats itself: `times`, or a quarter of it under a sanitizer, where opening a database takes long.
constexpr int repetitions(int times) {
  return detail::kThreadSanitizer || detail::kAddressSanitizer ? times / 4 : times;
}

/// A fresh directory, removed with all its content at the end. Its child `store` does not exist yet.
class ScratchDirectory {
 public:
  explicit ScratchDirectory(const std::filesystem::path& in = std::filesystem::temp_directory_path()) {
    std::string name = (in / "cow_store_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
    path_ = name;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path store() const { return path_ / "store"; }

 private:
  std::filesystem::path path_;
};

/// `options`, for a store that is made if it is missing.
inline RocksDbOptions creating(RocksDbOptions options = {}) {
  options.create_if_missing = true;
  return options;
}

inline ObjectWrite put(std::uint64_t oid, std::string_view record) { return {Oid{oid}, false, record}; }
inline ObjectWrite erase(std::uint64_t oid) { return {Oid{oid}, true, {}}; }

/// Commits one transaction.
inline void commit(Store& store, std::uint64_t tid, const std::vector<ObjectWrite>& objects) {
  const TransactionWrite transaction{Tid{tid}, objects};
  store.commit({&transaction, 1});
}

/// A record that can be recognised by what it belongs to, `size` bytes long.
inline std::string record_of(std::uint64_t oid, std::uint64_t tid, std::size_t size = 100) {
  std::string text = std::to_string(oid) + "@" + std::to_string(tid) + ";";
  while (text.size() < size) text += text;
  text.resize(size);
  return text;
}

}  // namespace cow::testing
