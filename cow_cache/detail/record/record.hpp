// Records: the bytes of a revision in the store, and the codecs that the operations of a C++ type need (operations.hpp).
//
// Thread safety: all functions are stateless; scratch memory is per thread and used only inside a call.
//
// What a record begins with: envelope.hpp.
#pragma once

#include <cxxabi.h>

#include <concepts>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <msgpack.hpp>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "cow_cache/codec.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/heap_bytes.hpp"
#include "cow_cache/storable.hpp"
#include "describe.hpp"
#include "envelope.hpp"
#include "former_names.hpp"
#include "message_check.hpp"
#include "misfit.hpp"
#include "operations.hpp"
#include "round_trip.hpp"
#include "unpacking.hpp"

namespace cow::detail {

/// The largest record that is written. Stores keep lengths in 32 bits, and add to a record.
inline constexpr std::size_t kMaxRecordBytes = std::size_t{1} << 31;

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse(Oid oid, std::string_view type, std::string_view why) {
  throw UnstorableValueError(oid, type, why);
}

/// Throws if decoding would not accept the bytes of a value.
[[gnu::noinline]] inline void check_message(std::string_view message, Oid oid, std::string_view type) {
  if (const char* fault = fault_of(message)) refuse(oid, type, fault);
}

[[gnu::always_inline]] inline void check_record_size(std::size_t bytes, Oid oid, std::string_view type) {
  if (bytes > kMaxRecordBytes) [[unlikely]]
    refuse(oid, type, "its record would have " + std::to_string(bytes) + " bytes, more than 2^31");
}

/// What stands in front of the value: the same in all records of a type, but for the checksum.
template <std::size_t kNameSize>
struct RecordPrefix {
  char bytes[kChecksumEnd + 5 + kNameSize + 5] = {'\x94', '\xce'};
  std::size_t size = kChecksumEnd;

  constexpr void add(unsigned byte) noexcept { bytes[size++] = static_cast<char>(byte); }
  constexpr void add_number(std::uint32_t number, int in_bytes) noexcept {
    for (int i = in_bytes - 1; i >= 0; --i) add(number >> (8 * i) & 0xff);
  }
  /// The shortest form, as msgpack-cxx writes it: `heads` are the first bytes of those with 1, 2 and 4 bytes of length.
  constexpr void add_head(std::uint32_t number, std::uint32_t most_in_one, unsigned in_one,
                          const unsigned (&heads)[3]) {
    if (number <= most_in_one) return add(in_one | number);
    const int form = number < 256 ? 0 : number < 65536 ? 1 : 2;
    add(heads[form]);
    add_number(number, 1 << form);
  }
};

template <class T>
inline constexpr auto record_prefix = [] {
  constexpr std::string_view kName = type_name<T>();
  RecordPrefix<kName.size()> prefix;
  prefix.add_head(static_cast<std::uint32_t>(kName.size()), 31, 0xa0, {0xd9, 0xda, 0xdb});
  for (char letter : kName) prefix.add(static_cast<unsigned char>(letter));
  prefix.add_head(schema_of<T>(), 127, 0, {0xcc, 0xcd, 0xce});
  return prefix;
}();

/// Appends the value part of a record.
template <class T>
void encode_value(const T& value, std::string& out, Oid oid) {
  const std::size_t start = out.size();
  bool doubtful = true;
  if constexpr (WritesMembers<T>) {
    check_storable<T>();  // by the compiler
    StringSink sink{out};
    try {
      msgpack::pack(sink, value);
    } catch (const std::length_error& error) {
      refuse(oid, type_name<T>(), error.what());
    } catch (const msgpack::container_size_overflow&) {
      refuse(oid, type_name<T>(), "a container or a string has more than 2^32 - 1 elements");
    }
    doubtful = sink.doubtful;
  } else {
    Codec<T>::encode(value, out);
  }
  if (doubtful) check_message(std::string_view(out).substr(start), oid, type_name<T>());
}

template <class T>
void check_round_trip(const T& value, std::string_view record, Oid oid);

/// Appends the record of a value. Throws UnstorableValueError, which names `oid`, and what the codec throws.
template <class T>
[[gnu::always_inline]] inline void encode_record(const T& value, std::string& out, Oid oid = {}) {
  std::size_t start = out.size();
  constexpr std::string_view name = type_name<T>();
  out.append(record_prefix<T>.bytes, record_prefix<T>.size);
  detail::encode_value(value, out, oid);
  std::string_view record(out.data() + start, out.size() - start);
  check_record_size(record.size(), oid, name);
  store_big_endian(out.data() + start + 2, record_checksum(record));
  if constexpr (kChecked) detail::check_round_trip(value, record, oid);
}

/// Throws UnfitRecordError, which names the field that is to blame, if that can be found out. `upgraded`: an upgrade has failed.
template <class T>
[[noreturn, gnu::cold, gnu::noinline]] void refuse_value(std::string_view record, const RecordHeader& header, Oid oid,
                                                         Tid tid, std::string_view why, bool upgraded) {
  std::optional<Misfit> misfit;
  if constexpr (WritesMembers<T>) {
    try {
      ScratchZone scratch;
      std::size_t offset = header.value_offset;
      msgpack::object object = scratch.unpack(record, offset);
      if (!upgraded) {
        if (header.schema < schema_of<T>()) rename_fields<T>(object);
        misfit = misfit_of<T>(object, {});
      }
    } catch (const abi::__forced_unwind&) {  // the thread is being cancelled
      throw;
    } catch (...) {  // then the first exception must do
    }
  }
  const std::string text = upgraded ? "cow_upgrade: " + std::string(why) : misfit ? misfit->why : std::string(why);
  throw UnfitRecordError(oid, tid, header.type_name, header.schema, misfit ? misfit->field : "", text);
}

/// Whether records of this schema are read by `cow_upgrade`.
template <class T>
constexpr bool is_upgraded(std::uint32_t schema) {
  return schema < schema_of<T>() && requires(const msgpack::object& old) { T::cow_upgrade(old, schema); };
}

/// Reads the value of a record. Throws CorruptRecordError, UnfitRecordError, NewerSchemaError, or TypeMismatchError when the
/// record is of another type, or std::bad_alloc where memory lacks for a record that is right.
template <class T>
T decode_record(std::string_view record, Oid oid, Tid tid) {
  RecordHeader header = read_record_header(record, oid, tid);
  if (header.type_name != type_name<T>() && !is_former_type_name<T>(header.type_name)) [[unlikely]]
    throw TypeMismatchError(oid, tid, type_name<T>(), header.type_name);
  if (header.schema > schema_of<T>()) throw NewerSchemaError(oid, tid, header.type_name, header.schema, schema_of<T>());
  bool is_parsed = false;
  const auto refuse = [&](std::string_view why) {
    if (!is_parsed) throw CorruptRecordError(oid, tid, why);
    refuse_value<T>(record, header, oid, tid, why, is_upgraded<T>(header.schema));
  };
  try {
    ScratchZone scratch;
    std::size_t offset = header.value_offset;
    msgpack::object object = scratch.unpack(record, offset);
    if (offset != record.size()) throw CorruptRecordError(oid, tid, "bytes follow the value");
    is_parsed = true;
    if (header.schema < schema_of<T>() && !is_upgraded<T>(header.schema)) rename_fields<T>(object);
    return Codec<T>::decode(object, header.schema);
  } catch (const OidRangeError& error) {  // of a reference in the record
    refuse(error.what());
  } catch (const Error&) {  // of this record, or of what the codec has read besides
    throw;
  } catch (const std::bad_array_new_length& error) {  // a length in the data, not a lack of memory
    refuse(error.what());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    refuse(error.what());
  } catch (const abi::__forced_unwind&) {  // the thread is being cancelled
    throw;
  } catch (...) {
    refuse("the codec threw something that is no std::exception");
  }
  std::abort();  // `refuse` has thrown
}

/// What two equal values have in common, and no others as far as they are written (round_trip.hpp).
template <class T>
std::string fingerprint_of(const T& value) {
  std::string fingerprint;
  if constexpr (WritesMembers<T>) {
    FingerprintSink sink{fingerprint};
    msgpack::packer<FingerprintSink>(sink).pack(value);
  } else {
    Codec<T>::encode(value, fingerprint);
  }
  return fingerprint;
}

/// Types that say themselves what is equal. (A standard container has an operator== whatever its elements have.)
template <class T>
concept HasEquality = requires(const T& a) {
  { a == a } -> std::convertible_to<bool>;  // NOLINT(misc-redundant-expression): its type is asked
};
template <class T>
constexpr bool is_comparable() {
  if constexpr (!std::is_class_v<T> || StandardShape<T>::kShape != Shape::foreign) {
    return false;
  } else {
    return HasEquality<T>;
  }
}

/// Throws RoundTripError unless the record is read as the value that it was made from.
template <class T>
void check_round_trip(const T& value, std::string_view record, Oid oid) {
  auto decoded = [&] {
    try {
      return decode_record<T>(record, oid, Tid{});
    } catch (const RecordError& error) {
      if (error.oid != oid) throw;  // of what the codec has read besides
      throw RoundTripError(oid, type_name<T>(), std::string("it could not be read back: ") + error.what());
    }
  };
  const T copy = decoded();
  const bool same_fingerprint = fingerprint_of(value) == fingerprint_of(copy);
  bool same = same_fingerprint;
  if constexpr (is_comparable<T>()) {
    const bool equal = value == copy;
    if (!WritesMembers<T>) same = same || equal;
    if (!equal && value == value) same = false;  // NOLINT(misc-redundant-expression): a NaN is not
  }
  if (same) return;
  throw RoundTripError(oid, type_name<T>(),
                       same_fingerprint ? "its operator== tells it from what would be read back"
                                        : "what would be read back is something else");
}

// The codecs of the types whose operations are used (operations.hpp), or defined by COW_CACHE_DEFINE_CODEC. Of a type that is not
// storable, which is refused here, they are empty: they would not compile either, in other words.

template <class T>
void DefinedCodec<T>::encode(const T& value, Oid oid, std::string& out) {
  if constexpr (require_storable<T>()) encode_record(value, out, oid);
}
template <class T>
void DefinedCodec<T>::prepare_decode() {
  ScratchZone::prepare();
}
template <class T>
T DefinedCodec<T>::decode(std::string_view record, Oid oid, Tid tid) {
  if constexpr (require_storable<T>()) {
    return decode_record<T>(record, oid, tid);
  } else {
    std::terminate();
  }
}
template <class T>
[[gnu::cold]] TypeDescription DefinedCodec<T>::describe() {
  if constexpr (require_storable<T>()) {
    return describe_type<T>();
  } else {
    std::terminate();
  }
}
template <class T>
void DefinedCodec<T>::add_heap_bytes(const T& value, HeapSum& sum) {
  sum.add(value);
}

}  // namespace cow::detail
