// The object of the stress: it says itself twice on the heap, counts its living copies, and its codec throws at random.
//
// Thread safety: a plain value.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "tests/stress/async_stress/chance.hpp"

namespace cow::testing {

/// Counts what lives: values of the cache, or frames of coroutines that have one as a local variable.
template <class Of>
struct Living {
  static inline std::atomic<std::int64_t> count{0};
  // Relaxed: looked at when all threads have been joined.
  Living() noexcept { count.fetch_add(1, std::memory_order_relaxed); }
  Living(const Living&) noexcept { count.fetch_add(1, std::memory_order_relaxed); }
  Living& operator=(const Living&) noexcept = default;
  ~Living() { count.fetch_sub(1, std::memory_order_relaxed); }
};

/// What an account says. `changes`: how many acknowledged transactions have changed it.
struct Amount {
  std::int64_t balance = 0, changes = 0;
  friend bool operator==(const Amount&, const Amount&) = default;
  std::string text() const {
    return "a balance of " + std::to_string(balance) + " after " + std::to_string(changes) + " changes";
  }
};

struct StressAccount : Living<StressAccount> {
  static constexpr std::string_view cow_type_name = "test.StressAccount";

  StressAccount() = default;
  explicit StressAccount(std::int64_t balance) { set({balance, 0}); }
  StressAccount(const StressAccount& other)
      : Living(other), amount(other.amount), text(other.text), trail(other.trail) {
    faults.may_throw(Fault::copy);
  }
  StressAccount(StressAccount&&) noexcept = default;
  StressAccount& operator=(const StressAccount&) = default;
  StressAccount& operator=(StressAccount&&) noexcept = default;
  ~StressAccount() = default;

  void set(const Amount& now) {
    amount = now;
    text = now.text();
    trail.assign(4, now.balance);
  }
  /// Torn, stale or freed memory hardly passes for a value.
  bool intact() const { return text == amount.text() && trail == std::vector<std::int64_t>(4, amount.balance); }

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(4);
    packer.pack(amount.balance);
    packer.pack(amount.changes);
    faults.may_throw(Fault::pack);  // in the middle
    packer.pack(text);
    packer.pack(trail);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.type != msgpack::type::ARRAY || object.via.array.size != 4) throw msgpack::type_error();
    const msgpack::object* members = object.via.array.ptr;
    members[0].convert(amount.balance);
    members[1].convert(amount.changes);
    members[2].convert(text);
    faults.may_throw(Fault::unpack);
    members[3].convert(trail);
  }

  Amount amount;
  std::string text;
  std::vector<std::int64_t> trail;
};

}  // namespace cow::testing
