// What a record begins with, whatever its type. It knows no codec.
//
// Thread safety: all functions are stateless.
//
// A record is one MessagePack array of four:
//
//   [checksum: uint32, type name: str, schema: uint, value: whatever Codec<T> writes]
//
// The checksum (the low half of XXH3-64) covers every byte behind it. It is always written in its five-byte form, so it
// stands at a fixed place and the record stays plain MessagePack that any program can read.
#pragma once

#define XXH_INLINE_ALL  // header-only use: no library to link
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// The type name and schema number in a record, and where the value starts.
struct RecordHeader {
  std::string type_name;
  std::uint32_t schema = 0;
  std::size_t value_offset = 0;
};

inline constexpr std::size_t kChecksumEnd = 6;  // array of four, uint32, four bytes of checksum

inline std::uint32_t record_checksum(std::string_view record) noexcept {
  return static_cast<std::uint32_t>(XXH3_64bits(record.data() + kChecksumEnd, record.size() - kChecksumEnd));
}

inline void store_big_endian(char* out, std::uint32_t value) noexcept {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (24 - 8 * i));
}
inline std::uint32_t load_big_endian(const char* in) noexcept {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(in[i]);
  return value;
}

/// Reads the two fields in front of the value, without allocating for what they claim.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view record) noexcept : record_(record) {}

  std::size_t offset() const noexcept { return at_; }

  std::string_view read_string() {
    const unsigned head = static_cast<unsigned>(read_integer(1));
    std::uint64_t size = 0;
    if ((head & 0xe0) == 0xa0) {
      size = head & 0x1f;
    } else if (head >= 0xd9 && head <= 0xdb) {
      size = read_integer(std::size_t{1} << (head - 0xd9));
    } else {
      throw std::runtime_error("the type name is no string");
    }
    require(size);
    at_ += size;
    return record_.substr(at_ - size, size);
  }

  /// Any integer that fits: other programs may choose another form than the shortest.
  std::uint32_t read_number() {
    const unsigned head = static_cast<unsigned>(read_integer(1));
    std::uint64_t value = head;
    if (head >= 0xcc && head <= 0xcf) {
      value = read_integer(std::size_t{1} << (head - 0xcc));
    } else if (head >= 0xd0 && head <= 0xd3) {
      const std::size_t bytes = std::size_t{1} << (head - 0xd0);
      value = read_integer(bytes);
      if (value >> (8 * bytes - 1) != 0) throw std::runtime_error("the schema is negative");
    } else if (head > 0x7f) {
      throw std::runtime_error("the schema is no number");
    }
    if (value > std::numeric_limits<std::uint32_t>::max()) throw std::runtime_error("the schema is too large");
    return static_cast<std::uint32_t>(value);
  }

 private:
  void require(std::uint64_t bytes) const {
    if (bytes > record_.size() - at_) throw std::runtime_error("cut off");
  }
  std::uint64_t read_integer(std::size_t bytes) {
    require(bytes);
    std::uint64_t value = 0;
    for (; bytes > 0; --bytes) value = value << 8 | static_cast<unsigned char>(record_[at_++]);
    return value;
  }

  std::string_view record_;
  std::size_t at_ = kChecksumEnd;
};

/// Checks the envelope of a record and reads its header. Throws CorruptRecordError.
inline RecordHeader read_record_header(std::string_view record, Oid oid, Tid tid) {
  if (record.size() < kChecksumEnd + 3 || record[0] != '\x94' || record[1] != '\xce') {
    throw CorruptRecordError(oid, tid, "not a record, " + std::to_string(record.size()) + " bytes");
  }
  if (load_big_endian(record.data() + 2) != record_checksum(record)) {
    throw CorruptRecordError(oid, tid, "wrong checksum, " + std::to_string(record.size()) + " bytes");
  }
  try {
    RecordHeader header;
    detail::HeaderReader reader(record);
    header.type_name = reader.read_string();
    header.schema = reader.read_number();
    header.value_offset = reader.offset();
    return header;
  } catch (const std::runtime_error& error) {
    throw CorruptRecordError(oid, tid, std::string("unreadable header: ") + error.what());
  }
}

}  // namespace cow::detail
