// A list whose length is known when it is made, and which needs no memory of its own while it is short.
//
// Thread safety: one thread at a time changes it; while none does, any number may read.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace cow::detail {

/// Up to `kInside` elements stand in the object itself, more on the heap.
template <class T, std::size_t kInside>
class Few {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  /// Throws std::bad_alloc.
  explicit Few(std::size_t capacity) : first_(reinterpret_cast<T*>(inside_)) {
    if (capacity <= kInside) return;
    outside_ = std::make_unique_for_overwrite<Room[]>(capacity);
    first_ = reinterpret_cast<T*>(outside_.get());
  }
  Few(const Few&) = delete;
  Few& operator=(const Few&) = delete;

  /// REQUIRES: there are fewer than the capacity.
  void push_back(const T& element) noexcept { ::new (static_cast<void*>(first_ + size_++)) T(element); }

  std::size_t size() const noexcept { return size_; }
  T* begin() noexcept { return first_; }
  T* end() noexcept { return first_ + size_; }
  const T* begin() const noexcept { return first_; }
  const T* end() const noexcept { return first_ + size_; }
  std::span<const T> all() const noexcept { return {first_, size_}; }

 private:
  struct Room {
    alignas(T) std::byte bytes[sizeof(T)];
  };

  T* first_;
  std::size_t size_ = 0;
  std::unique_ptr<Room[]> outside_;
  alignas(T) std::byte inside_[kInside * sizeof(T)];
};

}  // namespace cow::detail
