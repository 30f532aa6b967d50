// Which transactions the running code is inside of: the calls of `transact`, nested.
//
// Thread safety: a chain of frames belongs to one thread (or coroutine, or fiber) at a time. Those of a thread stand in a
// thread_local list; those of coroutines are passed on from task to task (async/task.hpp).
//
// A transaction that is nested in another one of the same database is a transaction of its own: it commits first. If it
// has changed what the outer one has changed too (or read, if that is serializable), the outer one cannot commit any
// more, and trying again makes it so again. So the nested commit is refused, or, where the outer one comes to
// the object only later, its own conflict is.
//
// Invariants:
//  1. The frames of a thread lie on the thread's own stack, so the last one made goes first. What runs on another stack
//     (a fiber of somebody's library) has no frames there: it may be suspended in the middle of `transact`, and
//     nothing says that what runs meanwhile is nested in it.
//  2. While code runs inside of a frame, its transaction is not in use otherwise.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "write_set.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS TransactFrame {
 public:
  /// `meets(transaction, writes)`: an object among `writes` that the transaction has changed or, if it is serializable, read;
  /// Oid{0}: there is none.
  using Meets = Oid (*)(void* transaction, WriteSet& writes);

  explicit TransactFrame(TransactFrame* outer) noexcept : outer_(outer) {}
  TransactFrame(const TransactFrame&) = delete;
  TransactFrame& operator=(const TransactFrame&) = delete;

  /// The innermost one of this thread, if the caller is inside of it; else null.
  static TransactFrame* of_thread() noexcept {
    TransactFrame* innermost = innermost_of_thread_;
    return innermost == nullptr || !on_own_stack() ? nullptr : innermost;
  }

  TransactFrame* outer() const noexcept { return outer_; }

  /// A new attempt begins, with this transaction.
  void enter(const void* database, void* transaction, Meets meets) noexcept {
    database_ = database;
    transaction_ = transaction;
    meets_ = meets;
    committed_inside_.clear();
  }

  /// Throws NestedTransactionError if the commit of `writes` by `nested` would make another transaction of this frame or of
  /// one around it conflict. REQUIRES: the commit runs inside of this frame.
  void require_apart(const void* database, const void* nested, WriteSet& writes) {
    for (TransactFrame* frame = this; frame != nullptr; frame = frame->outer_) {
      if (frame->database_ != database || frame->transaction_ == nested) continue;
      if (Oid met = frame->meets_(frame->transaction_, writes)) throw NestedTransactionError(met);
    }
  }

  /// A transaction of that database, `nested`, has committed inside of this frame. Without memory to note it, a conflict
  /// with it is one like others.
  void note_commit(const void* database, const void* nested, Tid tid) noexcept {
    for (TransactFrame* frame = this; frame != nullptr; frame = frame->outer_) {
      if (frame->database_ != database || frame->transaction_ == nested) continue;
      try {
        frame->committed_inside_.push_back(tid);
      } catch (const std::bad_alloc&) {
      }
    }
  }

  /// Throws NestedTransactionError if this frame's transaction has met what was committed inside of it.
  void require_others(const ConflictError& error) const {
    for (const ConflictError::Conflict& conflict : error.conflicts) {
      auto found = std::find(committed_inside_.begin(), committed_inside_.end(), conflict.current);
      if (found != committed_inside_.end()) throw NestedTransactionError(conflict.oid);
    }
  }

 protected:
  static bool on_own_stack() noexcept {
    struct Stack {
      std::uintptr_t low = 0, high = 0;
      Stack() noexcept {
        pthread_attr_t attributes;
        if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return;  // then nothing counts as nested
        void* start = nullptr;
        std::size_t bytes = 0;
        if (::pthread_attr_getstack(&attributes, &start, &bytes) == 0) {
          low = reinterpret_cast<std::uintptr_t>(start);
          high = low + bytes;
        }
        ::pthread_attr_destroy(&attributes);
      }
    };
    thread_local const Stack stack;  // not used across a suspension
    auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return here >= stack.low && here < stack.high;
  }

  static inline constinit thread_local TransactFrame* innermost_of_thread_ = nullptr;

 private:
  TransactFrame* outer_;
  const void* database_ = nullptr;  // null: it has no transaction yet
  void* transaction_ = nullptr;
  Meets meets_ = nullptr;
  std::vector<Tid> committed_inside_;
};

/// A frame of the calling thread, for as long as it lives.
class ThreadTransactFrame : public TransactFrame {
 public:
  ThreadTransactFrame() noexcept : TransactFrame(of_thread()), listed_(on_own_stack()) {
    if (listed_) innermost_of_thread_ = this;
  }
  ~ThreadTransactFrame() {
    if (listed_) innermost_of_thread_ = outer();
  }

 private:
  const bool listed_;
};

}  // namespace cow::detail
