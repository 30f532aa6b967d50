// AppendLog: one file of entries. An entry is there as a whole or not at all, and whoever opens the file sees all that were appended.
//
// Thread safety: none of its own: one thread at a time.
//
// Invariants:
//  1. The file is kMagic, then entries of size, checksum and bytes. What follows the last whole one was never acknowledged by `append`,
//     and is cut off by whoever opens the file. What is behind bytes that were damaged later is lost with them: nothing here tells the
//     one from the other (RocksDbStore does).
//  2. A file that begins with something else is refused, and not touched: it is somebody else's.
//  3. [no-write-after-failure] After an append that failed nothing is written until the file is opened again, for nobody knows what is
//     on the disk: a sync that fails may drop what it was to write, and succeed the next time (Rebello et al., "Can Applications Recover
//     from fsync Failures?", USENIX ATC 2020).
#pragma once

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"

namespace cow::bench {

class AppendLog {
 public:
  /// Makes the file if there is none; calls `visit(std::string_view)` for each of its entries. Throws StoreError, StoreLockedError,
  /// StoreFormatError, and what `visit` throws.
  template <class Visit>
  AppendLog(const std::filesystem::path& path, Visit&& visit) : file_(path) {
    if (::flock(file_.descriptor, LOCK_EX | LOCK_NB) != 0) throw StoreLockedError(path.string() + " is open already");
    const std::string bytes = read(path);
    if (bytes.substr(0, kMagic.size()) != kMagic.substr(0, bytes.size()))
      throw StoreFormatError(path.string() + " is no log of entries");
    std::size_t end = kMagic.size();
    for (Head head; end + sizeof head <= bytes.size(); end += sizeof head + head.size) {
      std::memcpy(&head, bytes.data() + end, sizeof head);
      const std::string_view rest = std::string_view(bytes).substr(end + sizeof head);
      if (head.size > rest.size() || head.checksum != XXH3_64bits(rest.data(), head.size)) break;
      visit(rest.substr(0, head.size));
    }
    const bool is_fresh = bytes.size() < kMagic.size();
    const std::string_view missing = is_fresh ? kMagic.substr(bytes.size()) : std::string_view();
    if (!write(missing) || ::ftruncate(file_.descriptor, static_cast<off_t>(end)) != 0 || !sync() ||
        (is_fresh && !sync_folder(path)))
      throw StoreError("cannot write " + path.string() + ": " + std::strerror(errno));
  }

  /// Once it returns, the entry is on the disk. Throws OutcomeUnknownError of `tid` if it may be there, or not, when the file is opened
  /// again; StoreReadOnlyError after such a failure; std::bad_alloc before anything is written.
  void append(std::string_view entry, Tid tid) {
    const Head head{entry.size(), XXH3_64bits(entry.data(), entry.size())};
    std::string bytes(reinterpret_cast<const char*>(&head), sizeof head);
    bytes += entry;
    if (failed_) throw StoreReadOnlyError("a write to the log has failed: open it again");
    if (!write(bytes) || !sync()) refuse_from_now_on(tid, std::string("cannot write the log: ") + std::strerror(errno));
  }

  /// As if an append had failed. Throws OutcomeUnknownError of `tid`.
  [[noreturn]] void refuse_from_now_on(Tid tid, std::string_view why) {
    failed_ = true;
    throw OutcomeUnknownError(tid, why);
  }

 private:
  static constexpr std::string_view kMagic = "cowlog 1";

  struct Head {
    std::uint64_t size, checksum;
  };

  struct File {
    explicit File(const std::filesystem::path& path)
        : descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
      if (descriptor < 0) throw StoreError("cannot open " + path.string() + ": " + std::strerror(errno));
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { ::close(descriptor); }
    const int descriptor;
  };

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    if (!file.is_open() || file.bad()) throw StoreError("cannot read " + path.string());
    return bytes;
  }

  bool write(std::string_view bytes) const noexcept {
    return ::write(file_.descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  bool sync() const noexcept { return ::fdatasync(file_.descriptor) == 0; }

  /// So that the name is there, too, after a power failure.
  static bool sync_folder(const std::filesystem::path& path) {
    const int folder =
        ::open(std::filesystem::absolute(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = folder >= 0 && ::fsync(folder) == 0;
    if (folder >= 0) ::close(folder);
    return synced;
  }

  const File file_;
  bool failed_ = false;
};

}  // namespace cow::bench
