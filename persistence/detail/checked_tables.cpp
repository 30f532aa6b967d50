#include "checked_tables.hpp"

#include <rocksdb/file_system.h>

#include <memory>
#include <optional>

#include "encoding.hpp"

namespace cow::detail {
namespace {

// A file ends in: checksum type (1) | handle of the meta index | handle of the index | padding | version (4) | magic (8).
constexpr std::uint64_t kFooterSize = 53;
constexpr std::uint64_t kMagic = 0x88e241b785f4cff7;
constexpr char kXxh3 = 4;
// A block is followed by: compression type (1) | checksum (4).
constexpr std::uint64_t kTrailerSize = 5;
constexpr std::uint32_t kTypeFactor = 0x6b9083d9;  // how the checksum covers the compression type
constexpr std::string_view kProperties = "rocksdb.properties";

struct Handle {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  bool within(std::uint64_t end) const noexcept {
    return offset <= end && size <= end - offset && kTrailerSize <= end - offset - size;
  }
};

/// Takes integers of variable length, and handles of two, from the beginning of `bytes`.
std::optional<std::uint64_t> take_int(std::string_view& bytes) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Handle> take_handle(std::string_view& bytes) noexcept {
  const auto offset = take_int(bytes);
  const auto size = offset ? take_int(bytes) : std::nullopt;
  if (!size) return std::nullopt;
  return Handle{*offset, *size};
}

/// `bytes`: a block and its trailer.
bool is_sound(std::string_view bytes) noexcept {
  const char* const trailer = bytes.data() + bytes.size() - kTrailerSize;
  const auto hash = static_cast<std::uint32_t>(hash_bytes(bytes.substr(0, bytes.size() - kTrailerSize), 0));
  return (hash ^ static_cast<unsigned char>(*trailer) * kTypeFactor) == fetch_int<std::uint32_t>(trailer + 1);
}

/// The handle that a sound meta index has for `name`; nothing if it has none.
std::optional<Handle> find_block(std::string_view entries, std::string_view name) noexcept {
  while (!entries.empty()) {
    const auto shared = take_int(entries);
    const auto length = shared ? take_int(entries) : std::nullopt;
    const auto value = length ? take_int(entries) : std::nullopt;
    // Each key is whole in a meta index; its restart points, which come last, look unlike that sooner or later.
    if (!value || *shared != 0 || *length > entries.size() || *value > entries.size() - *length) return std::nullopt;
    std::string_view handle = entries.substr(*length, *value);
    if (entries.substr(0, *length) == name) return take_handle(handle);
    entries.remove_prefix(*length + *value);
  }
  return std::nullopt;
}

class CheckedTables final : public rocksdb::FileSystemWrapper {
 public:
  CheckedTables() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "CheckedTables"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = target()->NewRandomAccessFile(name, options, file, debug);
    if (!status.ok() || !name.ends_with(".sst")) return status;
    std::uint64_t size = 0;
    status = target()->GetFileSize(name, {}, &size, debug);
    if (!status.ok()) return status;
    const std::string damage =
        damage_of_table(size, [&](std::uint64_t offset, std::uint64_t count, std::string& bytes) {
          bytes.resize(count);
          rocksdb::Slice read;
          status = (*file)->Read(offset, count, {}, &read, bytes.data(), debug);
          if (!status.ok() || read.size() != count) return false;
          if (read.data() != bytes.data()) bytes.assign(read.data(), count);
          return true;
        });
    if (!status.ok() || damage.empty()) return status;
    file->reset();
    return rocksdb::IOStatus::Corruption(damage, name);
  }
};

}  // namespace

std::string damage_of_table(std::uint64_t size, const ReadTable& read) {
  std::string bytes;
  if (size < kFooterSize || !read(size - kFooterSize, kFooterSize, bytes)) return {};
  const char* const tail = bytes.data() + kFooterSize - 12;
  const auto version = fetch_int<std::uint32_t>(tail);
  if (fetch_int<std::uint64_t>(tail + 4) != kMagic || version < 1 || version > 5 || bytes.front() != kXxh3) return {};
  std::string_view handles(bytes.data() + 1, kFooterSize - 13);
  const std::optional<Handle> meta_index = take_handle(handles);
  const std::optional<Handle> index = take_handle(handles);
  const std::uint64_t end = size - kFooterSize;
  if (!meta_index || !index || !meta_index->within(end) || !index->within(end)) return "bad footer of a database file";
  if (!read(meta_index->offset, meta_index->size + kTrailerSize, bytes)) return {};
  if (!is_sound(bytes)) return "bad checksum of a meta index";
  std::string_view entries(bytes);
  entries.remove_suffix(kTrailerSize);
  const std::optional<Handle> properties = find_block(entries, kProperties);
  if (!properties) return {};
  if (!properties->within(end)) return "bad place of the properties";
  if (!read(properties->offset, properties->size + kTrailerSize, bytes)) return {};
  return is_sound(bytes) ? std::string() : "bad checksum of the properties";
}

rocksdb::Env* checked_env() {
  // Never destroyed: a store may be a static object.
  static rocksdb::Env* const env = rocksdb::NewCompositeEnv(std::make_shared<CheckedTables>()).release();
  return env;
}

}  // namespace cow::detail
