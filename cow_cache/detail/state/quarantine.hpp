// The quarantine: released slots that are not handed out again yet. For AddressSanitizer only.
//
// Thread safety: all functions may be called from any thread.
//
// A reference that is used after its transaction's end points into a slot that is poisoned while it is free. Handed out at
// once, the slot would be another state's, and the use would read that one. First in, first out, so every slot stays poisoned
// until some megabytes of others have been released after it.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <new>

#include "cow_cache/detail/visibility.hpp"
#include "size_classes.hpp"
#include "state.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS Quarantine {
 public:
  static constexpr std::size_t kBytes = std::size_t{4} << 20;

  /// The process's. Never destroyed, like the memory of states.
  static Quarantine& instance() {
    static Quarantine* const quarantine = new Quarantine;
    return *quarantine;
  }

  /// Keeps a poisoned slot. False: there was no memory to note it.
  bool put(StateHeader* slot) noexcept {
    std::scoped_lock lock(mutex_);
    try {
      slots_.push_back(slot);
    } catch (const std::bad_alloc&) {
      return false;
    }
    bytes_ += size_classes::bytes_of(slot->size_class());
    return true;
  }

  /// Bytes of the slots in it.
  std::size_t bytes() const noexcept {
    std::scoped_lock lock(mutex_);
    return bytes_;
  }

  /// The slot that has been here longest, if there are more than `bytes` of them; else null.
  StateHeader* take_beyond(std::size_t bytes) noexcept {
    std::scoped_lock lock(mutex_);
    if (bytes_ <= bytes) return nullptr;
    StateHeader* slot = slots_.front();
    slots_.pop_front();
    bytes_ -= size_classes::bytes_of(slot->size_class());
    return slot;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<StateHeader*> slots_;
  std::size_t bytes_ = 0;  // of slots_
};

}  // namespace cow::detail
