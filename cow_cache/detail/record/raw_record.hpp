// RawRecord: a record that is written as it is. What it means is not known here, and need not be.
//
// Thread safety: plain values; a state belongs to one caller at a time.
#pragma once

#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/heap_sum.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

/// The value of a private state that stands for a record. It is never published (VersionChains::supersede), copied or decoded.
struct RawRecord {
  std::string bytes;
};

COW_CACHE_ONE_PER_PROCESS inline constexpr TypeOperations raw_record_operations{
    .name = "(record)",
    .spelled = {},
    .schema = 0,
    .state_bytes = sizeof(State<RawRecord>),
    .type_bits = type_bits<RawRecord>,
    .destroy = [](StateHeader& state) noexcept { value_of<RawRecord>(state).~RawRecord(); },
    .copy = [](StateHeader&, const StateHeader&) {},
    .encode = [](const StateHeader& state, Oid, std::string& out) { out += value_of<RawRecord>(state).bytes; },
    .prepare_decode = [] {},
    .decode = [](StateHeader&, std::string_view, Oid, Tid) {},
    .add_heap_bytes = [](const StateHeader& state,
                         HeapSum& sum) { sum.block(value_of<RawRecord>(state).bytes.capacity() + 1); },
    .describe = nullptr,
};

/// Leaves the bytes where they are when it throws std::bad_alloc or LimitError.
inline StateHeader& new_raw_record(std::string& bytes) {
  StateHeader& state = build_state(
      raw_record_operations, [&](StateHeader& raw) { ::new (&value_of<RawRecord>(raw)) RawRecord{std::move(bytes)}; });
  set_charge(state, 0);  // weighed when it is committed
  return state;
}

}  // namespace cow::detail
