// Reading MessagePack values of a record into msgpack::object, at a cost in proportion to its bytes.
//
// Thread safety: scratch memory is per thread and used only inside a call.
//
// msgpack-cxx's own reader allocates 24 bytes for each element that an array announces, as soon as it announces them: a
// thousand nested arrays that each claim a million elements cost 24 GB. Every element takes a byte of the record, so here
// all containers together may announce no more elements than that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "message_check.hpp"
#include "thread_scratch.hpp"

namespace cow::detail {

/// Builds msgpack::object in a zone. Strings, binary values and extensions refer to the bytes that are parsed.
class ObjectBuilder : public msgpack::null_visitor {
 public:
  /// `most_elements`: in all containers together.
  ObjectBuilder(msgpack::zone& zone, std::size_t most_elements) : zone_(zone), elements_left_(most_elements) {
    open_.reserve(16);
    open_.push_back(&root_);
  }

  const msgpack::object& object() const noexcept { return root_; }

  // Called by msgpack::parse.
  bool visit_nil() noexcept { return put(msgpack::type::NIL), true; }
  bool visit_boolean(bool value) noexcept { return put(msgpack::type::BOOLEAN).boolean = value, true; }
  bool visit_positive_integer(std::uint64_t value) noexcept {
    return put(msgpack::type::POSITIVE_INTEGER).u64 = value, true;
  }
  bool visit_negative_integer(std::int64_t value) noexcept {
    if (value >= 0) return visit_positive_integer(static_cast<std::uint64_t>(value));
    return put(msgpack::type::NEGATIVE_INTEGER).i64 = value, true;
  }
  bool visit_float32(float value) noexcept { return put(msgpack::type::FLOAT32).f64 = value, true; }
  bool visit_float64(double value) noexcept { return put(msgpack::type::FLOAT64).f64 = value, true; }
  bool visit_str(const char* bytes, std::uint32_t size) noexcept {
    return put(msgpack::type::STR).str = {size, bytes}, true;
  }
  bool visit_bin(const char* bytes, std::uint32_t size) noexcept {
    return put(msgpack::type::BIN).bin = {size, bytes}, true;
  }
  bool visit_ext(const char* bytes, std::uint32_t size) noexcept {
    return put(msgpack::type::EXT).ext = {size - 1, bytes}, true;  // `size` counts the byte of the type
  }
  bool start_array(std::uint32_t count) {
    auto& array = open(msgpack::type::ARRAY, count).array;
    array = {count, allocate<msgpack::object>(count)};
    open_.push_back(array.ptr);
    return true;
  }
  bool end_array_item() noexcept { return ++open_.back(), true; }
  bool end_array() noexcept { return open_.pop_back(), true; }
  bool start_map(std::uint32_t count) {
    auto& map = open(msgpack::type::MAP, std::uint64_t{2} * count).map;
    map = {count, allocate<msgpack::object_kv>(count)};
    open_.push_back(reinterpret_cast<msgpack::object*>(map.ptr));
    return true;
  }
  bool end_map_key() noexcept { return ++open_.back(), true; }
  bool end_map_value() noexcept { return ++open_.back(), true; }
  bool end_map() noexcept { return open_.pop_back(), true; }
  [[noreturn]] void parse_error(std::size_t, std::size_t) { throw msgpack::parse_error("parse error"); }
  [[noreturn]] void insufficient_bytes(std::size_t, std::size_t) {
    throw msgpack::insufficient_bytes("insufficient bytes");
  }

 private:
  msgpack::object::union_type& put(msgpack::type::object_type type) noexcept {
    open_.back()->type = type;
    return open_.back()->via;
  }
  msgpack::object::union_type& open(msgpack::type::object_type type, std::uint64_t elements) {
    if (elements > elements_left_) throw std::length_error("more elements announced than there are bytes");
    if (open_.size() > kDeepestNesting) throw std::length_error("nests deeper than 1024 levels");
    elements_left_ -= elements;
    return put(type);
  }
  template <class T>
  T* allocate(std::uint32_t count) {
    if (count == 0) return nullptr;
    return static_cast<T*>(zone_.allocate_align(count * sizeof(T), alignof(T)));
  }

  msgpack::zone& zone_;
  std::uint64_t elements_left_;
  msgpack::object root_;
  std::vector<msgpack::object*> open_;  // where the next value of each open container goes, outermost first
};

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
    ObjectBuilder builder(*zone_, record.size() - offset);
    if (!msgpack::parse(record.data(), record.size(), offset, builder)) throw msgpack::parse_error("parse error");
    return builder.object();
  }

 private:
  ThreadScratch<msgpack::zone> zone_;
};

}  // namespace cow::detail
