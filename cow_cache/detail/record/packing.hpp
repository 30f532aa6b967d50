// Writing values with msgpack-cxx: what its packer does differently for records.
//
// Thread safety: a sink belongs to one call.
//
// msgpack-cxx lets a stream have a packer of its own; the members that are specialised here are called wherever a value
// packs another one, in its containers and macros too. So
//
//  - nesting is counted while it is written: what decoding would refuse is refused before, and a cycle of shared pointers
//    ends in an error and not in a stack overflow;
//  - what the compiler cannot know to be well formed is marked, to be looked at once more (message_check.hpp);
//  - a negative zero keeps its sign, which msgpack-cxx writes as the integer 0.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <msgpack.hpp>
#include <stdexcept>
#include <string>

#include "message_check.hpp"
#include "storable.hpp"

namespace cow::detail {

/// Lets msgpack-cxx append to a string.
struct StringSink {
  /// Calls of `pack` inside one another. More of them than levels: optionals and pointers write none.
  static constexpr std::uint32_t kMaxCalls = 4 * kDeepestNesting;

  std::string& out;
  std::uint32_t levels = 0;  ///< arrays and maps that are open; too many where one function writes several in a row
  std::uint32_t calls = 0;
  bool doubtful = false;  ///< nesting or form is not known for certain

  void write(const char* bytes, std::size_t count) { out.append(bytes, count); }

  void open_container() noexcept {
    if (++levels > kDeepestNesting) [[unlikely]]
      doubtful = true;
  }
};

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_nesting() {
  throw std::length_error("it nests deeper than 1024 levels, or in a circle");
}

/// A first byte and the big-endian bytes of a number behind it.
template <std::size_t kBytes>
[[gnu::always_inline]] inline void store_head(StringSink& sink, unsigned head, std::uint64_t value) {
  char out[kBytes + 1] = {static_cast<char>(head)};
  for (std::size_t i = 0; i < kBytes; ++i) out[i + 1] = static_cast<char>(value >> (8 * (kBytes - 1 - i)));
  sink.write(out, sizeof out);
}

[[gnu::noinline]] inline void store_long_string(StringSink& sink, std::uint32_t count) {
  if (count < 256) {
    store_head<1>(sink, 0xd9, count);
  } else if (count < 65536) {
    store_head<2>(sink, 0xda, count);
  } else {
    store_head<4>(sink, 0xdb, count);
  }
}

}  // namespace cow::detail

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(v1) {
  template <>
  template <class T>
  inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack(const T& value) {
    constexpr cow::detail::Shape kShape = cow::detail::shape_of<T>();
    if constexpr (kShape == cow::detail::Shape::scalar) {
      msgpack::operator<<(*this, value);
    } else {
      cow::detail::StringSink& sink = m_stream;
      const std::uint32_t levels = sink.levels;
      if (++sink.calls > cow::detail::StringSink::kMaxCalls) [[unlikely]]
        cow::detail::refuse_nesting();
      if constexpr (kShape == cow::detail::Shape::foreign) sink.doubtful = true;
      msgpack::operator<<(*this, value);
      --sink.calls;
      sink.levels = levels;
    }
    return *this;
  }

  template <>
  inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack_array(std::uint32_t count) {
    m_stream.open_container();
    if (count < 16) {
      cow::detail::store_head<0>(m_stream, 0x90 | count, 0);
    } else if (count < 65536) {
      cow::detail::store_head<2>(m_stream, 0xdc, count);
    } else {
      cow::detail::store_head<4>(m_stream, 0xdd, count);
    }
    return *this;
  }

  template <>
  inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack_map(std::uint32_t count) {
    m_stream.open_container();
    if (count < 16) {
      cow::detail::store_head<0>(m_stream, 0x80 | count, 0);
    } else if (count < 65536) {
      cow::detail::store_head<2>(m_stream, 0xde, count);
    } else {
      cow::detail::store_head<4>(m_stream, 0xdf, count);
    }
    return *this;
  }

  // Inlined as far as the strings are short, as names of fields are.
  template <>
  [[gnu::always_inline]] inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack_str(
      std::uint32_t count) {
    if (count < 32) [[likely]] {
      cow::detail::store_head<0>(m_stream, 0xa0 | count, 0);
    } else {
      cow::detail::store_long_string(m_stream, count);
    }
    return *this;
  }

  // Whole numbers are written as integers, as msgpack-cxx does: they are shorter, and read back exactly. Zero is one only
  // without a sign, and 2^64 is none.
  template <>
  inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack_double(double number) {
    if (number >= 0 && number < 0x1p64 && number == static_cast<double>(static_cast<std::uint64_t>(number)) &&
        !std::signbit(number)) {
      pack_imp_uint64(static_cast<std::uint64_t>(number));
    } else if (number < 0 && number >= -0x1p63 && number == static_cast<double>(static_cast<std::int64_t>(number))) {
      pack_imp_int64(static_cast<std::int64_t>(number));
    } else {
      cow::detail::store_head<8>(m_stream, 0xcb, std::bit_cast<std::uint64_t>(number));
    }
    return *this;
  }

  template <>
  inline packer<cow::detail::StringSink>& packer<cow::detail::StringSink>::pack_float(float number) {
    if (number >= 0 && number < 0x1p64f && number == static_cast<float>(static_cast<std::uint64_t>(number)) &&
        !std::signbit(number)) {
      pack_imp_uint64(static_cast<std::uint64_t>(number));
    } else if (number < 0 && number >= -0x1p63f && number == static_cast<float>(static_cast<std::int64_t>(number))) {
      pack_imp_int64(static_cast<std::int64_t>(number));
    } else {
      cow::detail::store_head<4>(m_stream, 0xca, std::bit_cast<std::uint32_t>(number));
    }
    return *this;
  }
}
}  // namespace msgpack
