// Attachment: what a scheme of reclamation is told of the transactions of one session.
//
// Thread safety: an attachment belongs to one session, and so to one thread at a time. It is made by `attach` and destroyed before
// its reclaimer.
//
// The cache's own reclaimer needs none: the read log says it all. Other schemes of the literature want to be told when a read begins
// and ends, or what has been read. They are told by the session (session.hpp), around the calls of the transaction, so that the
// cache's own read path is the same under every scheme.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "cow_cache/detail/reclaim/participant.hpp"
#include "cow_cache/detail/reclaim/reclaimer.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"

namespace cow::bench {

/// The scheme has ended a transaction to free what it protected ("snapshot too old"): its owner aborts it and begins anew.
class SnapshotTooOldError : public std::runtime_error {
 public:
  SnapshotTooOldError()
      : std::runtime_error("the transaction was aborted, for the memory that it kept from being freed") {}
};

/// In the order in which they are called: opening, opened, any number of (enter, logged, leave), closing, closed.
class Attachment {
 public:
  Attachment() = default;
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  virtual ~Attachment() = default;

  /// A transaction is about to begin.
  virtual void opening() noexcept {}
  /// It has begun, and read nothing yet.
  virtual void opened(cow::detail::Participant& /*participant*/) {}
  /// It is about to read, and has logged so many states. What it has read before it may use from here to `leave`; between the calls
  /// of a session no reference is used. Throws SnapshotTooOldError, and then `leave` is not called.
  virtual void enter(std::uint32_t /*logged*/) {}
  /// The read has logged this state, which it had not logged before.
  virtual void logged(cow::detail::StateHandle /*state*/) {}
  /// The caller uses nothing of what was read any more, until the next `enter`.
  virtual void leave() noexcept {}
  /// The transaction is about to end; `commits`: its log goes on protecting what it has read until it has.
  virtual void closing(bool /*commits*/) {}
  /// It has ended.
  virtual void closed() noexcept {}
};

/// A reclaimer that may want to be told.
class AttachedReclaimer : public cow::detail::Reclaimer {
 public:
  explicit AttachedReclaimer(cow::detail::TransactionRegistry& registry) noexcept : registry_(registry) {}

  /// For a session of this thread. Every transaction of the cache belongs to a session that has one. Null, and so here: the scheme wants to
  /// be told of nothing, and a session pays nothing for it.
  virtual std::unique_ptr<Attachment> attach() { return nullptr; }

  /// Transactions that it has aborted.
  virtual std::uint64_t aborted() const noexcept { return 0; }

  cow::detail::TransactionRegistry& registry() const noexcept { return registry_; }

 private:
  cow::detail::TransactionRegistry& registry_;
};

}  // namespace cow::bench
