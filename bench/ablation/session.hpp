// AttachedSession: one transaction at a time under a scheme, which is told what it wants to be told.
//
// Thread safety: used by one thread, which made it and is a member of the scheme.
//
// Invariants:
//  1. What is read is used within `use`, and not afterwards: some schemes may free it then (neutralise), if they abort the transaction.
//  2. Every transaction of the database is one of a session.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "attachment.hpp"
#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/cache/reader.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "cow_cache/detail/state/state_handle.hpp"

namespace cow::bench {
struct LoggedCount;
}  // namespace cow::bench

/// A transaction is a friend of what knows definitions: so its log can be asked for its size.
template <>
struct cow::detail::DefinedAccess<cow::bench::LoggedCount> {
  static std::uint32_t of(cow::Transaction& transaction) noexcept { return transaction.reader().read_log().size(); }
};

namespace cow::bench {

class AttachedSession {
 public:
  explicit AttachedSession(Database& database) : database_(database) {
    reclaimer_ = dynamic_cast<AttachedReclaimer*>(&cow::detail::cache_of(database).reclaimer());
    if (reclaimer_ != nullptr) attachment_ = reclaimer_->attach();
  }
  AttachedSession(const AttachedSession&) = delete;
  AttachedSession& operator=(const AttachedSession&) = delete;
  ~AttachedSession() { abort(); }

  /// REQUIRES: no transaction is open.
  void begin() {
    if (attachment_ == nullptr) {
      transaction_.emplace(database_.begin());
      return;
    }
    attachment_->opening();
    // The participant is wanted before the transaction has it.
    cow::detail::Participant& participant = reclaimer_->registry().begin();
    transaction_.emplace(cow::detail::begin_with(database_, participant));
    attachment_->opened(participant);
  }

  /// Calls `use(const T&)`. Throws SnapshotTooOldError, and what a transaction throws: then the caller aborts.
  template <class T, class Use>
  void read(const Ref<T>& reference, Use&& use) {
    if (attachment_ == nullptr) return use(transaction_->read(reference));
    Reading reading(*this);
    use(reading.read(reference));
  }

  /// Calls `use(T&)`. Throws as `read`.
  template <class T, class Use>
  void write(const Ref<T>& reference, Use&& use) {
    if (attachment_ == nullptr) return use(transaction_->write(reference));
    Reading reading(*this);
    (void)reading.read(reference);  // so that the base of the clone is logged by a read, like everything else
    use(transaction_->write(reference));
  }

  /// Throws SnapshotTooOldError, ConflictError; the transaction has ended then.
  void commit() {
    if (attachment_ == nullptr) {
      transaction_->commit();
      return;
    }
    Closing closing(*this, true);
    Reading reading(*this);  // validation reads what was read
    transaction_->commit();
  }

  /// Harmless if none is open.
  void abort() noexcept {
    if (!transaction_.has_value()) return;
    if (attachment_ != nullptr && transaction_->active()) {
      Closing closing(*this, false);
    }
    transaction_.reset();
  }

  void will_sleep() { transaction_->will_sleep(); }

 private:
  class Reading {
   public:
    explicit Reading(AttachedSession& session) : session_(session), logged_(session.logged()) {
      session_.attachment_->enter(logged_);
    }
    ~Reading() { session_.attachment_->leave(); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    template <class T>
    const T& read(const Ref<T>& reference) {
      const T& value = session_.transaction_->read(reference);
      if (session_.logged() != logged_) {
        auto* address = reinterpret_cast<std::byte*>(const_cast<T*>(&value));
        session_.attachment_->logged(cow::detail::handle_of(cow::detail::state_at(address)));
      }
      return value;
    }

   private:
    AttachedSession& session_;
    const std::uint32_t logged_;
  };

  class Closing {
   public:
    Closing(AttachedSession& session, bool commits) : session_(session) { session_.attachment_->closing(commits); }
    ~Closing() {
      session_.transaction_->abort();  // if it has not ended
      session_.attachment_->closed();
    }
    Closing(const Closing&) = delete;
    Closing& operator=(const Closing&) = delete;

   private:
    AttachedSession& session_;
  };

  std::uint32_t logged() noexcept { return cow::detail::DefinedAccess<LoggedCount>::of(*transaction_); }

  Database& database_;
  AttachedReclaimer* reclaimer_ = nullptr;
  std::unique_ptr<Attachment> attachment_;
  std::optional<Transaction> transaction_;
};

}  // namespace cow::bench
