// HeapBytes<T>: how many bytes on the heap belong to a value.
//
// Thread safety: all functions are stateless; nobody may change the value meanwhile.
//
// What decoding allocates can be measured (detail/state/heap_meter.hpp). What a program does to an object between its
// first write and the commit cannot be: it allocates for other purposes too, and may do so on several threads. So the
// finished value is asked. Known are the standard containers, types without anything on the heap, and structs that
// describe themselves with MSGPACK_DEFINE or MSGPACK_DEFINE_MAP, whose members are visited as if they were written. What is
// none of these counts as not known, and the cache falls back on the size of the record; specialise HeapBytes for such a
// type, or for one that keeps something on the heap that it does not write:
//
//   template <>
//   struct cow::HeapBytes<Picture> {
//     static void add(const Picture& picture, HeapSum& sum) { sum.block(picture.width * picture.height); }
//   };
#pragma once

#include "version.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <msgpack.hpp>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "heap_sum.hpp"
#include "ref.hpp"

namespace cow {

namespace detail {

struct Discard {
  void write(const char*, std::size_t) noexcept {}
};

/// Poses as a packer of msgpack-cxx and visits what it is given instead of writing it.
class MemberVisitor : public msgpack::packer<Discard> {
 public:
  explicit MemberVisitor(HeapSum& sum) noexcept : packer(discard_), sum_(sum) {}

  template <class T>
  MemberVisitor& pack(const T& member) {
    sum_.add(member);
    return *this;
  }
  MemberVisitor& pack_array(std::uint32_t) noexcept { return *this; }
  MemberVisitor& pack_map(std::uint32_t) noexcept { return *this; }

 private:
  static inline Discard discard_;  // without state, so all threads may have the same
  HeapSum& sum_;
};

template <class T>
concept DescribesItself = requires(const T& value, MemberVisitor& visitor) {
  value.msgpack_pack(visitor);
};

template <class T>
concept HasHeapBytes = requires(const T& value, HeapSum& sum) {
  HeapBytes<T>::add(value, sum);
};

template <class Container>
void add_elements(const Container& container, HeapSum& sum) {
  if constexpr (!std::is_trivially_copyable_v<typename Container::value_type>) {
    for (const auto& element : container) sum.add(element);
  }
}

/// One block per element: links and the element. As in libstdc++; others differ by a word at most.
template <std::size_t kLinks, class Container>
void add_nodes(const Container& container, HeapSum& sum) {
  struct Node {
    void* links[kLinks];
    alignas(typename Container::value_type) std::byte value[sizeof(typename Container::value_type)];
  };
  sum.block(sizeof(Node), container.size());
  add_elements(container, sum);
}

struct TreeBytes {
  template <class Tree>
  static void add(const Tree& tree, HeapSum& sum) {
    add_nodes<4>(tree, sum);  // three links and a colour
  }
};
struct HashTableBytes {
  template <class Table>
  static void add(const Table& table, HeapSum& sum) {
    // libstdc++ keeps the hash in the node, unless it is cheap to compute.
    add_nodes<std::is_scalar_v<typename Table::key_type> ? 1 : 2>(table, sum);
    if (table.bucket_count() > 1) sum.block(table.bucket_count() * sizeof(void*));  // one lies in the table itself
  }
};

}  // namespace detail

template <class T>
void HeapSum::add(const T& value) {
  if constexpr (detail::HasHeapBytes<T>) {
    HeapBytes<T>::add(value, *this);
  } else if constexpr (std::is_trivially_copyable_v<T>) {
    // Owns nothing.
  } else if constexpr (detail::DescribesItself<T>) {
    detail::MemberVisitor visitor(*this);
    value.msgpack_pack(visitor);
  } else {
    note_unknown();
  }
}

template <class T>
struct HeapBytes<Ref<T>> {
  static void add(const Ref<T>&, HeapSum&) noexcept {}
};

template <class Char, class Traits, class Allocator>
struct HeapBytes<std::basic_string<Char, Traits, Allocator>> {
  using String = std::basic_string<Char, Traits, Allocator>;
  static void add(const String& text, HeapSum& sum) noexcept {
    static const std::size_t inside = String().capacity();
    if (text.capacity() > inside) sum.block((text.capacity() + 1) * sizeof(Char));
  }
};

template <class T, class Allocator>
struct HeapBytes<std::vector<T, Allocator>> {
  static void add(const std::vector<T, Allocator>& vector, HeapSum& sum) {
    if constexpr (std::is_same_v<T, bool>) {
      sum.block((vector.capacity() + 63) / 64 * 8);
    } else {
      sum.block(vector.capacity() * sizeof(T));
      detail::add_elements(vector, sum);
    }
  }
};

template <class T, std::size_t kSize>
struct HeapBytes<std::array<T, kSize>> {
  static void add(const std::array<T, kSize>& array, HeapSum& sum) { detail::add_elements(array, sum); }
};

template <class T, class Allocator>
struct HeapBytes<std::list<T, Allocator>> {
  static void add(const std::list<T, Allocator>& list, HeapSum& sum) { detail::add_nodes<2>(list, sum); }
};

// clang-format off
template <class... A> struct HeapBytes<std::map<A...>> : detail::TreeBytes {};
template <class... A> struct HeapBytes<std::multimap<A...>> : detail::TreeBytes {};
template <class... A> struct HeapBytes<std::set<A...>> : detail::TreeBytes {};
template <class... A> struct HeapBytes<std::multiset<A...>> : detail::TreeBytes {};
template <class... A> struct HeapBytes<std::unordered_map<A...>> : detail::HashTableBytes {};
template <class... A> struct HeapBytes<std::unordered_multimap<A...>> : detail::HashTableBytes {};
template <class... A> struct HeapBytes<std::unordered_set<A...>> : detail::HashTableBytes {};
template <class... A> struct HeapBytes<std::unordered_multiset<A...>> : detail::HashTableBytes {};
// clang-format on

template <class First, class Second>
struct HeapBytes<std::pair<First, Second>> {
  static void add(const std::pair<First, Second>& pair, HeapSum& sum) {
    sum.add(pair.first);
    sum.add(pair.second);
  }
};

template <class... Elements>
struct HeapBytes<std::tuple<Elements...>> {
  static void add(const std::tuple<Elements...>& tuple, HeapSum& sum) {
    std::apply([&](const Elements&... elements) { (sum.add(elements), ...); }, tuple);
  }
};

template <class T>
struct HeapBytes<std::optional<T>> {
  static void add(const std::optional<T>& value, HeapSum& sum) {
    if (value) sum.add(*value);
  }
};

template <class... Alternatives>
struct HeapBytes<std::variant<Alternatives...>> {
  static void add(const std::variant<Alternatives...>& value, HeapSum& sum) {
    if (value.valueless_by_exception()) return;
    std::visit([&](const auto& alternative) { sum.add(alternative); }, value);
  }
};

}  // namespace cow
