// An object that a thread keeps for its next use of it, because making one is dear.
//
// Thread safety: each thread has objects of its own. A user may move to another thread, a fiber does: the object then goes
// where the use ends.
//
// Invariants:
//  1. An object has one user at a time: what is in use is not the thread's. So uses may nest, in any order.
//  2. It works until the thread is gone, in destructors of static and thread_local objects too: once the thread's object was
//     destroyed, none is kept any more.
#pragma once

#include <memory>
#include <utility>

namespace cow::detail {

/// One use of a T. T is default-constructible; the user leaves it as it wants to find it.
template <class T>
class ThreadScratch {
 public:
  ThreadScratch() : object_(std::exchange(kept_.object, nullptr)), is_kept_(!kept_.is_lent) {
    if (object_ == nullptr) object_ = std::make_unique<T>();
    kept_.is_lent = true;
  }
  ThreadScratch(const ThreadScratch&) = delete;
  ThreadScratch& operator=(const ThreadScratch&) = delete;
  ~ThreadScratch() {
    if (!is_kept_) return;  // what a nested use has made goes with it, so that heap meters of outer ones see no change
    kept_.is_lent = false;
    if (kept_.object != nullptr || kept_.has_ended) return;
    static thread_local const AtThreadEnd at_thread_end;
    (void)&at_thread_end;  // makes it: its destructor runs when the thread ends
    kept_.object = object_.release();
  }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_.get(); }

 private:
  struct Kept {  // trivial, so it can be looked at until the thread is gone
    T* object = nullptr;
    bool is_lent = false;
    bool has_ended = false;
  };
  struct AtThreadEnd {
    AtThreadEnd() noexcept = default;
    ~AtThreadEnd() {
      delete std::exchange(kept_.object, nullptr);
      kept_.has_ended = true;
    }
  };

  static inline constinit thread_local Kept kept_{};

  std::unique_ptr<T> object_;
  const bool is_kept_;
};

}  // namespace cow::detail
