// Broken: an object of a type that the program does not know, or no longer knows.
//
//   cow::Ref<cow::Broken> lost(oid);            // or txn.root().get<cow::Broken>("authors")
//   std::string text = txn.read(lost).json(2);  // what is in it
//
// Any record is read as a Broken, of whatever type and schema, as long as its checksum is right. It is stored again byte for byte, under
// its own type name: nothing of it is lost on the way. Within one cache an object is of one type: what was read as a Broken and is still
// in memory is no other type, and the other way round (TypeMismatchError).
//
// Thread safety: a plain value.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codec.hpp"
#include "detail/record/record.hpp"
#include "records.hpp"
#include "types.hpp"

namespace cow {

class Broken {
 public:
  static constexpr std::string_view cow_type_name = "cow.Broken";
  static constexpr bool cow_is_of_the_library = true;

  /// Throws CorruptRecordError unless the bytes are a record.
  Broken(std::string_view record, Oid oid, Tid tid) : record_(record) {
    view_ = view_record(record_, oid, tid);
    value_offset_ = record_.size() - view_.value.size();
    view_.value = {};
  }

  const std::string& type() const noexcept { return view_.type_name; }
  std::uint32_t schema() const noexcept { return view_.schema; }
  /// One MessagePack value, unless another program has written something else.
  std::string_view value() const noexcept { return std::string_view(record_).substr(value_offset_); }
  const std::string& record() const noexcept { return record_; }

  /// Its value as JSON (detail/record/json.hpp). Throws std::runtime_error if it is no MessagePack.
  std::string json(unsigned indent = 0) const { return json_of(value(), indent); }
  /// What it refers to. Throws std::runtime_error if it is no MessagePack.
  std::vector<Oid> references() const { return references_of(value()); }

 private:
  std::string record_;
  RecordView view_;  // but for its value, which moves with the record
  std::size_t value_offset_ = 0;
};

/// Stands here so that a Broken is storable; what is written is the record as it was.
template <>
struct Codec<Broken> {
  static void encode(const Broken& value, std::string& out) { out += value.value(); }
  static Broken decode(const msgpack::object&, std::uint32_t) { throw msgpack::type_error(); }
};

namespace detail {

template <>
inline void DefinedCodec<Broken>::encode(const Broken& value, Oid, std::string& out) {
  out += value.record();
}
template <>
inline Broken DefinedCodec<Broken>::decode(std::string_view record, Oid oid, Tid tid) {
  return Broken(record, oid, tid);
}
template <>
inline void DefinedCodec<Broken>::add_heap_bytes(const Broken& value, HeapSum& sum) {
  sum.add(value.record());
  sum.add(value.type());
}

}  // namespace detail
}  // namespace cow
