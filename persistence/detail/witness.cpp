#include "witness.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "file_descriptor.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

constexpr std::string_view kMagic = "witness of cow\r\n";
static_assert(kMagic.size() == 16);
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kBlockSize = 4096;
constexpr std::size_t kBlocks = 2;
constexpr std::string_view kTemporary = "WITNESS.dbtmp";  // RocksDB sweeps away what ends like this

[[noreturn]] void throw_system(const std::filesystem::path& directory, const char* operation) {
  const int error = errno;
  const std::string message = store_message(directory, operation, std::strerror(error));
  if (error == ENOSPC || error == EDQUOT) throw StoreFullError(message);
  throw StoreError(message);
}

bool write_at(int fd, std::string_view bytes, std::uint64_t at) noexcept {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    at += static_cast<std::uint64_t>(count);
  }
  return true;
}

// A file with `record` in both blocks, in the place of any other, durably. Returns it open for writing.
int make_file(const std::filesystem::path& directory, const WitnessRecord& record) {
  constexpr const char* kOperation = "write the witness";
  const std::filesystem::path temporary = directory / kTemporary;
  std::string content = record.encode();
  content.resize(kBlockSize);
  content += content;
  FileDescriptor file(temporary, O_RDWR | O_CREAT | O_TRUNC);
  if (!file) throw_system(directory, kOperation);
  const bool written = write_at(file.get(), content, 0) && ::fsync(file.get()) == 0 &&
                       ::rename(temporary.c_str(), (directory / kWitnessName).c_str()) == 0;
  const FileDescriptor parent(directory, O_RDONLY | O_DIRECTORY);
  if (!written || !parent || ::fsync(parent.get()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    errno = error;
    throw_system(directory, kOperation);
  }
  return file.release();
}

}  // namespace

void WitnessRecord::encode(char* out) const noexcept {
  char* next = std::copy(kMagic.begin(), kMagic.end(), out);
  store_int(next, kVersion);
  store_int(next + 4, static_cast<std::uint32_t>(state));
  next += 8;
  for (std::uint64_t value : {store_id, sequence, end.tid.value, end.checksum, next_oid, oid_limit, manifest.number,
                              manifest.size, manifest.hash, log}) {
    store_int(next, value);
    next += 8;
  }
  store_int(next, hash_bytes({out, kSize - 8}, 0));
}

std::string WitnessRecord::encode() const {
  std::string bytes(kSize, '\0');
  encode(bytes.data());
  return bytes;
}

std::optional<WitnessRecord> WitnessRecord::decode(std::string_view bytes) noexcept {
  if (bytes.size() < kSize || !bytes.starts_with(kMagic)) return std::nullopt;
  const char* next = bytes.data() + kMagic.size();
  if (fetch_int<std::uint64_t>(bytes.data() + kSize - 8) != hash_bytes(bytes.substr(0, kSize - 8), 0)) {
    return std::nullopt;
  }
  const auto state = fetch_int<std::uint32_t>(next + 4);
  if (fetch_int<std::uint32_t>(next) != kVersion || state < 1 || state > 3) return std::nullopt;
  WitnessRecord record;
  record.state = static_cast<State>(state);
  next += 8;
  for (std::uint64_t* value :
       {&record.store_id, &record.sequence, &record.end.tid.value, &record.end.checksum, &record.next_oid,
        &record.oid_limit, &record.manifest.number, &record.manifest.size, &record.manifest.hash, &record.log}) {
    *value = fetch_int<std::uint64_t>(next);
    next += 8;
  }
  return record;
}

std::optional<WitnessRecord> newest_record(std::string_view file) noexcept {
  std::optional<WitnessRecord> newest;
  for (std::size_t block = 0; block < kBlocks && file.size() > block * kBlockSize; ++block) {
    const std::optional<WitnessRecord> record = WitnessRecord::decode(file.substr(block * kBlockSize));
    if (record && (!newest || record->sequence > newest->sequence)) newest = record;
  }
  return newest;
}

std::optional<WitnessRecord> read_witness(const std::filesystem::path& directory) {
  constexpr const char* kOperation = "read the witness";
  const FileDescriptor file(directory / kWitnessName, O_RDONLY);
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) throw_system(directory, kOperation);
  std::string content(kBlocks * kBlockSize, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::pread(file.get(), content.data() + size, content.size() - size, static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(directory, kOperation);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);
  std::optional<WitnessRecord> record = newest_record(content);
  if (record) return record;
  // The version comes first, so that any later one can say at least that.
  if (content.size() >= WitnessRecord::kSize && content.starts_with(kMagic)) {
    const auto version = fetch_int<std::uint32_t>(content.data() + kMagic.size());
    if (version > kVersion && version < 1000) {
      throw StoreFormatError(store_message(directory, kOperation,
                                           "it is of version " + std::to_string(version) +
                                               "; this build knows version " + std::to_string(kVersion) +
                                               ", or it is damaged"));
    }
  }
  throw StoreCorruptError(store_message(directory, kOperation, "it is damaged"));
}

void Witness::begin(const WitnessRecord& record) {
  const std::lock_guard lock(mutex_);
  record_ = record;
  ++record_.sequence;
  // In place if it is whole; a file that was cut short is replaced.
  FileDescriptor file(directory_ / kWitnessName, O_RDWR);
  struct stat status = {};
  if (file && ::fstat(file.get(), &status) == 0 && status.st_size == kBlocks * kBlockSize) {
    fd_ = file.release();
    if (!write_both() || ::fdatasync(fd_) != 0) throw_system(directory_, "write the witness");
    return;
  }
  fd_ = make_file(directory_, record_);
}

template <class Change>
void Witness::note(Change&& change) noexcept {
  const std::lock_guard lock(mutex_);
  if (fd_ < 0) return;
  change(record_);
  ++record_.sequence;
  static_cast<void>(write(kBlocks - 1));
}

void Witness::committed(const ChainEnd& end) noexcept {
  note([&](WitnessRecord& record) { record.end = end; });
}

void Witness::reserved(std::uint64_t oid_limit) noexcept {
  note([&](WitnessRecord& record) { record.next_oid = record.oid_limit = oid_limit; });
}

void Witness::opened(const ChainEnd& end, std::uint64_t next_oid, std::uint64_t oid_limit) noexcept {
  note([&](WitnessRecord& record) {
    checkpoints_ = true;
    record.state = WitnessRecord::State::open;
    record.end = end;
    record.next_oid = next_oid;
    record.oid_limit = oid_limit;
  });
}

void Witness::closing() noexcept {
  const std::lock_guard lock(mutex_);
  checkpoints_ = false;
}

bool Witness::add_files(std::uint64_t log) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!checkpoints_) return false;
  }
  ManifestClaim manifest;
  try {
    manifest = claim_manifest(directory_);
  } catch (const std::exception&) {
    return false;
  }
  const FileDescriptor parent(directory_, O_RDONLY | O_DIRECTORY);
  if (!parent || ::fsync(parent.get()) != 0) return false;
  const std::lock_guard lock(mutex_);
  // Of two calls at once, the one that looked first may come last.
  if (manifest.number > record_.manifest.number ||
      (manifest.number == record_.manifest.number && manifest.size > record_.manifest.size)) {
    record_.manifest = manifest;
  }
  record_.log = std::max(record_.log, log);
  ++record_.sequence;
  return write_both();
}

void Witness::note_files(std::uint64_t log) noexcept { static_cast<void>(add_files(log)); }

void Witness::checkpoint(std::uint64_t log) noexcept {
  // Synced outside of the mutex: a commit must not wait for it.
  if (add_files(log)) ::fdatasync(fd_);
}

void Witness::closed_cleanly(const ChainEnd& end, std::uint64_t next_oid, std::uint64_t oid_limit) noexcept {
  const std::lock_guard lock(mutex_);
  closed_cleanly_ = true;
  record_.end = end;
  record_.next_oid = next_oid;
  record_.oid_limit = oid_limit;
}

Witness::~Witness() {
  if (fd_ < 0) return;
  if (closed_cleanly_) {
    try {
      record_.manifest = claim_manifest(directory_);
      record_.log = 0;
      record_.state = WitnessRecord::State::clean;
      ++record_.sequence;
      if (write_both()) ::fdatasync(fd_);
    } catch (const std::exception&) {
      // It stays "open", which is true as well.
    }
  }
  ::close(fd_);
}

bool Witness::write(std::uint64_t block) noexcept {
  char bytes[WitnessRecord::kSize];
  record_.encode(bytes);
  return write_at(fd_, {bytes, sizeof bytes}, block * kBlockSize);
}

bool Witness::write_both() noexcept {
  bool written = true;
  for (std::uint64_t block = 0; block < kBlocks; ++block) written = write(block) && written;
  return written;
}

}  // namespace cow::detail
