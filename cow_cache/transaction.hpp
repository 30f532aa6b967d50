// Transaction: one snapshot of the database, and the changes that will become the next revisions.
//
// Thread safety: used by one thread (fiber, coroutine) at a time; it may move between threads. Any number of transactions
// run at once.
//
// Invariants:
//  1. It sees exactly the commits up to its snapshot, plus its own writes; never a mix.
//  2. References from `read` and `write` stay valid until it ends, whatever others evict or commit. After that they are
//     dangling: copy what you need. (A build with AddressSanitizer catches their use once the memory was reclaimed,
//     and for some megabytes of further states after that: detail/state/quarantine.hpp.)
//  3. It ends by `commit`, by `abort`, or by its destructor, which aborts. Any later use throws TransactionEndedError.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "detail/apart/access.hpp"
#include "detail/apart/held.hpp"
#include "detail/refused.hpp"
#include "errors.hpp"
#include "isolation.hpp"
#include "ref.hpp"
#include "root.hpp"
#include "store/note.hpp"
#include "stored_type.hpp"

namespace cow {

template <class Cache>
class BasicDatabase;
template <class Cache>
class BasicTransaction;

namespace detail {
template <class Cache, class More>
BasicTransaction<Cache> begin_with(BasicDatabase<Cache>& database, More& more);
class LoadFailure;
struct LoadWaiter;
struct NewTypes;
struct ReadSet;
class TransactFrame;

// Here, for the shared cache may be unknown to who includes this.
template <class Cache>
inline constexpr bool kHasPast = false;
template <>
inline constexpr bool kHasPast<SharedCache> = true;
template <class Cache>
inline constexpr bool kLoadsInBatches = false;
template <>
inline constexpr bool kLoadsInBatches<SharedCache> = true;
}  // namespace detail

template <class Cache>
class BasicTransaction {
 public:
  template <class T>
  using Ref = cow::Ref<T>;

  /// Whether the cache can read without waiting: the shared one can.
  static constexpr bool kReadsWithoutWaiting = Cache::kReadsWithoutWaiting;

  /// Whether the cache reads older snapshots, and its commits say something of themselves: the shared one does.
  static constexpr bool kHasPast = detail::kHasPast<Cache>;

  /// Whether the cache loads many objects at once, where the store does: the shared one does.
  static constexpr bool kLoadsInBatches = detail::kLoadsInBatches<Cache>;

  /// Whether the cache knows what a transaction has read: the shared one does.
  static constexpr bool kCanBeSerializable = Cache::kCanBeSerializable;

  /// Whether its commits write what the store remembers of types (field_set.hpp). Caches to compare with leave it out.
  static constexpr bool kRemembersTypes = detail::kHasDefinedAccess<Cache>;

  BasicTransaction(BasicTransaction&& other) noexcept
      : database_(other.database_),
        isolation_(other.isolation_),
        reader_(std::move(other.reader_)),
        writes_(std::move(other.writes_)) {}
  BasicTransaction& operator=(BasicTransaction&& other) noexcept {
    if (this == &other) return *this;
    abort();
    database_ = other.database_;
    isolation_ = other.isolation_;
    frame_ = nullptr;
    reader_ = std::move(other.reader_);
    writes_ = std::move(other.writes_);
    return *this;
  }
  BasicTransaction(const BasicTransaction&) = delete;
  BasicTransaction& operator=(const BasicTransaction&) = delete;
  BasicTransaction COW_CACHE_REFUSED(
      "cow: a transaction is not copied: pass it by reference, as cow::Transaction&, or move it", BasicTransaction&);
  // NOLINTNEXTLINE(misc-unconventional-assign-operator): it assigns nothing
  COW_CACHE_REFUSED_ASSIGNMENT(
      "cow: a transaction is not copied: pass it by reference, as cow::Transaction&, or move it", BasicTransaction&);
  ~BasicTransaction() { abort(); }

  /// The object's value at this snapshot, or this transaction's own version of it. The shared state itself: no copy.
  /// Throws NullReferenceError, DanglingReferenceError, TypeMismatchError, TransactionEndedError; where it has to load,
  /// RecordError, BuildCycleError and BuildDepthError (codecs that read), LimitError, SeparateMemoryError, and what
  /// the store throws.
  template <class T>
  [[gnu::always_inline]] const T& read(const cow::Ref<T>& reference) {
    if constexpr (detail::kHasDefinedAccess<Cache>) {
      detail::StateHeader* state = reference.hint();
      if (reader_.template first<detail::LogFront>().is_hit(*state, reference.identity())) [[likely]]
        return detail::value_of<T>(*state);
      return detail::value_of<T>(detail::DefinedAccess<T>::read_first(*this, reference));
    } else {
      return reader().read(reference, changes());
    }
  }

  /// The same by a temporary: most of those are made of an oid, and so have no hint that is worth trying.
  template <class T>
  [[gnu::always_inline]] const T& read(cow::Ref<T>&& reference) {
    if constexpr (detail::kHasDefinedAccess<Cache>) {
      if (reference.hint() == &detail::null_state.header)
        return detail::value_of<T>(detail::DefinedAccess<T>::read_by_oid(*this, reference));
    }
    return read(static_cast<const cow::Ref<T>&>(reference));
  }

  /// Like `read`, but never waits for the store: null where it would have to. For event loops (cow_cache/async).
  template <class T>
  [[gnu::always_inline]] const T* try_read(const cow::Ref<T>& reference) requires kReadsWithoutWaiting {
    return reader().try_read(reference, changes());
  }

  /// Like `read`, but where it would wait for somebody else's load of the same object, returns null and has `waiter`
  /// resumed when that load has ended. REQUIRES, if it returns null: the caller touches this transaction no more, for
  /// the waiter may be using it already.
  template <class T>
  const T* read_or_subscribe(const cow::Ref<T>& reference, detail::LoadWaiter& waiter) requires kReadsWithoutWaiting {
    return reader().read_or_subscribe(reference, changes(), waiter);
  }

  /// After a waiter was resumed with a failure: throws it if it is this transaction's too, with an exception of its own. True:
  /// it is not; set `alone` in the next waiter, so that this transaction loads for itself.
  template <class T>
  bool must_load_alone(const cow::Ref<T>& reference, const detail::LoadFailure& failure) requires kReadsWithoutWaiting {
    if (!active()) throw TransactionEndedError();
    return reader().must_load_alone(reference, failure);
  }

  /// Loads those of the objects that the cache does not have and nobody is loading, by few questions to the store, so that reads are hits.
  /// Reads nothing. What cannot be loaded is left to the read that needs it. False, and nothing is done: the store does not load in
  /// batches (BatchStore). Throws what the store throws, TransactionEndedError, std::bad_alloc.
  template <class T>
  bool load_ahead(std::span<const cow::Ref<T>> references);

  /// The object's value for changing: this transaction's private clone, made at the first call. Throws like `read`, and
  /// TransactionBusyError in user code that this transaction has called, and that may only read: a codec, say.
  template <class T>
  T& write(const cow::Ref<T>& reference) {
    if constexpr (detail::kHasDefinedAccess<Cache>) {
      return detail::DefinedAccess<T>::write(*this, reference);
    } else {
      return reader().divert(reference, changes());
    }
  }

  /// A new object. It exists for this transaction at once, for later ones after the commit. Throws TransactionEndedError,
  /// TransactionBusyError, LimitError, SeparateMemoryError, and what the store throws when it has no oids to give.
  template <class T, bool = detail::require_copyable<T>()>
  cow::Ref<T> create(T value) {
    if constexpr (detail::kHasDefinedAccess<Cache>) {
      return detail::DefinedAccess<T>::create(*this, std::move(value));
    } else {
      return create_here(std::move(value));
    }
  }

  /// Removes an object. References to it dangle; transactions with older snapshots still see it. Throws like `write`.
  template <class T>
  void erase(const cow::Ref<T>& reference) {
    if constexpr (detail::kHasDefinedAccess<Cache>) {
      detail::DefinedAccess<T>::erase(*this, reference);
    } else {
      reader().erase(reference, changes());
    }
  }

  /// The named entry points of the database.
  RootView<BasicTransaction> root() { return RootView<BasicTransaction>(*this); }
  static cow::Ref<RootDirectory> root_reference() { return cow::Ref<RootDirectory>(kRootOid); }

  /// What this transaction's commit says of itself, for those who read the history (Database::transactions, history): who, what for, and
  /// what else a program wants to keep. The last call counts. Nothing is kept of a transaction that writes nothing.
  /// Throws MissingCapabilityError if the store has no history, LimitError if it is larger than kMaxNoteBytes, TransactionEndedError,
  /// ReadOnlyTransactionError.
  void note(TransactionNote note);
  void note(std::string user, std::string description,
            std::map<std::string, std::string> properties = {}) requires kHasPast {
    note(TransactionNote{std::move(user), std::move(description), std::move(properties)});
  }

  /// Makes all changes durable and visible, or throws and ends the transaction without any of them: ConflictError when
  /// another transaction has changed one of the objects first (or, of a serializable transaction, one of those that it
  /// read), NestedTransactionError, UncommittedReferenceError, UnstorableValueError, FieldsChangedError, what the codecs and the store throw
  /// otherwise. A transaction that wrote nothing always succeeds, and costs nothing but its end. User code that the transaction
  /// has called gets a TransactionBusyError, and may not commit it. Returns the tid of the commit, or, if nothing was written, the
  /// last one that it has seen.
  Tid commit() {
    if (!active()) throw TransactionEndedError();
    if (reader().is_busy(changes())) [[unlikely]]
      refuse_commit();
    if (!changes().empty()) return commit_writes();
    Tid seen = reader().snapshot();
    reader().end();
    return seen;
  }

  /// Ends the transaction without its changes. Harmless when it has ended. The read, write, creation or commit in which a codec, a
  /// constructor or a destructor calls this throws TransactionEndedError.
  void abort() noexcept {
    if (reader().is_busy(changes())) [[unlikely]]
      return abort_writes();
    if (!active()) return;
    if (changes().empty()) return reader().end();
    abort_writes();
  }

  /// Tells the cache that this transaction is about to sleep, in a call to somebody else, say. While thousands sleep, giving
  /// memory back then costs the cache no more than if nobody did. It holds what it has read and nothing else, as always.
  /// Costs some ten nanoseconds; there is nothing to do afterwards. Throws TransactionEndedError, and
  /// TransactionBusyError in user code that this transaction has called.
  void will_sleep() {
    if (!active()) throw TransactionEndedError();
    changes().require_open();
    reader().will_sleep();
  }

  [[deprecated("say will_sleep()")]] void park() { will_sleep(); }

  bool active() const noexcept { return reader().active(); }

  Isolation isolation() const noexcept { return isolation_; }

  /// The last commit that this transaction sees. Throws TransactionEndedError.
  Tid snapshot() const {
    if (!active()) throw TransactionEndedError();
    return reader().snapshot();
  }

  /// For `transact` in all its forms: this is the frame's transaction from now on. REQUIRES: it stays where it is.
  template <class Frame>
  void enter(Frame& frame) noexcept {
    frame.enter(database_, this, &meets);
    frame_ = &frame;
  }
  /// Null: it is not the transaction of a call of `transact`.
  detail::TransactFrame* frame() const noexcept { return frame_; }

  /// Number of objects this transaction has changed, created or erased.
  std::size_t writes() const noexcept { return changes().size(); }

 private:
  friend class BasicDatabase<Cache>;
  template <class Of, class More>
  friend BasicTransaction<Of> detail::begin_with(BasicDatabase<Of>&, More&);
  friend class RootView<BasicTransaction>;
  template <class T>
  friend struct detail::DefinedAccess;

  /// `more`: what the reader is made of beside the cache.
  template <class... More>
  BasicTransaction(BasicDatabase<Cache>& database, Isolation isolation, More&... more)
      : database_(&database),
        isolation_(isolation),
        reader_(std::in_place, database.cache_, more...),
        writes_(std::in_place) {}

  auto& reader() noexcept { return reader_.get(); }
  const auto& reader() const noexcept { return reader_.get(); }
  auto& changes() noexcept { return writes_.get(); }
  const auto& changes() const noexcept { return writes_.get(); }

  // Defined in transaction_definitions.hpp.
  template <class T>
  cow::Ref<T> create_here(T&& value);
  [[gnu::noinline]] Tid commit_writes();
  [[gnu::always_inline]] Tid write_and_publish(auto& frozen, detail::NewTypes* news);
  [[gnu::noinline]] Tid commit_known_types(detail::NewTypes* news);
  [[gnu::noinline, gnu::cold]] Tid commit_new_types();
  [[gnu::cold]] void find_directory(detail::NewTypes& news);
  [[gnu::cold]] Oid make_directory();
  [[gnu::cold]] void commit_types_apart(detail::NewTypes& news);
  [[noreturn, gnu::noinline, gnu::cold]] void refuse_commit() const;
  [[gnu::noinline]] void abort_writes() noexcept;
  detail::ReadSet reads_to_validate() const noexcept;
  /// See TransactFrame::Meets.
  static Oid meets(void* transaction, detail::WriteSet& inner);

  BasicDatabase<Cache>* database_;
  Isolation isolation_;
  detail::TransactFrame* frame_ = nullptr;  // of the call of `transact` that it is the transaction of, if it is
  typename detail::Holding<Cache>::Reader reader_;
  typename detail::Holding<Cache>::Writes writes_;
};

/// The database that this library is for (database.hpp), and its transactions.
using Database = BasicDatabase<detail::SharedCache>;
using Transaction = BasicTransaction<detail::SharedCache>;

}  // namespace cow
