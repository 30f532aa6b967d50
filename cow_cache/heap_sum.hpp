// HeapSum: adds up the heap blocks of a value. What belongs to a type, HeapBytes<T> says (heap_bytes.hpp).
//
// Thread safety: a sum belongs to one thread; nobody may change the value meanwhile.
#pragma once

#include "version.hpp"

#include <cstddef>

#include "detail/state/heap_meter.hpp"

namespace cow {

class HeapSum;

/// Customisation point: `static void add(const T& value, HeapSum& sum)`. If it throws, or the value's `msgpack_pack` does
/// where that is asked, the value counts as not known.
template <class T>
struct HeapBytes;

/// Adds up the heap blocks of a value.
class HeapSum {
 public:
  /// `count` blocks that were allocated with a size of `bytes` each; counted with what the allocator rounds them up by.
  void block(std::size_t bytes, std::size_t count = 1) noexcept {
    if (bytes > 0 && count > 0) bytes_ += count * detail::allocation_size(bytes);
  }

  /// What belongs to a member or an element. Defined in heap_bytes.hpp.
  template <class T>
  void add(const T& value);

  /// Something was met that is not known.
  void note_unknown() noexcept { complete_ = false; }

  std::size_t bytes() const noexcept { return bytes_; }
  /// False: something was met that is not known, so there may be more.
  bool complete() const noexcept { return complete_; }

 private:
  std::size_t bytes_ = 0;
  bool complete_ = true;
};

}  // namespace cow
