// COW_CACHE_CHECKED=1: every value that is encoded is decoded again and compared, before a commit goes on.
//
// Thread safety: all functions are stateless.
//
// Two values are the same if they have the same fingerprint: what msgpack-cxx is told to write, but with what a record
// leaves out. There an empty optional differs from one that holds nil, numbers of floating point have all their bits (a
// signalling NaN apart, which conversions make quiet), and what comes back in another order (cow::kUnordered) is sorted.
// A type with an operator== is asked as well, so that members which nobody writes are noticed; unless a value differs
// from itself, as one with a NaN does. For a specialised Codec the record itself is the fingerprint, and where that
// differs, because it has an order of its own, operator== decides.
//
// Translation units with and without the setting do not mix: the same functions would do different things. So each
// defines a symbol in a section that the linker keeps once per setting; of two settings it finds the symbol defined twice.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <msgpack.hpp>
#include <string>
#include <vector>

#include "packing.hpp"
#include "storable.hpp"

#ifndef COW_CACHE_CHECKED
#define COW_CACHE_CHECKED 0
#endif

namespace cow::detail {

inline constexpr bool kChecked = COW_CACHE_CHECKED != 0;

#if defined(__ELF__)
#if COW_CACHE_CHECKED
#define COW_CACHE_SETTING "cow_cache_is_checked"
#else
#define COW_CACHE_SETTING "cow_cache_is_not_checked"
#endif
__asm__(".pushsection .rodata." COW_CACHE_SETTING ",\"aG\",%progbits," COW_CACHE_SETTING
        ",comdat\n"
        ".globl cow_cache_checked_in_all_units_or_none\n"
        ".hidden cow_cache_checked_in_all_units_or_none\n"
        "cow_cache_checked_in_all_units_or_none: .byte 0\n"
        ".popsection\n");
#undef COW_CACHE_SETTING
#endif

/// Where a fingerprint is written to.
struct FingerprintSink {
  std::string& out;
  void write(const char* bytes, std::size_t count) { out.append(bytes, count); }
  template <class T>
  void write_bits(T value) {
    write(reinterpret_cast<const char*>(&value), sizeof value);
  }
};

}  // namespace cow::detail

namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(v1) {
  template <>
  template <class T>
  inline packer<cow::detail::FingerprintSink>& packer<cow::detail::FingerprintSink>::pack(const T& value) {
    if constexpr (cow::kUnordered<T>) {
      std::vector<std::string> elements;
      for (const auto& element : value) {
        cow::detail::FingerprintSink sink{elements.emplace_back()};
        packer(sink).pack(element);
      }
      std::sort(elements.begin(), elements.end());
      m_stream.write_bits(elements.size());
      for (const std::string& element : elements) {
        m_stream.write_bits(element.size());
        m_stream.write(element.data(), element.size());
      }
    } else if constexpr (cow::detail::StandardShape<T>::kShape == cow::detail::Shape::holder) {
      m_stream.write(value ? "\1" : "\0", 1);
      if (value) pack(*value);
    } else {
      msgpack::operator<<(*this, value);
    }
    return *this;
  }

  template <>
  inline packer<cow::detail::FingerprintSink>& packer<cow::detail::FingerprintSink>::pack_double(double number) {
    m_stream.write_bits(number);
    return *this;
  }

  template <>
  inline packer<cow::detail::FingerprintSink>& packer<cow::detail::FingerprintSink>::pack_float(float number) {
    // A signalling NaN is made quiet on the way through a double, here as in decoding.
    const volatile double wide = number;
    m_stream.write_bits(static_cast<double>(wide));
    return *this;
  }
}
}  // namespace msgpack
