#include "witness.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "file_descriptor.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

constexpr std::size_t kNotes = 2;  // the block of what is not synced

[[noreturn]] void throw_system(const std::filesystem::path& directory, const char* operation) {
  const int error = errno;
  const std::string message = store_message(directory, operation, std::generic_category().message(error));
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

// A file with `record` in all blocks, in the place of any other, durably. Returns it open for writing.
int make_file(const std::filesystem::path& directory, const WitnessRecord& record) {
  constexpr const char* kOperation = "write the witness";
  const std::filesystem::path temporary = directory / kTemporaryWitness;
  std::string block = record.encode();
  block.resize(kWitnessBlock);
  std::string content;
  for (std::size_t i = 0; i < kWitnessBlocks; ++i) content += block;
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

// The content of an open file, as far as a witness is long; nothing if it cannot be read (errno says why).
std::optional<std::string> read_file(int fd) {
  std::string content(kWitnessBlocks * kWitnessBlock + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::pread(fd, content.data() + size, content.size() - size, static_cast<off_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  content.resize(size);
  return content;
}

}  // namespace

std::optional<WitnessRecord> read_witness(const std::filesystem::path& directory) {
  constexpr const char* kOperation = "read the witness";
  const FileDescriptor file(directory / kWitnessName, O_RDONLY);
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) throw_system(directory, kOperation);
  const std::optional<std::string> content = read_file(file.get());
  if (!content) throw_system(directory, kOperation);
  std::optional<WitnessRecord> record = newest_record(*content);
  if (record) return record;
  // The version comes first, so that any later one can say at least that.
  if (content->size() >= WitnessRecord::kSize && content->starts_with(WitnessRecord::kMagic)) {
    const auto version = fetch_int<std::uint32_t>(content->data() + WitnessRecord::kMagic.size());
    if (version > WitnessRecord::kVersion && version < 1000) {
      throw StoreFormatError(store_message(directory, kOperation,
                                           "it is of version " + std::to_string(version) +
                                               "; this build knows version " + std::to_string(WitnessRecord::kVersion) +
                                               ", or it is damaged"));
    }
  }
  throw StoreCorruptError(store_message(directory, kOperation, std::string(kWitnessName) + " is damaged"));
}

void Witness::begin(const WitnessRecord& record) {
  constexpr const char* kOperation = "write the witness";
  record_ = record;
  // In its place if it is whole; a file that was cut short is replaced.
  FileDescriptor file(directory_ / kWitnessName, O_RDWR);
  std::optional<std::string> content;
  if (file && !(content = read_file(file.get()))) throw_system(directory_, kOperation);
  if (!content || content->size() != kWitnessBlock * kWitnessBlocks) {
    ++record_.sequence;
    fd_ = make_file(directory_, record_);
    return;
  }
  if (const auto newest = newest_record(*content)) record_.sequence = std::max(record_.sequence, newest->sequence);
  const auto first = record_in_block(*content, 0);
  const auto second = record_in_block(*content, 1);
  durable_next_ = first && (!second || second->sequence < first->sequence) ? 1 : 0;
  fd_ = file.release();
  if (!write_durable_block() || !sync()) throw_system(directory_, kOperation);
}

template <class Change>
void Witness::note(Change&& change) noexcept {
  const std::lock_guard lock(mutex_);
  if (fd_ < 0) return;
  change(record_);
  static_cast<void>(write(kNotes));
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
  return true;
}

void Witness::note_files(std::uint64_t log) noexcept {
  if (!add_files(log)) return;
  note([](WitnessRecord&) {});
}

void Witness::checkpoint(std::uint64_t log) noexcept {
  const std::lock_guard turn(checkpoint_mutex_);
  if (!add_files(log)) return;
  {
    const std::lock_guard lock(mutex_);
    if (!write_durable_block()) return;
  }
  // Outside of mutex_: a commit must not wait for it.
  static_cast<void>(sync());
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
      if (write_durable_block()) static_cast<void>(sync());
    } catch (const std::exception&) {
      // It stays "open", which is true as well.
    }
  }
  ::close(fd_);
}

bool Witness::write(std::size_t block) noexcept {
  if (failed_) return false;
  ++record_.sequence;
  char bytes[WitnessRecord::kSize];
  record_.encode(bytes);
  failed_ = !write_at(fd_, {bytes, sizeof bytes}, block * kWitnessBlock);
  return !failed_;
}

bool Witness::write_durable_block() noexcept {
  const std::size_t block = durable_next_;
  durable_next_ = 1 - block;
  return write(block);
}

bool Witness::sync() noexcept {
  if (::fdatasync(fd_) == 0) return true;
  const int error = errno;
  const std::lock_guard lock(mutex_);
  failed_ = true;
  errno = error;
  return false;
}

}  // namespace cow::detail
