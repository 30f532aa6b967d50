// A library to be preloaded (LD_PRELOAD) that stands between a program and its files, and makes one call fail.
//
// Only paths below $COW_FAULT_DIRECTORY are concerned. Each kind of call is counted over the whole life of the process;
// the fault of $COW_FAULT strikes at the n-th of its kind. What a power failure loses is told in `unsynced.hpp`.
//
// Thread safety: every call below the directory is made under one lock, so that the counts have one order, and nothing
// changes while the power fails.
#undef _FILE_OFFSET_BITS  // both open and open64 are defined here
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <string>

#include "fault.hpp"
#include "unsynced.hpp"

using cow::testing::Effect;
using cow::testing::Fault;
using cow::testing::FaultReport;
using cow::testing::Operation;
using cow::testing::real;
using cow::testing::Unsynced;

namespace {

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

class Shim {
 public:
  // Never destroyed: files are closed until the very end of the process.
  static Shim& instance() {
    static Shim& shim = *new Shim;
    return shim;
  }

  std::mutex& mutex() { return mutex_; }
  Unsynced& unsynced() { return unsynced_; }

  bool concerns(const char* path) const {
    return !directory_.empty() && path != nullptr && std::string_view(path).starts_with(directory_) &&
           (path[directory_.size()] == '\0' || path[directory_.size()] == '/');
  }
  bool concerns(int fd) const { return fd >= 0 && fd < kDescriptors && !paths_[static_cast<std::size_t>(fd)].empty(); }
  const std::string& path_of(int fd) const { return paths_[static_cast<std::size_t>(fd)]; }
  void track(int fd, const char* path) {
    if (fd >= 0 && fd < kDescriptors) paths_[static_cast<std::size_t>(fd)] = path;
  }

  // Counts a call. Dies, or returns what is to happen to it; nothing: it goes through.
  std::optional<Effect> strike(Operation operation, std::string_view path) {
    if (fault_ && path.find(fault_->files) == path.npos) return std::nullopt;
    const std::uint64_t count = ++report_->calls[static_cast<std::size_t>(operation)];
    if (!fault_ || fault_->operation != operation) return std::nullopt;
    if (count < fault_->first || (fault_->times != 0 && count >= fault_->first + fault_->times)) return std::nullopt;
    ++report_->faults;
    switch (fault_->effect) {
      case Effect::power:
        unsynced_.lose(0);
        break;
      case Effect::torn_power:
        unsynced_.lose(count * 2 + 1);
        break;
      case Effect::kill:
        break;
      default:
        return fault_->effect;
    }
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

  // The same for a call that can only succeed or fail. True: it fails, and errno says why.
  bool fails(Operation operation, std::string_view path) {
    const std::optional<Effect> effect = strike(operation, path);
    if (!effect || *effect == Effect::partial) return false;
    errno = *effect == Effect::enospc ? ENOSPC : *effect == Effect::emfile ? EMFILE : EIO;
    return true;
  }

 private:
  static constexpr int kDescriptors = 4096;

  Shim()
      : directory_(variable(cow::testing::kFaultDirectoryVariable)),
        fault_(Fault::parse(variable(cow::testing::kFaultVariable))),
        unsynced_(directory_ + ".undo") {
    const std::string report = variable(cow::testing::kFaultReportVariable);
    const int fd = real<int(const char*, int, ...)>("open")(report.c_str(), O_RDWR | O_CLOEXEC);
    void* memory = MAP_FAILED;
    if (fd >= 0) memory = ::mmap(nullptr, sizeof(FaultReport), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    report_ = memory == MAP_FAILED ? new FaultReport{} : static_cast<FaultReport*>(memory);
    if (fd >= 0) real<int(int)>("close")(fd);
  }

  const std::string directory_;
  const std::optional<Fault> fault_;
  FaultReport* report_ = nullptr;
  std::mutex mutex_;
  std::array<std::string, kDescriptors> paths_;  // of open files; empty: none below the directory
  Unsynced unsynced_;
};

int open_file(const char* path, int flags, mode_t mode) {
  static auto* const next = real<int(const char*, int, ...)>("open");
  Shim& shim = Shim::instance();
  if (!shim.concerns(path)) {
    const int fd = next(path, flags, mode);
    return fd;
  }
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::open, path)) return -1;
  const bool is_new = (flags & O_CREAT) != 0 && ::access(path, F_OK) != 0;
  if ((flags & O_TRUNC) != 0 && !is_new) {
    const int before = next(path, O_RDONLY | O_CLOEXEC);
    if (before >= 0) {
      shim.unsynced().before_write(before, 0, 0);
      real<int(int)>("close")(before);
    }
  }
  const int fd = next(path, flags, mode);
  if (fd >= 0 && is_new) shim.unsynced().created(path);
  shim.track(fd, path);
  return fd;
}

FILE* open_stream(const char* path, const char* mode) {
  static auto* const next = real<FILE*(const char*, const char*)>("fopen");
  Shim& shim = Shim::instance();
  if (!shim.concerns(path)) return next(path, mode);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::open, path)) return nullptr;
  FILE* const stream = next(path, mode);
  if (stream != nullptr) shim.track(::fileno(stream), path);
  return stream;
}

template <class Read>
ssize_t read_some(int fd, std::size_t count, Read read) {
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return read(count);
  const std::lock_guard lock(shim.mutex());
  const std::optional<Effect> effect = shim.strike(Operation::read, shim.path_of(fd));
  if (!effect) return read(count);
  if (*effect == Effect::partial) return read(count / 2 + count % 2);
  errno = EIO;
  return -1;
}

template <class Write>
ssize_t write_some(int fd, off_t offset, std::size_t count, Write write) {
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return write(count);
  const std::lock_guard lock(shim.mutex());
  const std::optional<Effect> effect = shim.strike(Operation::write, shim.path_of(fd));
  if (offset < 0) {
    struct stat file = {};
    ::fstat(fd, &file);
    offset = (::fcntl(fd, F_GETFL) & O_APPEND) != 0 ? file.st_size : ::lseek(fd, 0, SEEK_CUR);
  }
  const std::size_t half = count / 2 + count % 2;
  if (!effect || *effect == Effect::partial || *effect == Effect::torn) {
    const std::size_t wanted = effect ? half : count;
    shim.unsynced().before_write(fd, offset, wanted);
    const ssize_t written = write(wanted);
    if (!effect || *effect == Effect::partial) return written;
  }
  errno = *effect == Effect::enospc ? ENOSPC : EIO;
  return -1;
}

template <class Sync>
int sync_file(int fd, Sync sync) {
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return sync(fd);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::sync, shim.path_of(fd))) return -1;
  const int result = sync(fd);
  if (result == 0) shim.unsynced().synced(fd);
  return result;
}

template <class Close>
auto close_file(int fd, Close close) {
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return close();
  const std::lock_guard lock(shim.mutex());
  shim.track(fd, "");
  return close();
}

template <class Remove>
int remove_file(const char* path, Remove remove) {
  Shim& shim = Shim::instance();
  if (!shim.concerns(path)) return remove(path);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::remove, path)) return -1;
  shim.unsynced().before_remove(path);
  const int result = remove(path);
  const int error = errno;
  if (result != 0) shim.unsynced().forget_change();
  errno = error;
  return result;
}

int cut_file(int fd, off_t length) {
  static auto* const next = real<int(int, off_t)>("ftruncate");
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return next(fd, length);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::resize, shim.path_of(fd))) return -1;
  shim.unsynced().before_write(fd, length, 0);
  return next(fd, length);
}

int reserve_room(int fd, int mode, off_t offset, off_t length) {
  static auto* const next = real<int(int, int, off_t, off_t)>("fallocate");
  Shim& shim = Shim::instance();
  if (!shim.concerns(fd)) return next(fd, mode, offset, length);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::resize, shim.path_of(fd))) return -1;
  return next(fd, mode, offset, length);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_file(path, flags, mode);
}
FILE* fopen(const char* path, const char* mode) { return open_stream(path, mode); }
FILE* fopen64(const char* path, const char* mode) { return open_stream(path, mode); }

int close(int fd) {
  static auto* const next = real<int(int)>("close");
  return close_file(fd, [&] { return next(fd); });
}
int fclose(FILE* stream) {
  static auto* const next = real<int(FILE*)>("fclose");
  return close_file(::fileno(stream), [&] { return next(stream); });
}

ssize_t read(int fd, void* to, std::size_t count) {
  static auto* const next = real<ssize_t(int, void*, std::size_t)>("read");
  return read_some(fd, count, [&](std::size_t wanted) { return next(fd, to, wanted); });
}
ssize_t pread(int fd, void* to, std::size_t count, off_t offset) {
  static auto* const next = real<ssize_t(int, void*, std::size_t, off_t)>("pread");
  return read_some(fd, count, [&](std::size_t wanted) { return next(fd, to, wanted, offset); });
}
ssize_t pread64(int fd, void* to, std::size_t count, off64_t offset) { return ::pread(fd, to, count, offset); }
std::size_t fread_unlocked(void* to, std::size_t size, std::size_t count, FILE* stream) {
  static auto* const next = real<std::size_t(void*, std::size_t, std::size_t, FILE*)>("fread_unlocked");
  const ssize_t got = read_some(::fileno(stream), count, [&](std::size_t wanted) {
    return static_cast<ssize_t>(next(to, size, wanted, stream));
  });
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

ssize_t write(int fd, const void* from, std::size_t count) {
  static auto* const next = real<ssize_t(int, const void*, std::size_t)>("write");
  return write_some(fd, -1, count, [&](std::size_t wanted) { return next(fd, from, wanted); });
}
ssize_t pwrite(int fd, const void* from, std::size_t count, off_t offset) {
  static auto* const next = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
  return write_some(fd, offset, count, [&](std::size_t wanted) { return next(fd, from, wanted, offset); });
}
ssize_t pwrite64(int fd, const void* from, std::size_t count, off64_t offset) {
  return ::pwrite(fd, from, count, offset);
}

int fsync(int fd) {
  static auto* const next = real<int(int)>("fsync");
  return sync_file(fd, next);
}
int fdatasync(int fd) {
  static auto* const next = real<int(int)>("fdatasync");
  return sync_file(fd, next);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const next = real<int(const char*, const char*)>("rename");
  Shim& shim = Shim::instance();
  if (!shim.concerns(from) || !shim.concerns(to)) return next(from, to);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::rename, to)) return -1;
  shim.unsynced().before_rename(from, to);
  const int result = next(from, to);
  const int error = errno;
  if (result != 0) shim.unsynced().forget_change();
  errno = error;
  return result;
}

int unlink(const char* path) noexcept { return remove_file(path, real<int(const char*)>("unlink")); }
int remove(const char* path) noexcept { return remove_file(path, real<int(const char*)>("remove")); }

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const next = real<int(const char*, mode_t)>("mkdir");
  Shim& shim = Shim::instance();
  if (!shim.concerns(path)) return next(path, mode);
  const std::lock_guard lock(shim.mutex());
  if (shim.fails(Operation::make_directory, path)) return -1;
  const int result = next(path, mode);
  if (result == 0) shim.unsynced().made_directory(path);
  return result;
}

int ftruncate(int fd, off_t length) noexcept { return cut_file(fd, length); }
int ftruncate64(int fd, off64_t length) noexcept { return cut_file(fd, length); }
int fallocate(int fd, int mode, off_t offset, off_t length) { return reserve_room(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return reserve_room(fd, mode, offset, length); }

}  // extern "C"
