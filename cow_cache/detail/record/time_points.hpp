// Time points in records: as msgpack-cxx writes them, read with a check of their range.
//
// Thread safety: all functions are stateless.
//
// msgpack-cxx adds the seconds of a timestamp to a time point whatever they are, so bad bytes overflow a signed integer. It
// divides by zero for units above a second or below a nanosecond, and cuts fractions off: these are refused by the compiler
// (storable.hpp).
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <msgpack.hpp>

namespace cow::detail {

/// Units that msgpack-cxx writes exactly: seconds, and decimal fractions of them down to nanoseconds.
template <class Duration>
concept StorableTime = std::signed_integral<typename Duration::rep> && Duration::period::num == 1 &&
                       Duration::period::den <= 1'000'000'000 && 1'000'000'000 % Duration::period::den == 0;

/// The time of a timestamp: https://github.com/msgpack/msgpack/blob/master/spec.md#timestamp-extension-type
template <class Clock, StorableTime Duration>
std::chrono::time_point<Clock, Duration> time_point_of(const msgpack::object& object) {
  if (object.type != msgpack::type::EXT || object.via.ext.type() != -1) throw msgpack::type_error();
  const std::uint32_t size = object.via.ext.size;
  auto number = [bytes = object.via.ext.data()](std::uint32_t from, std::uint32_t count) {
    std::uint64_t value = 0;
    for (std::uint32_t i = from; i < from + count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
  };
  std::int64_t seconds = 0, nanoseconds = 0;
  switch (size) {
    case 4:
      seconds = static_cast<std::int64_t>(number(0, 4));
      break;
    case 8:
      seconds = static_cast<std::int64_t>(number(0, 8) & 0x3'ffff'ffff);
      nanoseconds = static_cast<std::int64_t>(number(0, 8) >> 34);
      break;
    case 12:
      nanoseconds = static_cast<std::int64_t>(number(0, 4));
      seconds = static_cast<std::int64_t>(number(4, 8));
      break;
    default:
      throw msgpack::type_error();
  }
  constexpr std::int64_t kUnits = Duration::period::den;  // in a second
  if (nanoseconds > 999'999'999) throw msgpack::type_error();
  std::int64_t fraction = nanoseconds / (1'000'000'000 / kUnits), count = 0;
  if (seconds < 0) {  // towards zero first: the smallest time is not a whole number of seconds
    ++seconds;
    fraction -= kUnits;
  }
  if (__builtin_mul_overflow(seconds, kUnits, &count) || __builtin_add_overflow(count, fraction, &count) ||
      count < std::numeric_limits<typename Duration::rep>::min() ||
      count > std::numeric_limits<typename Duration::rep>::max()) {
    throw msgpack::type_error();
  }
  return std::chrono::time_point<Clock, Duration>(Duration(static_cast<typename Duration::rep>(count)));
}

}  // namespace cow::detail

// More constrained than msgpack-cxx's own, hence preferred. For what it writes itself the two agree.
namespace msgpack {
MSGPACK_API_VERSION_NAMESPACE(v1) {
  namespace adaptor {

  template <class Clock, class Duration>
  requires cow::detail::StorableTime<Duration>
  struct as<std::chrono::time_point<Clock, Duration>> {
    std::chrono::time_point<Clock, Duration> operator()(const msgpack::object& object) const {
      return cow::detail::time_point_of<Clock, Duration>(object);
    }
  };
  template <class Clock, class Duration>
  requires cow::detail::StorableTime<Duration>
  struct convert<std::chrono::time_point<Clock, Duration>> {
    const msgpack::object& operator()(const msgpack::object& object,
                                      std::chrono::time_point<Clock, Duration>& time) const {
      time = cow::detail::time_point_of<Clock, Duration>(object);
      return object;
    }
  };

  }  // namespace adaptor
}
}  // namespace msgpack
