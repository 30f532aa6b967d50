// Records without their C++ types: what type they are of, what they hold, as JSON, and what they refer to. For tools.
//
//   cow::RecordView record = cow::view_record(revision->record, oid, revision->begin);
//   std::string text = cow::json_of(record.value, 2);
//
// Thread safety: all functions are stateless. A view borrows the bytes that it was made of.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "detail/record/json.hpp"
#include "detail/record/record.hpp"
#include "detail/record/references.hpp"
#include "types.hpp"

namespace cow {

/// The parts of a record. They borrow its bytes.
struct RecordView {
  std::string type_name;
  std::uint32_t schema = 0;
  std::string_view value;  ///< one MessagePack value
};

/// Checks the envelope of a record, its checksum included. Throws CorruptRecordError.
inline RecordView view_record(std::string_view record, Oid oid, Tid tid) {
  detail::RecordHeader header = detail::read_record_header(record, oid, tid);
  return {std::move(header.type_name), header.schema, record.substr(header.value_offset)};
}

namespace detail {

/// Calls `use` with the one MessagePack value that the bytes are. Throws std::runtime_error if they are not.
template <class Use>
void with_message(std::string_view message, Use&& use) {
  ScratchZone scratch;
  std::size_t offset = 0;
  msgpack::object object;
  try {
    object = scratch.unpack(message, offset);
  } catch (const msgpack::unpack_error& error) {
    throw std::runtime_error(error.what());
  } catch (const std::length_error& error) {
    throw std::runtime_error(error.what());
  }
  if (offset != message.size()) throw std::runtime_error("bytes follow the value");
  use(object);
}

}  // namespace detail

/// One MessagePack value as JSON; detail/record/json.hpp says how. `indent`: spaces a level; 0: all on one line. Throws
/// std::runtime_error if the bytes are no such value. Costs memory in proportion to them.
inline std::string json_of(std::string_view message, unsigned indent = 0) {
  std::string text;
  detail::with_message(message, [&](const msgpack::object& object) { detail::JsonWriter(text, indent).write(object); });
  return text;
}

/// What a MessagePack value refers to, in the order in which it stands there, null references apart. Throws std::runtime_error if
/// the bytes are no such value.
inline std::vector<Oid> references_of(std::string_view message) {
  std::vector<Oid> references;
  if (!detail::for_each_reference(message, [&](Oid oid) { references.push_back(oid); }))
    throw std::runtime_error("the bytes are no MessagePack value");
  return references;
}

}  // namespace cow
