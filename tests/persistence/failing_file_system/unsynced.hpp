// What a power failure takes away: writes to files, and changes to directories, that were not synced.
//
// The model is the strict one of POSIX. The bytes and the length of a file are durable once fsync or fdatasync of the
// file has returned; that a name exists, or is gone, or belongs to another file, once fsync of its directory has
// returned. Syncing a file does not make its name durable, nor the other way round. A power failure undoes the rest:
// all of it, or all but a first part of each file's writes (of which the last is cut in the middle) and a first part of
// the changes of directories. Not modelled: writes that reach the device out of order, torn or damaged sectors, memory
// maps, and metadata other than names and lengths.
//
// Thread safety: none; the caller serialises all calls.
#pragma once

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cow::testing {

/// The next definition of a function of libc: the real one.
template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// Remembers how to undo what is not durable yet.
class Unsynced {
 public:
  using FileId = std::pair<dev_t, ino_t>;

  explicit Unsynced(std::string backups) : backups_(std::move(backups)) {}

  /// Before `length` bytes are written at `offset`, or (`length` 0) before the file is cut to `offset` bytes.
  void before_write(int fd, off_t offset, std::size_t length) {
    struct stat file = {};
    if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) return;
    File& log = files_[{file.st_dev, file.st_ino}];
    // A descriptor of its own: by the time of the power failure the file may be closed, renamed or removed.
    if (log.fd < 0) log.fd = real_open("/proc/self/fd/" + std::to_string(fd), O_RDWR | O_CLOEXEC);
    Write write{offset, length, file.st_size, {}};
    if (offset < file.st_size) {
      const off_t end = length == 0 ? file.st_size : std::min<off_t>(file.st_size, offset + static_cast<off_t>(length));
      write.before.resize(static_cast<std::size_t>(end - offset));
      static auto* const pread = real<ssize_t(int, void*, std::size_t, off_t)>("pread");
      const ssize_t got = pread(log.fd, write.before.data(), write.before.size(), offset);
      write.before.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    log.writes.push_back(std::move(write));
  }

  void synced(int fd) {
    struct stat file = {};
    if (::fstat(fd, &file) != 0) return;
    const FileId id{file.st_dev, file.st_ino};
    if (S_ISDIR(file.st_mode)) {
      std::erase_if(changes_, [&](const Change& change) {
        if (change.directory == id && !change.backup.empty()) real_unlink(change.backup);
        return change.directory == id;
      });
    } else if (const auto found = files_.find(id); found != files_.end()) {
      if (found->second.fd >= 0) real_close(found->second.fd);
      files_.erase(found);
    }
  }

  void created(const std::string& path) { changes_.push_back({Kind::created, directory_of(path), path, "", ""}); }
  void made_directory(const std::string& path) {
    changes_.push_back({Kind::made_directory, directory_of(path), path, "", ""});
  }
  /// Before the file is removed.
  void before_remove(const std::string& path) {
    changes_.push_back({Kind::removed, directory_of(path), path, "", keep(path)});
  }
  /// Before the file is renamed, within its directory.
  void before_rename(const std::string& from, const std::string& to) {
    changes_.push_back({Kind::renamed, directory_of(to), from, to, keep(to)});
  }
  /// The call failed that was announced last.
  void forget_change() {
    if (!changes_.back().backup.empty()) real_unlink(changes_.back().backup);
    changes_.pop_back();
  }

  /// The power fails. `seed` 0: all is lost; otherwise a part, which `seed` chooses.
  void lose(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (auto& [id, file] : files_) {
      const std::size_t kept = seed == 0 ? 0 : random() % (file.writes.size() + 1);
      for (std::size_t i = file.writes.size(); i > kept; --i) undo(file, file.writes[i - 1], 0);
      if (kept > 0) undo(file, file.writes[kept - 1], file.writes[kept - 1].length / 2);
    }
    const std::size_t kept = seed == 0 ? 0 : random() % (changes_.size() + 1);
    for (std::size_t i = changes_.size(); i > kept; --i) undo(changes_[i - 1]);
  }

 private:
  struct Write {
    off_t offset;
    std::size_t length;
    off_t size;          // of the file before
    std::string before;  // what was there, of the bytes below `size`
  };
  struct File {
    int fd = -1;
    std::vector<Write> writes;
  };
  enum class Kind { created, made_directory, removed, renamed };
  struct Change {
    Kind kind;
    FileId directory;
    std::string path;
    std::string to;
    std::string backup;  // another name of the file that `path` or `to` was
  };

  // All but the first `kept` bytes.
  static void undo(const File& file, const Write& write, std::size_t kept) {
    static auto* const pwrite = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
    static auto* const ftruncate = real<int(int, off_t)>("ftruncate");
    if (file.fd < 0) return;
    if (write.before.size() > kept) {
      static_cast<void>(pwrite(file.fd, write.before.data() + kept, write.before.size() - kept,
                               write.offset + static_cast<off_t>(kept)));
    }
    static_cast<void>(
        ftruncate(file.fd, std::max(write.size, kept == 0 ? 0 : write.offset + static_cast<off_t>(kept))));
  }

  static void undo(const Change& change) {
    static auto* const rename = real<int(const char*, const char*)>("rename");
    static auto* const rmdir = real<int(const char*)>("rmdir");
    switch (change.kind) {
      case Kind::created:
        real_unlink(change.path);
        break;
      case Kind::made_directory:
        rmdir(change.path.c_str());
        break;
      case Kind::removed:
        rename(change.backup.c_str(), change.path.c_str());
        break;
      case Kind::renamed:
        rename(change.to.c_str(), change.path.c_str());
        if (!change.backup.empty()) rename(change.backup.c_str(), change.to.c_str());
        break;
    }
  }

  // Another name for the file `path`, by which it can be had back; empty if there is no such file.
  std::string keep(const std::string& path) {
    ::mkdir(backups_.c_str(), 0700);
    const std::string backup = backups_ + "/" + std::to_string(++kept_);
    return ::link(path.c_str(), backup.c_str()) == 0 ? backup : "";
  }

  static FileId directory_of(const std::string& path) {
    struct stat directory = {};
    ::stat(path.substr(0, path.rfind('/') + 1).c_str(), &directory);
    return {directory.st_dev, directory.st_ino};
  }

  static int real_open(const std::string& path, int flags) {
    static auto* const open = real<int(const char*, int, ...)>("open");
    return open(path.c_str(), flags);
  }
  static void real_close(int fd) { real<int(int)>("close")(fd); }
  static void real_unlink(const std::string& path) { real<int(const char*)>("unlink")(path.c_str()); }

  const std::string backups_;
  std::uint64_t kept_ = 0;
  std::map<FileId, File> files_;
  std::vector<Change> changes_;
};

}  // namespace cow::testing
