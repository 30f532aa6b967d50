// Which objects a thread is decoding or copying right now: the user code (codecs, upgrades, copy constructors) that it is in.
//
// Thread safety: a scope belongs to the thread that made it, and ends in the opposite order. So user code that is called
// here may read other objects, but may not suspend the fiber that it runs on.
//
// Invariants:
//  1. A thread decodes no object within the decoding of the same object, and copies none within its copying: that would
//     never end. Such a step throws, before anything is done.
//  2. Scopes nest kDeepest at most: every level takes stack.
#pragma once

#include <cstdint>
#include <string>

#include "cow_cache/detail/visibility.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"

namespace cow::detail {

class COW_CACHE_ONE_PER_PROCESS BuildScope {
 public:
  enum class What : bool { decoding, copying };

  /// `cache_bits` tells the databases of a process apart. Throws BuildCycleError, BuildDepthError.
  BuildScope(What what, std::uint64_t cache_bits, Oid oid) : what_(what), cache_bits_(cache_bits), oid_(oid) {
    if (innermost_ != nullptr) [[unlikely]] {
      refuse_cycle(what, cache_bits, oid);
      depth_ = innermost_->depth_ + 1;
      if (depth_ > kDeepest) throw BuildDepthError(oid, kDeepest);
    }
    outer_ = innermost_;
    innermost_ = this;
  }
  BuildScope(const BuildScope&) = delete;
  BuildScope& operator=(const BuildScope&) = delete;
  ~BuildScope() { innermost_ = outer_; }

  /// True in user code that this thread has called to build a state.
  static bool inside_any() noexcept { return innermost_ != nullptr; }

  /// Throws BuildCycleError if the thread is at it already.
  static void refuse_cycle(What what, std::uint64_t cache_bits, Oid oid) {
    std::string path;
    for (const BuildScope* scope = innermost_; scope != nullptr; scope = scope->outer_) {
      if (scope->what_ == what && scope->cache_bits_ == cache_bits && scope->oid_ == oid)
        throw BuildCycleError(oid, what == What::decoding ? "decoding" : "copying", path);
      path.insert(0, " -> oid " + std::to_string(scope->oid_.value));
    }
  }

  /// Throws TransactionBusyError in user code that this thread has called: another fiber would find itself in it.
  static void refuse_suspension() {
    if (innermost_ != nullptr) [[unlikely]]
      throw TransactionBusyError(innermost_->oid_, innermost_->what_ == What::decoding ? "loading" : "copying",
                                 "suspend its fiber");
  }

  static constexpr unsigned kDeepest = 64;

 private:
  // Trivial, so it can be used until the thread is gone, by destructors of the thread's objects too.
  static inline constinit thread_local BuildScope* innermost_ = nullptr;

  What what_;
  std::uint64_t cache_bits_;
  Oid oid_;
  unsigned depth_ = 1;
  BuildScope* outer_;
};

}  // namespace cow::detail
