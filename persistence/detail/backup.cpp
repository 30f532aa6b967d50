#include "backup.hpp"

#include <fcntl.h>
#include <rocksdb/db.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/errors.hpp"
#include "file_descriptor.hpp"
#include "low_priority_thread.hpp"
#include "persistence/directory_size.hpp"
#include "rocksdb_status.hpp"
#include "witness.hpp"

namespace cow::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOperation = "back up";

// With a log of less, copying it is cheaper than a flush, which leaves a small file in each column family.
constexpr std::uint64_t kFlushFrom = std::uint64_t{4} << 20;

// Of a copy: so much is handed to the device before the next is written, for a commit's sync waits for what stands before it. A log of 4 MiB
// at once holds up one that comes in between for more than a millisecond.
constexpr std::size_t kSliceBytes = std::size_t{64} << 10;

/// Rests after each step, for commits want the device, too.
class Pace {
 public:
  // For so many times as long as it has worked. Each sync may hold up a commit, so there must be few of them in a second.
  static constexpr int kAfterSlice = 1, kAfterSync = 8;
  // A thread that gets no processor, or a slow device, makes each step long; this much lets commits by all the same.
  static constexpr std::chrono::milliseconds kLongestRest{100};

  /// What was done so far, waiting for instance, is not rested for.
  void begin() { since_ = Clock::now(); }

  void rest(int times) {
    std::this_thread::sleep_for(std::min<Clock::duration>(times * (Clock::now() - since_), kLongestRest));
    since_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point since_ = Clock::now();
};

[[noreturn]] void refuse(const fs::path& store, const std::string& why) {
  throw StoreError(store_message(store, kOperation, why));
}

[[noreturn]] void refuse_file(const fs::path& store, const fs::path& file, int failure = errno) {
  const std::string why = file.string() + ": " + std::generic_category().message(failure);
  if (failure == ENOSPC || failure == EDQUOT) throw StoreFullError(store_message(store, kOperation, why));
  refuse(store, why);
}

void require_new(const fs::path& store, const fs::path& target) {
  std::error_code failure;
  if (fs::symlink_status(target, failure).type() == fs::file_type::not_found) return;
  throw StoreExistsError(store_message(store, kOperation, "'" + target.string() + "' is there already"));
}

/// A folder to work in, which nobody else has: of several backups to one place the first one goes on. Removed at the end, with what is in it.
class WorkFolder {
 public:
  WorkFolder(const fs::path& store, fs::path path) : path_(std::move(path)) {
    if (::mkdir(path_.c_str(), 0777) == 0) return;
    const int failure = errno;
    if (failure == EEXIST) require_new(store, path_);  // somebody makes it now, or was killed over it
    refuse_file(store, path_, failure);
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

 private:
  fs::path path_;
};

/// Absolute, and not within the store.
fs::path place_of(const fs::path& store, const fs::path& target) {
  std::error_code failure;
  fs::path name = fs::absolute(target, failure).lexically_normal();
  if (!name.has_filename()) name = name.parent_path();  // "copy/"
  if (failure || !name.has_filename()) refuse(store, "'" + target.string() + "' is no name of a directory");
  const fs::path parent = fs::canonical(name.parent_path(), failure);
  if (failure) refuse(store, name.parent_path().string() + ": " + failure.message());
  for (fs::path folder = parent; folder.has_relative_path(); folder = folder.parent_path()) {
    if (folder == store) refuse(store, "a backup must not lie within the store");
  }
  return parent / name.filename();
}

/// While there is one, RocksDB removes no file. What it needs no more is gone when the last one is.
class KeptFiles {
 public:
  KeptFiles(const fs::path& store, const RocksDbHandle& handle, FileKeepers& keepers)
      : keeper_(keepers), handle_(handle) {
    require_ok(store, kOperation, handle->DisableFileDeletions());
  }
  ~KeptFiles() { handle_->EnableFileDeletions(false).PermitUncheckedError(); }
  KeptFiles(const KeptFiles&) = delete;
  KeptFiles& operator=(const KeptFiles&) = delete;

 private:
  const FileKeepers::Keeper keeper_;  // first: it goes when RocksDB has removed what it had to leave
  const RocksDbHandle& handle_;
};

void sync_directory(const fs::path& store, const fs::path& path) {
  const FileDescriptor directory(path, O_RDONLY | O_DIRECTORY);
  if (!directory || ::fsync(directory.get()) != 0) refuse_file(store, path);
}

/// Writes a slice of a new file, and hands it to the device.
void write_slice(const fs::path& store, const fs::path& path, int file, std::uint64_t offset, std::string_view bytes) {
  const auto begin = static_cast<off_t>(offset);
  for (off_t at = begin; !bytes.empty();) {
    const ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse_file(store, path);
    at += written;
    bytes.remove_prefix(static_cast<std::size_t>(written));
    // Whether all has arrived the sync at the end says; not every file system can do this.
    if (bytes.empty())
      ::sync_file_range(file, begin, at - begin,
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  }
}

/// Makes `to` of `size` bytes: `read(offset, most)` returns the next of them, one at least.
template <class Read>
void write_file(const fs::path& store, const fs::path& to, std::uint64_t size, Pace& pace, Read read) {
  const FileDescriptor file(to, O_WRONLY | O_CREAT | O_EXCL);
  if (!file) refuse_file(store, to);
  for (std::uint64_t offset = 0; offset < size;) {
    const std::string_view slice =
        read(offset, static_cast<std::size_t>(std::min<std::uint64_t>(kSliceBytes, size - offset)));
    write_slice(store, to, file.get(), offset, slice);
    offset += slice.size();
    if (offset < size) pace.rest(Pace::kAfterSlice);
  }
  if (::fdatasync(file.get()) != 0) refuse_file(store, to);
  pace.rest(Pace::kAfterSync);
}

void copy_file(const fs::path& store, const fs::path& from, const fs::path& to, std::uint64_t size, Pace& pace) {
  const FileDescriptor source(from, O_RDONLY);
  if (!source) refuse_file(store, from);
  std::string buffer(kSliceBytes, '\0');
  write_file(store, to, size, pace, [&](std::uint64_t offset, std::size_t most) -> std::string_view {
    for (;;) {
      const ssize_t count = ::pread(source.get(), buffer.data(), most, static_cast<off_t>(offset));
      if (count > 0) return {buffer.data(), static_cast<std::size_t>(count)};
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) refuse_file(store, from);
      refuse(store, from.string() + " ends at " + std::to_string(offset) + " bytes of " + std::to_string(size));
    }
  });
}

/// False: it cannot be on this file system, or not once more.
bool share_file(const fs::path& store, const fs::path& from, const fs::path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return true;
  if (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP) return false;
  refuse_file(store, to);
}

/// Makes `copy` of all that RocksDB needs to open it. What rocksdb::Checkpoint does, but in slices.
void copy_files(const fs::path& store, const RocksDbHandle& handle, FileKeepers& keepers, const fs::path& copy,
                Pace& pace) {
  const KeptFiles kept(store, handle, keepers);
  pace.begin();
  rocksdb::LiveFilesStorageInfoOptions with;
  with.wal_size_for_flush = kFlushFrom;
  std::vector<rocksdb::LiveFileStorageInfo> files;
  require_ok(store, kOperation, handle->GetLiveFilesStorageInfo(with, &files));
  if (::mkdir(copy.c_str(), 0777) != 0) refuse_file(store, copy);
  for (const rocksdb::LiveFileStorageInfo& file : files) {
    const fs::path from = fs::path(file.directory) / file.relative_filename;
    const fs::path to = copy / file.relative_filename;
    if (!file.replacement_contents.empty()) {
      write_file(store, to, file.size, pace, [&](std::uint64_t offset, std::size_t most) {
        return std::string_view(file.replacement_contents).substr(offset, most);
      });
    } else if (file.trim_to_size || !share_file(store, from, to)) {
      copy_file(store, from, to, file.size, pace);
    }
  }
  sync_directory(store, copy);
  pace.rest(Pace::kAfterSync);
}

void write_witness(const fs::path& store, const fs::path& copy, const BackedUp& content) {
  WitnessRecord record;
  record.store_id = content.store_id;
  record.state = WitnessRecord::State::open;
  {
    Witness witness(copy);
    witness.begin(record);
    witness.opened(content.end, content.oid_limit, content.oid_limit);
    witness.checkpoint(0);
  }
  const std::optional<WitnessRecord> written = read_witness(copy);
  if (!written || written->end != content.end || written->manifest.size == 0)
    refuse(store, "the copy's witness could not be written");
}

void rename_durably(const fs::path& store, const fs::path& from, const fs::path& to) {
  // Not over an empty directory either, which rename would do.
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) require_new(store, to);
    // Some file systems cannot promise that.
    if (errno != EINVAL || ::rename(from.c_str(), to.c_str()) != 0) refuse_file(store, to);
  }
  sync_directory(store, to.parent_path());
}

}  // namespace

std::uint64_t make_backup(const fs::path& store, const RocksDbHandle& handle, FileKeepers& keepers,
                          const BackedUp& content, const fs::path& target) {
  const fs::path place = place_of(store, target);
  require_new(store, place);
  const fs::path part = place.string() + ".part";
  const WorkFolder folder(store, part);
  const fs::path copy = part / "store";
  // Not in this thread: what is copied must not keep a commit from the processor when the device has answered it.
  LowPriorityThread thread(store, kOperation);
  thread.run([&] {
    Pace pace;
    copy_files(store, handle, keepers, copy, pace);
    write_witness(store, copy, content);
    pace.rest(Pace::kAfterSync);
    rename_durably(store, copy, place);
    pace.rest(Pace::kAfterSync);
  });
  return directory_size(place).bytes;
}

}  // namespace cow::detail
