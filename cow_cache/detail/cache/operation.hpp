// SharedCache::Operation: a step of a transaction in which user code may run, and use that very transaction: codecs, upgrades,
// copy and move constructors, HeapBytes, destructors of values that have to go.
//
// Thread safety: lives on the stack of the thread that uses the transaction; ends in the opposite order.
//
// Invariants:
//  1. [may-read] User code may read by the transaction, whatever the operation is. What it may not do is refused
//     (TransactionBusyError) and changes nothing: it may write while its transaction copies or creates an object, another one, and
//     not while it loads, makes room or commits. It may neither commit the transaction nor say that it sleeps: the operation
//     logs states, and goes on with what it has read.
//  2. [ends-later] User code may abort, destroy, assign to or move the transaction, for none of these can throw. One that ends so has
//     ended for everybody, but its log and its private states live until the outermost operation ends: values that are being
//     copied or encoded are read meanwhile. One that is moved takes its operations along.
//  3. After user code an operation touches the transaction only if it is still where it was (require_here). If not, the
//     operation throws TransactionEndedError.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"
#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "shared_cache.hpp"

namespace cow::detail {

class SharedCache::Operation {
 public:
  enum class Doing : std::uint8_t { loading, making_room, committing, copying, creating };

  /// `innermost`: where a transaction keeps which operation it is in.
  Operation(Operation*& innermost, Doing doing, Oid oid) noexcept
      : began_at_(&innermost), at_(&innermost), outer_(innermost), oid_(oid), doing_(doing) {
    innermost = this;
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  [[gnu::always_inline]] ~Operation() {
    leave();
    if (remains_) [[unlikely]]
      end_remains();
  }

  /// The transaction is where it was when the operation began, and has not been ended by user code.
  bool is_here() const noexcept { return at_ == began_at_; }
  void require_here() const {
    if (!is_here()) [[unlikely]]
      throw TransactionEndedError();
  }

  /// From here on the transaction is in this operation no more. True: it is still here.
  [[gnu::always_inline]] bool leave() noexcept {
    bool is_still_here = is_here();
    if (at_ != nullptr) *std::exchange(at_, nullptr) = outer_;
    return is_still_here;
  }

  /// The state that `build` makes by calling user code, if the transaction is still here.
  template <class Build>
  StateHeader& build(Build&& build) {
    StateHeader* state = nullptr;
    try {
      state = &build();
    } catch (const Error&) {  // the caller might go on, or try again (Reader::with_room)
      require_here();
      throw;
    }
    if (is_here()) [[likely]]
      return *state;
    destroy_state(*state);
    throw TransactionEndedError();
  }

  // ---- what user code asks of the innermost operation (invariant 1)

  void require_may_write() const {
    if (doing_ < Doing::copying) refuse("write");
  }
  [[noreturn]] void refuse(std::string_view what) const {
    static constexpr std::string_view kDoing[] = {"loading", "making room for", "committing", "copying", "creating"};
    if (doing_ == Doing::committing) throw TransactionCommittingError(oid_);
    throw TransactionBusyError(oid_, kDoing[static_cast<std::size_t>(doing_)], what);
  }

  // ---- what becomes of the transaction (invariant 2)

  /// It is moved: from now on it keeps its operations there.
  static void move(Operation*& from, Operation*& to) noexcept {
    to = std::exchange(from, nullptr);
    for (Operation* each = to; each != nullptr; each = each->outer_) each->at_ = &to;
  }

  /// It ends; or it has, by a commit (`participant` is null), and is destroyed or assigned to. REQUIRES: it is in an operation.
  static void end_later(Operation*& innermost, SharedCache& cache, ReadLog& log, Participant* participant,
                        WriteSet& writes) noexcept {
    Operation* each = std::exchange(innermost, nullptr);
    for (; each->outer_ != nullptr; each = each->outer_) each->at_ = nullptr;
    each->at_ = nullptr;
    each->remains_.emplace(cache, std::exchange(log, ReadLog{}), participant, std::move(writes));
  }

  /// The end of a transaction that does not commit. Destructors of values are user code, and find it ended.
  static void end(SharedCache& cache, ReadLog& log, Participant& participant, WriteSet& writes) noexcept {
    log.close();
    cache.registry_.end(participant);
    cache.discard(writes);
  }

 private:
  [[gnu::noinline, gnu::cold]] void end_remains() noexcept {
    remains_->end();
    remains_.reset();
  }
  struct Remains {
    Remains(SharedCache& of, const ReadLog& read, Participant* was, WriteSet&& written) noexcept
        : cache(of), log(read), participant(was), writes(std::move(written)) {}
    void end() noexcept {
      if (participant != nullptr) Operation::end(cache, log, *participant, writes);
    }

    SharedCache& cache;
    ReadLog log;
    Participant* participant;
    WriteSet writes;
  };

  Operation* const* const began_at_;
  Operation** at_;  // where the transaction keeps its operations now; null: it has ended, or the operation is over
  Operation* const outer_;
  const Oid oid_;
  const Doing doing_;
  std::optional<Remains> remains_;  // of the outermost operation
};

}  // namespace cow::detail
