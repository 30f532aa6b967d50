// Chance and faults: what a seed decides, and exceptions that are thrown at random.
//
// Thread safety: all functions may be called from any thread, but for `Faults::set`.
//
// Invariants:
//  1. The n-th roll of dice depends on their seed alone. Dice that one client uses make that client do the same again; dice that
//     threads share make the same rolls, in whichever order the threads come.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace cow::testing {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) noexcept : state_(seed) {}

  /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). Relaxed: each caller takes another state, in whichever order.
  std::uint64_t roll() noexcept {
    std::uint64_t mixed = state_.fetch_add(0x9E3779B97F4A7C15, std::memory_order_relaxed) + 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
  }
  std::size_t below(std::size_t count) noexcept { return static_cast<std::size_t>(roll() % count); }
  /// Never, if `count` is 0.
  bool one_in(std::size_t count) noexcept { return count != 0 && below(count) == 0; }
  template <class Values>
  auto one_of(const Values& values) noexcept {
    return values[below(std::size(values))];
  }
  /// Each order of magnitude is as likely as the others.
  std::chrono::microseconds time(double least, double most) noexcept {
    double share = static_cast<double>(roll() >> 11) / static_cast<double>(std::uint64_t{1} << 53);
    return std::chrono::microseconds(static_cast<std::int64_t>(least * std::pow(most / least, share)));
  }
  void set(std::uint64_t seed) noexcept { state_.store(seed, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> state_;
};

/// Where something is thrown at random.
enum class Fault : std::uint8_t { load, commit, oids, pack, unpack, copy, body, call, handler, count };
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::count);
inline constexpr std::array<const char*, kFaults> kFaultNames{"load", "commit", "oids", "pack",   "unpack",
                                                              "copy", "body",   "call", "handler"};
/// Stands in the text of every exception that is thrown at random.
inline constexpr const char* kOnPurpose = "thrown on purpose: ";

/// What codecs, bodies, calls and handlers throw, and the store at times.
struct ThrownOnPurpose : std::runtime_error {
  explicit ThrownOnPurpose(Fault of)
      : std::runtime_error(std::string(kOnPurpose) + kFaultNames[static_cast<std::size_t>(of)]), fault(of) {}
  Fault fault;
};

/// Codecs have no place for a reference to anything, so there is one of these.
class Faults {
 public:
  /// One in so many throws; 0: none. REQUIRES: nobody rolls.
  void set(std::uint64_t seed, const std::array<std::size_t, kFaults>& one_in) noexcept {
    dice_.set(seed);
    one_in_ = one_in;
  }
  void stop() noexcept { set(0, {}); }

  bool strikes(Fault fault) noexcept {
    auto index = static_cast<std::size_t>(fault);
    if (merciful_ > 0 || !dice_.one_in(one_in_[index])) return false;
    thrown_[index].fetch_add(1, std::memory_order_relaxed);  // a mere count
    return true;
  }
  void may_throw(Fault fault) {
    if (strikes(fault)) throw ThrownOnPurpose(fault);
  }
  std::uint64_t thrown(Fault fault) const noexcept {
    return thrown_[static_cast<std::size_t>(fault)].load(std::memory_order_relaxed);
  }

  /// As long as it lives, nothing is thrown at random on this thread. REQUIRES: no suspension meanwhile.
  struct Mercy {
    Mercy() noexcept { ++merciful_; }
    Mercy(const Mercy&) = delete;
    Mercy& operator=(const Mercy&) = delete;
    ~Mercy() { --merciful_; }
  };

 private:
  static inline thread_local int merciful_ = 0;
  Dice dice_{0};
  std::array<std::size_t, kFaults> one_in_{};
  std::array<std::atomic<std::uint64_t>, kFaults> thrown_{};
};
inline Faults faults;

}  // namespace cow::testing
