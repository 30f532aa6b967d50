// Database: a store, the cache over it, and the commits of a process.
//
// Thread safety: all functions may be called from any thread, construction and destruction apart.
//
// Invariants:
//  1. There is one database per store object: a second one is refused. It alone commits to the store, unless that has peers
//     (store/shared.hpp): then each process has a database, and the engine behind the store decides. (A store that passes calls on to
//     another is an object of its own; RocksDbStore locks its directory. There are no databases that only read: every one may
//     commit.)
//  2. The database outlives its transactions, and every call of theirs: a commit still works in the cache after
//     its transaction has ended. Its destructor terminates the program if a transaction is active.
//  3. With peers a snapshot is a prefix of the order of tids, as old as the poller is behind (detail/commit/poller.hpp). What this
//     database has committed it sees at once; what others have, after `sync`, or soon.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "detail/cache/object_cache.hpp"
#include "detail/cache/shared_cache.hpp"
#include "detail/commit/attempts.hpp"
#include "detail/commit/committer.hpp"
#include "detail/commit/oid_pool.hpp"
#include "detail/commit/poller.hpp"
#include "detail/commit/reachable.hpp"
#include "detail/commit/store_latch.hpp"
#include "detail/commit/transact_frame.hpp"
#include "detail/commit/type_registry.hpp"
#include "detail/history/pages.hpp"
#include "detail/history/undo.hpp"
#include "detail/record/record.hpp"
#include "detail/refused.hpp"
#include "errors.hpp"
#include "history.hpp"
#include "isolation.hpp"
#include "options.hpp"
#include "peer_status.hpp"
#include "retry_policy.hpp"
#include "statistics.hpp"
#include "store.hpp"
#include "store/capabilities.hpp"
#include "store/pack.hpp"
#include "transaction.hpp"
#include "transaction_definitions.hpp"

namespace cow {

template <class Cache>
class BasicDatabase;

namespace detail {

/// For what tests and measures the parts of a cache.
template <class Cache>
Cache& cache_of(BasicDatabase<Cache>& database) noexcept {
  return database.cache_;
}

/// For what reads records past the cache.
template <class Cache>
Store& store_of(BasicDatabase<Cache>& database) noexcept {
  return database.store_;
}

/// For caches whose transactions may begin with more than the cache itself: the reader is made of both.
template <class Cache, class More>
BasicTransaction<Cache> begin_with(BasicDatabase<Cache>& database, More& more) {
  return BasicTransaction<Cache>(database, database.isolation_, more);
}

}  // namespace detail

template <class Cache>
class BasicDatabase {
  static_assert(detail::ObjectCache<Cache>);

 public:
  using Transaction = BasicTransaction<Cache>;
  using Pointers = typename Cache::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  /// Opens the database in `store`, which must outlive it; an empty store gets its root. Throws StoreLockedError if the
  /// store has a database already, LimitError if the process has too many, and what the store throws; MissingCapabilityError if others
  /// commit to it, and this cache cannot hear of that.
  explicit BasicDatabase(Store& store, const CacheOptions& options = {})
      : latch_(store),
        store_(store),
        capabilities_(store),
        committer_(store),
        oids_(store),
        types_(store),
        cache_(store, options, committer_.frontier()) {
    if (capabilities_.has_peers()) {
      require_peers();
      committer_.propose_to(capabilities_);
    }
    if (last_tid() == Tid{}) create_root(store);  // as this database knows it: by now another process may have done so
    if constexpr (kMayHavePeers) {
      if (capabilities_.has_peers())
        peers_ = std::make_unique<Peers>(store_, capabilities_, committer_, cache_, options.peers);
    }
  }

  /// The same with a level of isolation for all transactions that are not begun with one of their own.
  BasicDatabase(Store& store, const CacheOptions& options, Isolation isolation) requires Transaction::kCanBeSerializable
      : BasicDatabase(store, options) {
    isolation_ = isolation;
  }

  // NOLINTNEXTLINE(google-explicit-constructor): it converts nothing
  BasicDatabase COW_CACHE_REFUSED(
      "cow: a store must outlive its database: give it a name, `cow::MemoryStore store; cow::Database db(store);`",
      Store&&, const CacheOptions& = {}, Isolation = Isolation::snapshot);
  BasicDatabase(const BasicDatabase&) = delete;
  BasicDatabase& operator=(const BasicDatabase&) = delete;

  ~BasicDatabase() {
    if (cache_.active_transactions() == 0) return;
    std::fputs("cow::Database destroyed while one of its transactions is active\n", stderr);
    std::terminate();
  }

  /// Throws LimitError (too many transactions at a time), SeparateMemoryError, std::bad_alloc; with peers also StaleFrontierError and
  /// TidGapError.
  Transaction begin() {
    require_fresh();
    return Transaction(*this, isolation_);
  }

  /// A transaction at a level of its own, whatever the database's. A serializable one is only as good as the others:
  /// one writer at level snapshot spoils the serial order for all, readers included (isolation.hpp).
  Transaction begin(Isolation isolation) requires Transaction::kCanBeSerializable {
    require_fresh();
    return Transaction(*this, isolation);
  }

  // ---- peers

  /// A transaction that sees `tid`, which another process has committed, perhaps: waits for that, for `longest` at most. Throws
  /// StaleFrontierError (in that time it was not committed, or not learned), and what `sync` and `begin` throw.
  Transaction begin_at_least(Tid tid, std::chrono::milliseconds longest = kLongestWait) {
    return begin_at_least(tid, isolation_, longest);
  }
  Transaction begin_at_least(Tid tid, Isolation isolation, std::chrono::milliseconds longest = kLongestWait) {
    if (!sync(tid, longest))
      throw StaleFrontierError(last_tid(), "tid " + std::to_string(tid.value) + " was waited for in vain");
    require_fresh();
    return Transaction(*this, isolation);
  }

  /// What is known of the other processes that commit to the store, and since when.
  PeerStatus peer_status() const {
    if constexpr (kMayHavePeers) {
      if (peers_ != nullptr) return peers_->status();
    }
    PeerStatus status;
    status.frontier = last_tid();
    return status;
  }

  // ---- the past

  /// A transaction that sees what was committed up to `tid`, and changes nothing: ReadOnlyTransactionError. While it is active
  /// the database keeps its snapshot readable (`oldest_snapshot`). What the cache has no more, or never had, it loads for itself.
  /// Throws FutureSnapshotError (tid is above `last_tid()`; `sync` waits for it), SnapshotTooOldError (the store was packed beyond
  /// it), and what `begin` throws.
  Transaction begin_at(Tid tid) requires Transaction::kHasPast {
    if (const Tid last = last_tid(); tid > last) throw FutureSnapshotError(tid, last);
    const typename Cache::Past past{tid};
    Transaction transaction(*this, Isolation::snapshot, past);
    // Asked when the snapshot is announced: a pack says where it goes, and then looks for snapshots.
    const Tid oldest = std::max(capabilities_.oldest_tid(), Tid{pack_target_.load(std::memory_order_seq_cst)});
    if (tid < oldest) throw SnapshotTooOldError(Oid{}, tid, oldest);
    if (peers_ != nullptr) peers_->hold_also(tid);
    return transaction;
  }

  /// The same of what was committed up to a time, as the store's machine counts it. Throws MissingCapabilityError if the store has no
  /// history, and what the store throws.
  Transaction begin_at(std::chrono::system_clock::time_point time) requires Transaction::kHasPast {
    HistoryStore& history = capabilities_.require_history("Database::begin_at(time)");
    // The store may have, by now, a group that is not published yet.
    return begin_at(std::min(history.tid_at(std::chrono::floor<std::chrono::microseconds>(time)), last_tid()));
  }

  /// The revisions of an object, the newest first: when, by whom, how many bytes. Throws MissingCapabilityError.
  template <class T>
  HistoryRange<RevisionInfo> history(const cow::Ref<T>& reference) {
    return history(reference.oid());
  }
  HistoryRange<RevisionInfo> history(Oid oid) {
    return detail::revisions_of(capabilities_.require_history("Database::history"), oid, last_tid());
  }

  /// The transactions from one tid to another, both included, with what they say of themselves and the objects that they have written.
  /// Those that a pack has dropped are passed over. Throws MissingCapabilityError.
  HistoryRange<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order = HistoryOrder::oldest_first) {
    HistoryStore& history = capabilities_.require_history("Database::transactions");
    return detail::transactions_of(history, from, std::min(to, last_tid()), order);
  }

  /// Every change above a tid, in the order of commits. A copy of what was read at `tid` is up to date once it has taken them all.
  /// Throws MissingCapabilityError, and SnapshotTooOldError if a pack may have dropped some, now or while the range is gone through.
  HistoryRange<Change> changes_since(Tid tid) {
    HistoryStore& history = capabilities_.require_history("Database::changes_since");
    if (const Tid oldest = capabilities_.oldest_tid(); tid < oldest) throw SnapshotTooOldError(Oid{}, tid, oldest);
    return detail::changes_of(capabilities_, history, tid, last_tid());
  }

  /// Waits until a transaction that begins sees `tid`, and for `longest` at most. False: it does not yet. For a tid of this process,
  /// whose commit has returned, it returns at once. With peers the store is asked right away, so it throws what that throws, and
  /// TidGapError.
  bool sync(Tid tid, std::chrono::milliseconds longest = std::chrono::milliseconds::max()) const {
    if constexpr (kMayHavePeers) {
      if (peers_ != nullptr && last_tid() < tid) return peers_->sync(tid, longest);
    }
    const auto began = std::chrono::steady_clock::now();
    for (std::chrono::microseconds pause(20); last_tid() < tid; pause = std::min(2 * pause, kLongestSyncPause)) {
      const auto waited = std::chrono::steady_clock::now() - began;
      if (std::chrono::duration_cast<std::chrono::milliseconds>(waited) >= longest) return false;
      std::this_thread::sleep_for(pause);
    }
    return true;
  }

  /// Commits a transaction that brings back what was before transaction `tid`: what that has written gets its earlier record, byte for
  /// byte and whatever its type; what it has created is erased; what it has erased is there again. Returns the tid of that commit, which
  /// can be undone in turn; Tid{0}: there was nothing to bring back. References that others have stored since to what it had created
  /// dangle.
  /// Throws UndoRefusedError, which names the objects that were changed since and by whom; UnknownTransactionError,
  /// SnapshotTooOldError (what was before is packed away), MissingCapabilityError, and what a commit throws.
  Tid undo(Tid tid, const std::optional<TransactionNote>& note = {}) requires Transaction::kHasPast {
    for (;;) {
      Transaction transaction(*this, Isolation::snapshot);
      std::vector<detail::Earlier> earlier = detail::records_before(
          store_, capabilities_, types_.find_object().value_or(Oid{}), tid, transaction.snapshot());
      if (earlier.empty()) return Tid{};
      for (detail::Earlier& object : earlier)
        transaction.reader().restore(object.oid, std::move(object.record), tid, transaction.changes());
      transaction.note(note ? *note : TransactionNote{"", "undo of tid " + std::to_string(tid.value), {}});
      try {
        return transaction.commit();
      } catch (const ConflictError&) {
        // One of the objects has been changed since the snapshot: the next look finds that, and says by whom.
      }
    }
  }

  /// Has the store drop what no snapshot from `before` on sees (above `last_tid()`: as if it were that), and what was erased by then;
  /// with `collect_garbage`, what cannot be reached, too. Goes no further than the oldest snapshot in use, while it begins. Commits and
  /// reads go on; a second pack waits. A transaction that is about to begin, and has not said so yet, may find its snapshot packed away:
  /// SnapshotTooOldError when it loads what has changed since, and `transact` tries again. Where commits come faster than it can follow
  /// what they write, garbage stays for the next pack, and the result says so (PackResult::outrun): no commit waits for more than half a
  /// second or so. Throws MissingCapabilityError (collecting needs a history), NoRootError, CorruptRecordError, what `progress` and the
  /// store throw. With peers it goes no further than their snapshots, and SharedStoreError refuses to collect garbage.
  PackResult pack(Tid before, const PackOptions& options = {}) requires Transaction::kHasPast {
    PackableStore& store = capabilities_.require_packable("Database::pack");
    if (options.collect_garbage && peers_ != nullptr)
      throw SharedStoreError("to collect garbage",
                             "what their transactions refer to, and are about to, is not known here");
    const std::lock_guard one_at_a_time(pack_mutex_);
    const Tid target = std::min(before, last_tid());
    // Announced, then snapshots are looked for. One that begins meanwhile announces itself, then looks here: one sees the other.
    pack_target_.store(target.value, std::memory_order_seq_cst);
    const PackTarget announced(*this, store);
    const Tid pin = oldest_snapshot();
    const Tid end = std::max(std::min(target, pin), store.oldest_tid());
    pack_target_.store(end.value, std::memory_order_seq_cst);  // it goes that far, and no snapshot below is in use
    if (peers_ != nullptr) peers_->hold(end);
    PackRequest request{.before = end, .oldest_pin = pin, .is_garbage = {}, .progress = options.progress};
    const bool was_empty = end == Tid{};  // so nothing is old enough to be garbage, and there is no root
    return options.collect_garbage && !was_empty ? collect_and_pack(store, request) : store.pack(request);
  }

  /// The same of what no snapshot from a time on sees. Throws MissingCapabilityError if the store has no history.
  PackResult pack(std::chrono::system_clock::time_point before,
                  const PackOptions& options = {}) requires Transaction::kHasPast {
    HistoryStore& history = capabilities_.require_history("Database::pack(time)");
    return pack(history.tid_at(std::chrono::floor<std::chrono::microseconds>(before)), options);
  }

  /// The oldest snapshot that a transaction uses, or the last commit: a pack of the store goes no further.
  Tid oldest_snapshot() const noexcept requires Transaction::kHasPast { return cache_.oldest_snapshot(); }

  /// What the store is besides being one.
  const StoreCapabilities& capabilities() const noexcept { return capabilities_; }

  // ---- transactions that are tried again

  /// Runs `body(Transaction&)` and commits; again from the start, a bounded number of times, when it meets a
  /// ConflictError, or a SnapshotTooOldError of its own snapshot (see `pack`). Returns what the body returns. Throws the last of
  /// these, or anything else at once. A body may run further transactions, which commit for themselves: NestedTransactionError if
  /// they change what this one changes.
  template <class Body>
  auto transact(Body&& body, const RetryPolicy& policy = {}) {
    if constexpr (detail::require_body<Body, Transaction>())
      return detail::transact_in_thread([this] { return begin(); }, body, policy);
  }

  /// The last published commit.
  Tid last_tid() const noexcept { return Tid{committer_.frontier().load(std::memory_order_acquire)}; }

  Statistics statistics() {
    Statistics statistics;
    statistics.commits = committer_.commits();
    statistics.conflicts = committer_.conflicts();
    statistics.commit_bytes = committer_.bytes();
    if (detail::ProposedGroup* proposed = committer_.proposed()) statistics.remote_commits = proposed->applied();
    cache_.add_statistics(statistics);
    return statistics;
  }

  /// Drops every object from the cache, but what active transactions have read: a cold cache. For tests and benchmarks, and
  /// after a piece of work whose objects will not be needed again. Others may go on meanwhile.
  void evict_all() { cache_.evict_all(); }

  [[deprecated("use evict_all() and statistics(); the next version has no cache()")]] Cache& cache() noexcept {
    return cache_;
  }

 private:
  friend BasicTransaction<Cache>;
  friend Cache& detail::cache_of<Cache>(BasicDatabase&) noexcept;
  friend Store& detail::store_of<Cache>(BasicDatabase&) noexcept;
  template <class Other, class More>
  friend BasicTransaction<Other> detail::begin_with(BasicDatabase<Other>&, More&);

  /// The root has a fixed oid, so it is written past the cache, which does not exist yet for anybody. With it comes the type
  /// directory, where there will be one: then no commit of a new type need write the root.
  void create_root(Store& store) {
    RootDirectory root;
    std::string records[2];
    ObjectWrite objects[2];
    objects[0].oid = kRootOid;
    std::size_t count = 1;
    if constexpr (Transaction::kRemembersTypes) {
      objects[1].oid = store.allocate_oids(1).first;
      root.entries.emplace(kTypesName, cow::Ref<RootDirectory::AnyObject>(objects[1].oid));
      detail::DefinedCodec<TypeDirectory>::encode(TypeDirectory{}, objects[1].oid, records[1]);
      objects[1].record = records[1];
      count = 2;
    }
    detail::DefinedCodec<RootDirectory>::encode(root, kRootOid, records[0]);
    objects[0].record = records[0];
    if (capabilities_.has_peers()) return propose_root({objects, count});
    TransactionWrite first{.tid = Tid{1}, .objects = {objects, count}};
    store.commit({&first, 1});
    committer_.adopt(first.tid);
  }

  /// Another process may do the same: then there is a root as well.
  void propose_root(std::span<const ObjectWrite> objects) {
    std::vector<ProposedWrite> writes;
    for (const ObjectWrite& object : objects) writes.push_back({object, Tid{}});
    const Proposal proposal{
        .snapshot = Tid{}, .writes = writes, .reads = {}, .note = nullptr, .token = detail::CommitTokens().next()};
    const std::vector<Outcome> outcomes = capabilities_.shared->propose({&proposal, 1});
    if (outcomes.at(0).kind == Outcome::Kind::failed) std::rethrow_exception(outcomes[0].error);
    committer_.adopt(store_.last_tid());
  }

  void require_peers() const {
    if (!kMayHavePeers) throw MissingCapabilityError("Store without peers", "a cache that hears of no other's commits");
    (void)capabilities_.require_history("a database over a SharedStore");
  }

  void require_fresh() const {
    if constexpr (kMayHavePeers) {
      if (peers_ != nullptr) [[unlikely]]
        peers_->require_fresh();
    }
  }

  /// Takes back what a pack has announced, but for what it has come to: one that ends early leaves the past readable. REQUIRES: pack_mutex_.
  class PackTarget {
   public:
    PackTarget(BasicDatabase& database, PackableStore& store) noexcept : database_(database), store_(store) {}
    PackTarget(const PackTarget&) = delete;
    PackTarget& operator=(const PackTarget&) = delete;
    ~PackTarget() {
      try {
        // Whoever has asked the store before the pack, and looks here afterwards, finds where it went.
        database_.pack_target_.store(store_.oldest_tid().value, std::memory_order_seq_cst);
      } catch (...) {  // a store that does not answer: what was announced stands
      }
    }

   private:
    BasicDatabase& database_;
    PackableStore& store_;
  };

  /// REQUIRES: pack_mutex_; no snapshot below `request.before` is in use.
  PackResult collect_and_pack(PackableStore& store, PackRequest& request) {
    (void)capabilities_.require_history("Database::pack");
    const Tid end = request.before;
    detail::Reachable reachable(store_, capabilities_, end);
    const auto progress = std::exchange(request.progress, {});
    if (progress) {
      request.progress = [&](PackProgress now) {
        now.objects_followed = reachable.seen();
        return progress(now);
      };
    }
    const auto goes_on = [&](std::uint64_t seen) { return !progress || progress({.objects_followed = seen}); };
    mark_roots(reachable, end);
    Tid followed = last_tid();
    CatchUp outcome = CatchUp::stopped;
    if (reachable.follow(goes_on) && reachable.follow_changes(end, followed, goes_on))
      outcome = catch_up(reachable, followed, progress);
    if (outcome == CatchUp::stopped)
      return {.oldest = store.oldest_tid(), .dropped = {.objects_followed = reachable.seen()}};
    std::optional<detail::CollectedOids::Collection> collection;
    if (outcome == CatchUp::near) {
      collection.emplace(committer_.collected(), reachable);
      committer_.adopt_generation(cache_);
      if (follow_last_commits(reachable, followed)) {
        collection->settle();
        request.is_garbage = [&](Oid oid) { return collection->takes(oid); };
      } else {
        collection.reset();  // those that wait go on
      }
    }
    PackResult result = store.pack(request);
    result.dropped.objects_followed = reachable.seen();
    result.outrun = !collection;
    result.complete = result.complete && !result.outrun;
    return result;
  }

  enum class CatchUp { near, outrun, stopped };

  /// Follows what was committed above `followed`, and raises that, until commits need not wait long for the rest. Others commit
  /// meanwhile: it gives up when what is left does not get less. REQUIRES: pack_mutex_.
  CatchUp catch_up(detail::Reachable& reachable, Tid& followed,
                   const std::function<bool(const PackProgress&)>& progress) {
    const auto goes_on = [&](std::uint64_t seen) {
      return !progress || progress({.objects_followed = seen, .catches_up = true});
    };
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    std::chrono::duration<double> for_each(kLongestCommitWait);  // commit, as of the last round
    for (int in_vain = 0;;) {
      const Tid last = last_tid();
      const std::uint64_t left = last.value - followed.value;
      if (left <= kFewCommits || static_cast<double>(left) * for_each <= kShortCommitWait) return CatchUp::near;
      if (left < least) {
        least = left;
        in_vain = 0;
      } else if (++in_vain == kRoundsInVain) {
        return CatchUp::outrun;
      }
      const auto began = std::chrono::steady_clock::now();
      if (!reachable.follow_changes(std::exchange(followed, last), last, goes_on)) return CatchUp::stopped;
      for_each = (std::chrono::steady_clock::now() - began) / static_cast<double>(left);
    }
  }

  /// The last of them, for which commits wait. False: it would take long, for what they have written leads to much that nothing else does.
  bool follow_last_commits(detail::Reachable& reachable, Tid followed) {
    const auto until = std::chrono::steady_clock::now() + kLongestCommitWait;
    return reachable.follow_changes(followed, last_tid(),
                                    [&](std::uint64_t) { return std::chrono::steady_clock::now() < until; });
  }

  void mark_roots(detail::Reachable& reachable, Tid end) {
    const std::optional<Revision> root = store_.load(kRootOid, end);
    if (!root || root->erased) throw NoRootError("does not exist");
    const std::string type = detail::read_record_header(root->record, kRootOid, root->begin).type_name;
    if (type != RootDirectory::cow_type_name) throw NoRootError("is a '" + type + "'");
    reachable.mark(kRootOid);
    // The program may have taken its name out of the root.
    if (const std::optional<Oid> directory = types_.find_object(); directory && *directory) reachable.mark(*directory);
  }

  static constexpr int kRoundsInVain = 4;           // of a catch-up, after which it is outrun
  static constexpr std::uint64_t kFewCommits = 64;  // that others may have to wait for; or more, if that is short:
  static constexpr std::chrono::milliseconds kShortCommitWait{20};
  static constexpr std::chrono::milliseconds kLongestCommitWait{500};
  static constexpr std::chrono::microseconds kLongestSyncPause{1000};

  static constexpr std::chrono::milliseconds kLongestWait{10'000};
  static constexpr bool kMayHavePeers = detail::SupersedesObjects<Cache>;
  using Peers = detail::Poller<Cache>;

  Isolation isolation_ = Isolation::snapshot;
  detail::StoreLatch latch_;  // first: nothing of a store that is another's is touched, and it is let go last
  Store& store_;
  const StoreCapabilities capabilities_;
  std::mutex pack_mutex_;                      // taken before any lock of the commits
  std::atomic<std::uint64_t> pack_target_{0};  // no snapshot below may begin; written under the mutex
  detail::Committer committer_;
  detail::OidPool oids_;
  detail::TypeRegistry types_;
  Cache cache_;
  std::unique_ptr<Peers> peers_;  // null: nobody else commits to the store. Last: its thread uses all of the above
};

}  // namespace cow
