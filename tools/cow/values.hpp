// Records without their C++ types: what type they say they are, their value, and the references in it.
//
// Thread safety: an object belongs to one thread.
#pragma once

#include <cctype>
#include <cstdint>
#include <functional>
#include <map>
#include <msgpack.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/detail/record/json.hpp"
#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/types.hpp"

namespace cow::tool {

/// A record, taken apart. It refers to the bytes that it was made from.
class Value {
 public:
  /// Throws CorruptRecordError.
  Value(std::string_view record, Oid oid, Tid tid);

  const std::string& type() const noexcept { return header_.type_name; }
  std::uint32_t schema() const noexcept { return header_.schema; }
  const msgpack::object& object() const noexcept { return object_; }
  std::string json() const;

  /// Each reference that is not null, with the way to it: "list[3].author"; empty: the value itself is one.
  using OnReference = std::function<void(const std::string& path, Oid oid)>;
  void references(const OnReference& visit) const;

  /// Where in the record the oids of those references stand: eight bytes each, big endian.
  std::vector<std::size_t> reference_offsets() const;

 private:
  std::string_view record_;
  detail::RecordHeader header_;
  detail::ScratchZone zone_;
  msgpack::object object_;
};

/// The ways to the members in which two values differ; "" is the whole of it.
std::vector<std::string> differences(const Value& a, const Value& b);

/// The names in the root. Throws CorruptRecordError if the record is of something else.
std::map<std::string, Oid> names_in_root(std::string_view record, Tid tid);

}  // namespace cow::tool
