// Where a store lies: its path, found or made, and unmade again if nothing comes of it.
//
// Thread safety: plain values.
//
// Invariants:
//  1. `StorePlace::path()` is absolute and free of symbolic links, so that a process may change its directory, and a
//     link be turned elsewhere, while the store is open.
//  2. An open or a creation that fails leaves the directories and files that were there before, and no others. Only a
//     crash leaves a creation half done; the next one takes it up.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cow::detail {

/// The directory of a store.
class StorePlace {
 public:
  /// Finds `directory`, or makes it, and those above it, durably. Throws StoreMissingError if it is not there and not
  /// `create`; StoreFormatError if it is a file; StoreError if `directory` is no path at all, or cannot be made.
  StorePlace(const std::filesystem::path& directory, bool create);
  /// Removes the directories that it has made, if they are empty, unless they are kept.
  ~StorePlace();
  StorePlace(const StorePlace&) = delete;
  StorePlace& operator=(const StorePlace&) = delete;

  void keep() noexcept { made_.clear(); }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void make(const std::filesystem::path& directory);
  void unmake() noexcept;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // outermost first
};

/// True for the names of the files that a new directory gets before there is a database (before CURRENT is there):
/// what an interrupted creation may leave, and a file system's own lost+found.
bool is_leftover_of_creation(std::string_view name) noexcept;

/// The names in `directory`, sorted. Throws StoreError if it cannot be read.
std::vector<std::string> names_in(const std::filesystem::path& directory);

/// Removes the files that a creation that failed has added. REQUIRES: the directory's lock is held for its lifetime.
class CreationGuard {
 public:
  /// Does nothing if not `creating`. Throws StoreError if the directory cannot be read.
  CreationGuard(const std::filesystem::path& directory, bool creating);
  ~CreationGuard();
  CreationGuard(const CreationGuard&) = delete;
  CreationGuard& operator=(const CreationGuard&) = delete;

  /// The store is there.
  void done() noexcept { active_ = false; }

 private:
  const std::filesystem::path& directory_;
  std::vector<std::string> before_;
  bool active_;
};

}  // namespace cow::detail
