// The objects that the model fuzzer stores, and what the model knows of each: an image, from which its bytes follow.
//
// Thread safety: plain values; the counter of live values is atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cow_cache/cow_cache.hpp"

namespace cow::testing {

enum class Kind : std::uint8_t { small, text, large, node, root };

inline const char* name_of(Kind kind) {
  static constexpr const char* kNames[] = {"small", "text", "large", "node", "root"};
  return kNames[static_cast<int>(kind)];
}

/// What an object holds. Everything that is not a reference follows from the number.
struct Image {
  Kind kind = Kind::small;
  std::uint64_t number = 0;
  Oid next{}, text{};                ///< of a node
  std::map<std::string, Oid> names;  ///< of the root
};

/// Counts the values that exist, wherever the library keeps them; and lets user code do something once, where the library makes a
/// value: while it decodes one (`copies` is false), or copies one.
struct Counted {
  Counted() { made(false); }
  Counted(const Counted&) { made(true); }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }

  static inline std::atomic<std::int64_t> alive{0};
  static inline std::function<void(bool copies)> when_made;  ///< does not throw

 private:
  static void made(bool copies) {
    ++alive;
    if (when_made) std::exchange(when_made, nullptr)(copies);
  }
};

struct Small : Counted {
  static constexpr std::string_view cow_type_name = "model.Small";
  static constexpr Kind kKind = Kind::small;
  std::uint64_t number = 0;
  MSGPACK_DEFINE_MAP(number);

  void set(std::uint64_t value) { number = value; }
  bool holds(const Image& image) const { return number == image.number; }
};

/// Short texts lie in the value, longer ones on the heap.
struct Text : Counted {
  static constexpr std::string_view cow_type_name = "model.Text";
  static constexpr Kind kKind = Kind::text;
  std::uint64_t number = 0;
  std::string text;
  MSGPACK_DEFINE_MAP(number, text);

  static std::string text_of(std::uint64_t value) {
    return std::string(value % 300, static_cast<char>('a' + value % 26));
  }
  void set(std::uint64_t value) {
    number = value;
    text = text_of(value);
  }
  bool holds(const Image& image) const { return number == image.number && text == text_of(number); }
};

/// Half a kibibyte in the slot, one to four on the heap.
struct Large : Counted {
  static constexpr std::string_view cow_type_name = "model.Large";
  static constexpr Kind kKind = Kind::large;
  std::uint64_t number = 0;
  std::array<std::uint64_t, 64> block{};
  std::vector<std::uint64_t> cells;
  MSGPACK_DEFINE_MAP(number, block, cells);

  static std::size_t cells_of(std::uint64_t value) { return 128 + value % 384; }
  void set(std::uint64_t value) {
    number = value;
    block.fill(value);
    cells.resize(cells_of(value));
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = value + i;
  }
  bool holds(const Image& image) const {
    if (number != image.number || cells.size() != cells_of(number)) return false;
    for (std::uint64_t each : block) {
      if (each != number) return false;
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i] != number + i) return false;
    }
    return true;
  }
};

/// Its references carry hints that are shared by all who read the state.
struct Node : Counted {
  static constexpr std::string_view cow_type_name = "model.Node";
  static constexpr Kind kKind = Kind::node;
  std::uint64_t number = 0;
  Ref<Node> next;
  Ref<Text> text;
  std::vector<std::uint64_t> trail;
  MSGPACK_DEFINE_MAP(number, next, text, trail);

  void set(std::uint64_t value) {
    number = value;
    trail.assign(3, value);
  }
  bool holds(const Image& image) const {
    return number == image.number && trail == std::vector<std::uint64_t>(3, number) && next.oid() == image.next &&
           text.oid() == image.text;
  }
};

using AnyRef = std::variant<Ref<Small>, Ref<Text>, Ref<Large>, Ref<Node>>;

inline Oid oid_of(const AnyRef& reference) {
  return std::visit([](const auto& typed) { return typed.oid(); }, reference);
}

/// A reference that knows the oid only.
inline AnyRef without_hint(Kind kind, Oid oid) {
  switch (kind) {
    case Kind::small:
      return Ref<Small>(oid);
    case Kind::text:
      return Ref<Text>(oid);
    case Kind::large:
      return Ref<Large>(oid);
    default:
      return Ref<Node>(oid);
  }
}

/// An upper bound of what a cache charges for a state.
inline std::size_t bytes_of(const Image& image) {
  std::size_t heap = image.kind == Kind::large ? 512 + Large::cells_of(image.number) * 8 : 300;
  for (const auto& [name, oid] : image.names) heap += 128 + name.size();
  return 192 + heap + heap / 4;  // header, value and the rounding of slot and blocks
}

}  // namespace cow::testing
