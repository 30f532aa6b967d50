// The references in a record, found without its C++ type and without decoding it: by a walk over its headers.
//
// Thread safety: all functions are stateless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "envelope.hpp"
#include "message_check.hpp"

namespace cow::detail {

/// The object that a MessagePack value, header and bytes, refers to: an extension of our type with eight bytes. `Oid{0}`: it is no reference.
inline Oid referred_to(std::string_view value) noexcept {
  static constexpr std::size_t kOidBytes = 8;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(value[i]); };
  std::size_t header = 0;
  if (value.size() == 2 + kOidBytes && byte(0) == 0xd7) {
    header = 2;  // an extension of fixed size
  } else if (value.size() >= 3 + kOidBytes && byte(0) >= 0xc7 && byte(0) <= 0xc9) {
    header = 2 + (std::size_t{1} << (byte(0) - 0xc7));  // with a length of one, two or four bytes
  }
  if (header == 0 || value.size() != header + kOidBytes) return {};
  if (static_cast<std::int8_t>(value[header - 1]) != kReferenceExtension) return {};
  std::uint64_t oid = 0;
  for (std::size_t i = header; i < value.size(); ++i) oid = oid << 8 | byte(i);
  return Oid{oid};
}

/// Calls `visit(Oid)` for what one MessagePack value refers to, in its order, null references apart. False: the bytes are no such
/// value; some may have been visited.
template <class Visit>
bool for_each_reference(std::string_view message, Visit&& visit) {
  MessageWalk walk(message);
  std::uint64_t elements = 0;
  for (std::uint64_t pending = 1; pending > 0; --pending) {
    const std::string_view rest = message.substr(message.size() - walk.bytes_left());
    if (!walk.next(elements)) return false;
    pending += elements;
    if (pending - 1 > walk.bytes_left()) return false;
    if (const Oid to = referred_to(rest.substr(0, rest.size() - walk.bytes_left()))) visit(to);
  }
  return walk.at_end();
}

/// The same of a record. Throws CorruptRecordError.
template <class Visit>
void for_each_reference_of(std::string_view record, Oid oid, Tid tid, Visit&& visit) {
  const RecordHeader header = read_record_header(record, oid, tid);
  if (!for_each_reference(record.substr(header.value_offset), visit)) {
    throw CorruptRecordError(oid, tid, "its value is no MessagePack value, so nothing tells what it refers to");
  }
}

}  // namespace cow::detail
