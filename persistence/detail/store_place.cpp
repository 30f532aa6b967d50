#include "store_place.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "cow_cache/errors.hpp"
#include "rocksdb_status.hpp"
#include "witness.hpp"

namespace cow::detail {
namespace fs = std::filesystem;
namespace {

void sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int failure = fd >= 0 && ::fsync(fd) == 0 ? 0 : errno;
  if (fd >= 0) ::close(fd);
  if (failure != 0)
    throw StoreError(store_message(directory, "sync the directory", std::generic_category().message(failure)));
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_numbered(std::string_view name, std::string_view prefix, std::string_view suffix = "") {
  return name.size() > prefix.size() + suffix.size() && name.starts_with(prefix) && name.ends_with(suffix) &&
         is_number(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
}

bool is_file_of_new_database(std::string_view name) {
  return (is_leftover_of_creation(name) && name != "lost+found") || name == "CURRENT" ||
         is_numbered(name, "", ".log") || is_numbered(name, "", ".sst");
}

}  // namespace

StorePlace::StorePlace(const fs::path& directory, bool create) {
  if (directory.empty()) throw StoreError(store_message(directory, "open", "the path is empty"));
  if (directory.native().find('\0') != fs::path::string_type::npos) {
    throw StoreError(store_message(directory.c_str(), "open", "the path has a NUL character behind this"));
  }
  std::error_code failure;
  const fs::file_type kind = fs::status(directory, failure).type();
  if (kind == fs::file_type::not_found) {
    // A symbolic link to nowhere is none of our making: the link says where, but not that it should be made.
    if (fs::is_symlink(fs::symlink_status(directory, failure))) {
      throw StoreError(store_message(directory, "open", "a symbolic link to nothing"));
    }
    if (!create) {
      throw StoreMissingError(
          store_message(directory, "open", "there is no such directory; RocksDbStore::create makes a store"));
    }
  } else if (kind == fs::file_type::none) {
    throw StoreError(store_message(directory, "open", failure.message()));
  } else if (kind != fs::file_type::directory) {
    throw StoreFormatError(store_message(directory, "open", "not a directory"));
  }
  try {
    if (kind == fs::file_type::not_found) {
      const fs::path whole = fs::absolute(directory, failure);
      if (failure) throw StoreError(store_message(directory, "find the directory", failure.message()));
      make(whole.has_filename() ? whole : whole.parent_path());
    }
    path_ = fs::canonical(directory, failure);
    if (failure) throw StoreError(store_message(directory, "find the directory", failure.message()));
  } catch (...) {
    unmake();
    throw;
  }
}

StorePlace::~StorePlace() { unmake(); }

void StorePlace::make(const fs::path& directory) {
  std::error_code failure;
  const fs::file_type kind = fs::status(directory, failure).type();
  if (kind == fs::file_type::directory) return;
  if (kind != fs::file_type::not_found) {
    throw StoreError(store_message(directory, "create the directory",
                                   kind == fs::file_type::none ? failure.message() : "a file is in its place"));
  }
  const fs::path above = directory.parent_path();
  if (above == directory) throw StoreError(store_message(directory, "create the directory", "it has none above it"));
  make(above);
  // "a/b/..": with "a/b" made, this is there.
  if (fs::is_directory(directory, failure)) return;
  made_.push_back(directory);
  if (!fs::create_directory(directory, failure)) {
    made_.pop_back();
    if (!failure) return;  // another process was faster
    throw StoreError(store_message(directory, "create the directory", failure.message()));
  }
  // RocksDB syncs the directory, but not its name in the one above: a power failure could lose the whole store.
  sync_directory(above);
}

void StorePlace::unmake() noexcept {
  while (!made_.empty()) {
    ::rmdir(made_.back().c_str());
    made_.pop_back();
  }
}

bool is_leftover_of_creation(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 6> kNames{"LOG",        "LOCK",       "IDENTITY",
                                                   "lost+found", kWitnessName, kTemporaryWitness};
  return std::ranges::find(kNames, name) != kNames.end() || is_numbered(name, "LOG.old.") ||
         is_numbered(name, "MANIFEST-") || is_numbered(name, "OPTIONS-") || is_numbered(name, "OPTIONS-", ".dbtmp") ||
         is_numbered(name, "", ".dbtmp");
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator it(directory, failure), end; !failure && it != end; it.increment(failure)) {
    names.push_back(it->path().filename().string());
  }
  if (failure) throw StoreError(store_message(directory, "read the directory", failure.message()));
  std::ranges::sort(names);
  return names;
}

CreationGuard::CreationGuard(const fs::path& directory, bool creating) : directory_(directory), active_(creating) {
  if (!active_) return;
  before_ = names_in(directory_);
  // A database without content, of a creation that a crash has ended: RocksDB knows best which of its files it needs.
  if (std::ranges::binary_search(before_, "CURRENT")) active_ = false;
}

CreationGuard::~CreationGuard() {
  if (!active_) return;
  try {
    std::vector<std::string> names = names_in(directory_);
    std::erase_if(names, [&](const std::string& name) {
      return !is_file_of_new_database(name) || std::ranges::binary_search(before_, name);
    });
    // CURRENT goes first: without it the rest is no database.
    std::stable_partition(names.begin(), names.end(), [](const std::string& name) { return name == "CURRENT"; });
    for (const std::string& name : names) ::unlink((directory_ / name).c_str());
  } catch (const std::exception&) {
    // What is left is what a crash would leave.
  }
}

}  // namespace cow::detail
