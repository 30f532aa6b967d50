// Records: the bytes of a revision in the store, and the table of operations of a C++ type that reads and writes them.
//
// Thread safety: all functions are stateless; scratch memory is per thread and used only inside a call.
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

#include <cstring>
#include <exception>
#include <limits>
#include <msgpack.hpp>
#include <new>
#include <string>
#include <string_view>

#include "codec.hpp"
#include "detail/thread_scratch.hpp"
#include "errors.hpp"
#include "heap_bytes.hpp"
#include "state.hpp"

namespace cow {

/// The type name and schema number in a record, and where the value starts.
struct RecordHeader {
  std::string type_name;
  std::uint32_t schema = 0;
  std::size_t value_offset = 0;
};

namespace detail {

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

/// Memory for unpacked objects while one record is read. The zone is used again, because its first chunk is an allocation
/// that every decode would pay, and cleared at the end, so that what it grew by is not taken for heap members of the value.
/// A codec that decodes another record meanwhile gets another zone.
class ScratchZone {
 public:
  ScratchZone() = default;
  ScratchZone(const ScratchZone&) = delete;
  ScratchZone& operator=(const ScratchZone&) = delete;
  ~ScratchZone() { zone_->clear(); }

  /// Makes a zone for the thread, if it has none: before allocations are counted.
  static void prepare() { ThreadScratch<msgpack::zone> zone; }

  /// The MessagePack value at `offset`, which moves behind it. It refers to the bytes of `record`.
  msgpack::object unpack(std::string_view record, std::size_t& offset) {
    const std::size_t most = record.size();  // no container has more elements than its record has bytes
    bool referenced = false;
    return msgpack::unpack(
        *zone_, record.data(), record.size(), offset, referenced,
        [](msgpack::type::object_type, std::size_t, void*) { return true; }, nullptr,
        msgpack::unpack_limit(most, most, most, most, most, kDeepest));
  }

 private:
  static constexpr std::size_t kDeepest = 1024;

  ThreadScratch<msgpack::zone> zone_;
};

}  // namespace detail

/// Checks the envelope of a record and reads its header. Throws CorruptRecordError.
inline RecordHeader read_record_header(std::string_view record, Oid oid, Tid tid) {
  if (record.size() < detail::kChecksumEnd + 3 || record[0] != '\x94' || record[1] != '\xce') {
    throw CorruptRecordError(oid, tid, "not a record, " + std::to_string(record.size()) + " bytes");
  }
  if (detail::load_big_endian(record.data() + 2) != detail::record_checksum(record)) {
    throw CorruptRecordError(oid, tid, "wrong checksum, " + std::to_string(record.size()) + " bytes");
  }
  try {
    RecordHeader header;
    std::size_t offset = detail::kChecksumEnd;
    detail::ScratchZone scratch;
    scratch.unpack(record, offset).convert(header.type_name);
    scratch.unpack(record, offset).convert(header.schema);
    header.value_offset = offset;
    return header;
  } catch (const std::exception& error) {
    throw CorruptRecordError(oid, tid, std::string("unreadable header: ") + error.what());
  }
}

/// Appends the record of a value. Throws what the codec throws.
template <class T>
void encode_record(const T& value, std::string& out) {
  std::size_t start = out.size();
  out.append("\x94\xce\0\0\0\0", detail::kChecksumEnd);
  detail::StringSink sink{out};
  msgpack::packer<detail::StringSink> packer(sink);
  constexpr std::string_view name = type_name<T>();
  packer.pack_str(static_cast<std::uint32_t>(name.size()));
  packer.pack_str_body(name.data(), static_cast<std::uint32_t>(name.size()));
  packer.pack_uint32(schema_of<T>());
  Codec<T>::encode(value, out);
  std::string_view record(out.data() + start, out.size() - start);
  detail::store_big_endian(out.data() + start + 2, detail::record_checksum(record));
}

/// Reads the value of a record. Throws CorruptRecordError, or TypeMismatchError when the record is of another type.
template <class T>
T decode_record(std::string_view record, Oid oid, Tid tid) {
  RecordHeader header = read_record_header(record, oid, tid);
  if (header.type_name != type_name<T>()) throw TypeMismatchError(oid, tid, type_name<T>(), header.type_name);
  if (header.schema > schema_of<T>()) {
    throw CorruptRecordError(oid, tid,
                             "schema " + std::to_string(header.schema) + " of '" + header.type_name +
                                 "' is newer than this program's " + std::to_string(schema_of<T>()));
  }
  try {
    detail::ScratchZone scratch;
    std::size_t offset = header.value_offset;
    msgpack::object object = scratch.unpack(record, offset);
    if (offset != record.size()) throw CorruptRecordError(oid, tid, "bytes follow the value");
    return Codec<T>::decode(object, header.schema);
  } catch (const OidRangeError& error) {  // of a reference in the record
    throw CorruptRecordError(oid, tid, std::string("value does not fit '") + header.type_name + "': " + error.what());
  } catch (const Error&) {  // of this record, or of what the codec has read besides
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw CorruptRecordError(oid, tid, std::string("value does not fit '") + header.type_name + "': " + error.what());
  }
}

namespace detail {

inline std::uint32_t charge_of(std::size_t slot_bytes, std::size_t heap_bytes) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(slot_bytes + heap_bytes, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace detail

/// The operations of T, one table for the whole program.
template <class T>
inline constexpr TypeOperations type_operations{
    .name = type_name<T>(),
    .schema = schema_of<T>(),
    .state_bytes = sizeof(State<T>),
    .type_bits = type_bits<T>,
    .destroy = [](StateHeader& state) noexcept { value_of<T>(state).~T(); },
    .copy = [](StateHeader& target, const StateHeader& source) { ::new (&value_of<T>(target)) T(value_of<T>(source)); },
    .encode = [](const StateHeader& state, std::string& out) { encode_record(value_of<T>(state), out); },
    .decode = [](StateHeader& target, std::string_view record, Oid oid,
                 Tid tid) { ::new (&value_of<T>(target)) T(decode_record<T>(record, oid, tid)); },
    .add_heap_bytes = [](const StateHeader& state, HeapSum& sum) { sum.add(value_of<T>(state)); },
};

/// The operations of a tombstone: a state without a value, for an object that was erased.
inline constexpr TypeOperations erased_operations{
    .name = "(erased)",
    .schema = 0,
    .state_bytes = sizeof(StateHeader),
    .type_bits = type_bits<void>,
    .destroy = [](StateHeader&) noexcept {},
    .copy = [](StateHeader&, const StateHeader&) {},
    .encode = [](const StateHeader&, std::string&) {},
    .decode = [](StateHeader&, std::string_view, Oid, Tid) {},
    .add_heap_bytes = [](const StateHeader&, HeapSum&) {},
};

}  // namespace cow
