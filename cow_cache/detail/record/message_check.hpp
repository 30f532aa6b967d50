// Whether bytes are exactly one MessagePack value that decoding accepts.
//
// Thread safety: all functions are stateless.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace cow::detail {

/// How deep arrays and maps may nest in a record. Decoding recurses, and so does destroying what was decoded.
inline constexpr std::uint32_t kDeepestNesting = 1024;

enum class MessageKind : std::uint8_t { invalid, bytes, array, map };

/// What follows a first byte from 0xc0 to 0xdf.
struct MessageForm {
  MessageKind kind;
  std::uint8_t length_bytes;  ///< of the length
  std::uint8_t more;          ///< bytes besides that many
};

// clang-format off
inline constexpr std::array<MessageForm, 32> kMessageForms{{
    {MessageKind::bytes, 0, 0}, {MessageKind::invalid, 0, 0},                              // nil, nothing
    {MessageKind::bytes, 0, 0}, {MessageKind::bytes, 0, 0},                                // false, true
    {MessageKind::bytes, 1, 0}, {MessageKind::bytes, 2, 0}, {MessageKind::bytes, 4, 0},    // binary
    {MessageKind::bytes, 1, 1}, {MessageKind::bytes, 2, 1}, {MessageKind::bytes, 4, 1},    // extensions, and their type
    {MessageKind::bytes, 0, 4}, {MessageKind::bytes, 0, 8},                                // floating point
    {MessageKind::bytes, 0, 1}, {MessageKind::bytes, 0, 2}, {MessageKind::bytes, 0, 4}, {MessageKind::bytes, 0, 8},
    {MessageKind::bytes, 0, 1}, {MessageKind::bytes, 0, 2}, {MessageKind::bytes, 0, 4}, {MessageKind::bytes, 0, 8},
    {MessageKind::bytes, 0, 2}, {MessageKind::bytes, 0, 3}, {MessageKind::bytes, 0, 5},    // extensions of fixed size
    {MessageKind::bytes, 0, 9}, {MessageKind::bytes, 0, 17},
    {MessageKind::bytes, 1, 0}, {MessageKind::bytes, 2, 0}, {MessageKind::bytes, 4, 0},    // strings
    {MessageKind::array, 2, 0}, {MessageKind::array, 4, 0},
    {MessageKind::map, 2, 0}, {MessageKind::map, 4, 0},
}};
// clang-format on

/// Walks over the headers of the values in a message.
class MessageWalk {
 public:
  explicit MessageWalk(std::string_view bytes) noexcept
      : at_(reinterpret_cast<const unsigned char*>(bytes.data())), end_(at_ + bytes.size()) {}

  /// Passes one header and what it says of bytes. False: it is cut off, or no header. `elements`: what follows inside.
  bool next(std::uint64_t& elements) noexcept {
    elements = 0;
    if (at_ == end_) return false;
    const unsigned head = *at_++;
    if (head <= 0x7f || head >= 0xe0) return true;                              // small numbers
    if (head <= 0x8f) return elements = std::uint64_t{2} * (head & 0xf), true;  // small maps
    if (head <= 0x9f) return elements = head & 0xf, true;                       // small arrays
    if (head <= 0xbf) return skip(head & 0x1f);                                 // short strings
    const MessageForm form = kMessageForms[head - 0xc0];
    std::uint64_t length = 0;
    if (!big_endian(form.length_bytes, length)) return false;
    switch (form.kind) {
      case MessageKind::invalid:
        return false;
      case MessageKind::array:
        return elements = length, true;
      case MessageKind::map:
        return elements = 2 * length, true;
      case MessageKind::bytes:
        return skip(length + form.more);
    }
    return false;
  }

  /// Whether the next header is that of an array or a map. REQUIRES: there is one.
  bool at_container() const noexcept {
    const unsigned head = *at_;
    return (head >= 0x80 && head <= 0x9f) || (head >= 0xdc && head <= 0xdf);
  }

  bool at_end() const noexcept { return at_ == end_; }
  std::size_t bytes_left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

 private:
  bool skip(std::uint64_t bytes) noexcept {
    if (bytes > bytes_left()) return false;
    at_ += bytes;
    return true;
  }
  bool big_endian(std::size_t bytes, std::uint64_t& value) noexcept {
    if (bytes > bytes_left()) return false;
    for (; bytes > 0; --bytes) value = value << 8 | *at_++;
    return true;
  }

  const unsigned char* at_;
  const unsigned char* const end_;
};

/// What is wrong with a message that must be one value; null: nothing.
inline const char* fault_of(std::string_view message) {
  if (message.empty()) return "its codec writes nothing";
  // First without a stack, which suffices unless there are very many containers: nesting is no deeper than their number.
  MessageWalk walk(message);
  std::uint64_t pending = 1, containers = 0, elements = 0;
  for (; pending > 0; --pending) {
    if (!walk.next(elements)) return "its codec writes no whole MessagePack value";
    if (elements == 0) continue;
    ++containers;
    pending += elements;
    if (pending - 1 > walk.bytes_left()) return "its codec announces more elements than it writes";
  }
  if (!walk.at_end()) return "its codec writes more than one MessagePack value";
  if (containers < kDeepestNesting) return nullptr;  // an empty one inside makes one level more
  std::vector<std::uint64_t> open{1};                // elements to come, outermost first
  for (MessageWalk again(message); !open.empty();) {
    if (open.back() == 0) {
      open.pop_back();
      continue;
    }
    --open.back();
    const bool is_container = again.at_container();
    again.next(elements);
    if (is_container && open.size() > kDeepestNesting) return "it nests deeper than 1024 levels";
    if (elements > 0) open.push_back(elements);
  }
  return nullptr;
}

}  // namespace cow::detail
