// ObjectCache: what a database and its transactions ask of a cache. The shared cache has it, and so have those that it is
// compared with.
//
// Thread safety: a concept has none. Each cache says in its header what it promises.
//
// A cache outlives its transactions. It hears of a commit three times:
//   prepare         on the committing thread, before the store has the write set. It may throw, and then there is no commit.
//   publish         by one committer at a time and in the order of tids, once the store has it, before the frontier reaches the tid.
//   after_commit    on the committing thread again, after its transaction has ended. It empties the write set.
// A transaction reads through one Reader, which begins when it is made, and ends by `end` or `end_and_discard`.
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "cow_cache/detail/apart/held.hpp"
#include "cow_cache/detail/commit/write_set.hpp"
#include "cow_cache/detail/oid_set.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/options.hpp"
#include "cow_cache/ref.hpp"
#include "cow_cache/root.hpp"
#include "cow_cache/statistics.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/types.hpp"
#include "load_failure.hpp"
#include "load_ticket.hpp"

namespace cow::detail {

/// How a transaction reads and changes values; RootDirectory stands for every stored type. Where a cache has its definitions
/// apart, transactions go by DefinedAccess instead of `read`.
template <class Cache, class Reader, class T = RootDirectory>
concept ReadsObjects = requires(Reader& reader, const Ref<T>& reference, WriteSet& writes, Oid oid, T&& value) {
  { reader.divert(reference, writes) } -> std::same_as<T&>;
  { reader.create(oid, std::move(value), writes) } -> std::same_as<Ref<T>>;
  reader.erase(reference, writes);
  requires kHasDefinedAccess<Cache> || requires {
    { reader.read(reference, writes) } -> std::same_as<const T&>;
  };
};

template <class Reader>
concept ReadsOneSnapshot = requires(Reader& reader, const Reader& same, WriteSet& writes) {
  { same.active() } -> std::same_as<bool>;
  { same.snapshot() } -> std::same_as<Tid>;
  reader.will_sleep();
  requires noexcept(reader.end());
  requires noexcept(reader.end_and_discard(writes));
};

/// User code that a transaction calls may use that very transaction. `is_busy`: it has been called, and has not returned; then commits
/// are refused, and `end_and_discard` is for a transaction that it ends. A `Committing` lives while the transaction commits;
/// its `leave` says whether the transaction is still there.
template <class Reader>
concept KnowsUserCode = requires(Reader& reader, const Reader& same, const WriteSet& writes) {
  { same.is_busy(writes) } -> std::same_as<bool>;
  requires noexcept(same.is_busy(writes));
  same.refuse_commit(writes);  // throws
  { typename Reader::Committing(reader).leave() } -> std::same_as<bool>;
};

template <class Reader, class T = RootDirectory>
concept ReadsWithoutWaiting = requires(Reader& reader, const Ref<T>& reference, WriteSet& writes, LoadWaiter& waiter,
                                       const LoadFailure& failure) {
  { reader.try_read(reference, writes) } -> std::same_as<const T*>;
  { reader.read_or_subscribe(reference, writes, waiter) } -> std::same_as<const T*>;
  { reader.must_load_alone(reference, failure) } -> std::same_as<bool>;
};

template <class Reader>
concept KnowsWhatWasRead = requires(const Reader& reader) {
  { reader.read_log() } -> std::same_as<const ReadLog&>;
  { reader.absent() } -> std::same_as<const OidSet*>;
};

template <class Cache>
concept ObjectCache = requires(Store& store, const CacheOptions& options, const std::atomic<std::uint64_t>& frontier,
                               Cache& cache, const Cache& same, WriteSet& writes, Tid tid, Statistics& statistics) {
  Cache(store, options, frontier);
  typename Cache::Pointers::template Ref<RootDirectory>;
  same.require_one_memory();
  cache.prepare(writes);
  requires noexcept(cache.publish(writes, tid));
  requires noexcept(cache.after_commit(writes));
  cache.add_statistics(statistics);
  cache.evict_all();
  { same.active_transactions() } -> std::same_as<std::size_t>;

  requires std::movable<typename Cache::Reader>;
  requires std::is_constructible_v<typename Cache::Reader, Cache&>;
  requires ReadsOneSnapshot<typename Cache::Reader>;
  requires KnowsUserCode<typename Cache::Reader>;
  requires ReadsObjects<Cache, typename Cache::Reader>;

  // What not every cache is capable of: it says so, and nobody guesses.
  requires std::same_as<decltype(Cache::kReadsWithoutWaiting), const bool>;
  requires std::same_as<decltype(Cache::kCanBeSerializable), const bool>;
  requires !Cache::kReadsWithoutWaiting || ReadsWithoutWaiting<typename Cache::Reader>;
  requires !Cache::kCanBeSerializable || KnowsWhatWasRead<typename Cache::Reader>;
};

}  // namespace cow::detail
