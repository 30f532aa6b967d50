// What transactions do that takes more than a hit: first reads, writes, commits. Part of database.hpp.
//
// Thread safety: see transaction.hpp.
//
// Translation units that include this instantiate what they use; those that include objects.hpp leave it to the linker.
#pragma once

#include "version.hpp"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "detail/cache/batch_loader.hpp"
#include "detail/cache/shared_cache.hpp"
#include "detail/commit/committer.hpp"
#include "detail/commit/oid_pool.hpp"
#include "detail/commit/transact_frame.hpp"
#include "detail/commit/type_registry.hpp"
#include "detail/commit/write_set.hpp"
#include "detail/record/operations.hpp"
#include "transact.hpp"
#include "transaction.hpp"

namespace cow {

template <class Cache>
template <class T>
Ref<T> BasicTransaction<Cache>::create_here(T&& value) {
  if (!active()) throw TransactionEndedError();
  if constexpr (kHasPast) reader().require_present();  // before it takes an oid
  return reader().create(database_->oids_.next(), std::forward<T>(value), changes());
}

template <class Cache>
template <class T>
bool BasicTransaction<Cache>::load_ahead(std::span<const cow::Ref<T>> references) {
  static_assert(kLoadsInBatches);
  if (!active()) throw TransactionEndedError();
  BatchStore* store = database_->capabilities_.batch;
  if (store == nullptr) return false;
  database_->cache_.require_one_memory();
  typename Cache::BatchLoader loader(reader(), *store, detail::type_operations<T>);
  std::vector<Oid> oids;
  while (!references.empty()) {
    auto now = references.first(std::min(references.size(), Cache::BatchLoader::kMost));
    oids.clear();
    for (const cow::Ref<T>& reference : now) oids.push_back(reference.oid());
    loader.load(oids);
    references = references.subspan(now.size());
  }
  return true;
}

template <class Cache>
void BasicTransaction<Cache>::note(TransactionNote note) {
  static_assert(kHasPast);
  reader().require_present();
  (void)database_->capabilities_.require_history("Transaction::note");
  if (note.bytes() > kMaxNoteBytes) throw LimitError("bytes in a transaction's note", kMaxNoteBytes);
  reader().set_note(std::move(note));
}

template <class Cache>
Tid BasicTransaction<Cache>::commit_writes() {
  if constexpr (kRemembersTypes) {
    if (!database_->types_.knows(changes())) [[unlikely]]
      return commit_new_types();
  }
  return commit_known_types(nullptr);
}

template <class Cache>
Tid BasicTransaction<Cache>::commit_known_types(detail::NewTypes* news) {
  // Not within `try`: to abort means to give states back, to the memory that they are from.
  database_->cache_.require_one_memory();
  typename Cache::Reader::Committing operation(reader());
  detail::WriteSet::Frozen frozen(changes());
  Tid tid{};
  try {
    tid = write_and_publish(frozen, news);
  } catch (...) {
    if (news != nullptr) news->release();
    frozen.end();
    if (operation.leave()) abort();
    throw;
  }
  // Destructors of values run now, which may assign to this transaction, or move or destroy it.
  Cache& cache = database_->cache_;
  reader().end();
  // After its end: then what it has superseded, which its own snapshot saw, can be freed at once.
  cache.after_commit(frozen.end());
  return tid;
}

/// The first commit of a type, by this database: the store's type directory is compared with the program's types, and gets what
/// it lacks in the same commit ([one-at-a-time], type_registry.hpp).
template <class Cache>
Tid BasicTransaction<Cache>::commit_new_types() {
  database_->cache_.require_one_memory();
  detail::TypeRegistry& types = database_->types_;
  detail::NewTypes news;
  {
    typename Cache::Reader::Committing operation(reader());
    try {
      news.types = types.unknown_in(changes());
      {
        detail::WriteSet::Frozen frozen(changes());  // default constructors are user code
        for (const detail::TypeOperations* type : news.types) news.descriptions.push_back(type->describe());
        frozen.require_here();
      }
      if (!news.types.empty()) find_directory(news);
      if (news.directory && database_->capabilities_.has_peers()) commit_types_apart(news);
    } catch (...) {
      if (operation.leave()) abort();
      throw;
    }
  }
  const Tid tid = commit_known_types(&news);
  try {
    types.mark_known(news.types, news.descriptions);
  } catch (const std::bad_alloc&) {  // they are compared again
  }
  return tid;
}

/// Other processes change the type directory, too ([one-at-a-time], type_registry.hpp). If it became part of the transaction's own commit,
/// that would conflict with types that it knows nothing of.
template <class Cache>
void BasicTransaction<Cache>::commit_types_apart(detail::NewTypes& news) {
  const std::scoped_lock turn(database_->types_.turn());
  for (;;) {
    try {
      BasicTransaction apart(*database_, Isolation::snapshot);
      detail::TransactFrame frame(nullptr);  // as in make_directory
      apart.enter(frame);
      std::optional<TypeDirectory> directory = database_->types_.with_added(news, apart.snapshot());
      if (directory) {
        apart.reader().require_present();
        detail::add_write(apart.changes(), news.directory, detail::new_state(*std::move(directory)));
      }
      apart.commit();
      news.directory = Oid{};  // nothing is left to append
      return;
    } catch (const ConflictError&) {  // another process has registered a type; by now its commit is known here
    }
  }
}

/// Where the type directory is. A store whose first object is no root has none. Nor has one of an older version: a transaction that writes the root makes it part of its own
/// commit, for the others a small one is committed before.
template <class Cache>
void BasicTransaction<Cache>::find_directory(detail::NewTypes& news) {
  const std::optional<Oid> known = database_->types_.find_object();
  news.directory = known.value_or(Oid{});
  if (!known || news.directory) return;
  if (detail::WriteSetEntry* root = changes().find(kRootOid)) {
    if (root->erased) return;
    RootDirectory& names = detail::value_of<RootDirectory>(*root->state);
    TypeDirectory directory;
    for (const detail::TypeDescription& description : news.descriptions) detail::note_type(directory, description);
    const Oid oid = database_->oids_.next();
    detail::add_write(changes(), oid, detail::new_state(std::move(directory))).created = true;
    names.entries.insert_or_assign(std::string(kTypesName), cow::Ref<RootDirectory::AnyObject>(oid));
  } else {
    news.directory = make_directory();
  }
}

template <class Cache>
Oid BasicTransaction<Cache>::make_directory() {
  // One at a time, so that they do not conflict with each other.
  std::scoped_lock turn(database_->types_.turn());
  for (;;) {
    if (std::optional<Oid> found = database_->types_.find_object(); found && *found) return *found;
    try {
      BasicTransaction apart(*database_, Isolation::snapshot);
      detail::TransactFrame frame(
          nullptr);  // it is no nested transaction: it changes nothing that means something to others
      apart.enter(frame);
      RootDirectory& names = apart.write(root_reference());
      const Oid oid = apart.create(TypeDirectory{}).oid();
      names.entries.insert_or_assign(std::string(kTypesName), cow::Ref<RootDirectory::AnyObject>(oid));
      apart.commit();
      return oid;
    } catch (const ConflictError&) {  // somebody has written the root meanwhile
    }
  }
}

template <class Cache>
inline Tid BasicTransaction<Cache>::write_and_publish(auto& frozen, detail::NewTypes* news) {
  detail::TransactFrame* outer = frame_ != nullptr ? frame_->outer() : detail::TransactFrame::of_thread();
  if (outer != nullptr) [[unlikely]]
    outer->require_apart(database_, this, changes());
  detail::OidPool& oids = database_->oids_;
  detail::CommitRequest request(frozen, reader().snapshot(), oids.first_unsure(), news != nullptr);
  request.validate(reads_to_validate());  // those of the codecs, too
  if constexpr (kHasPast) request.set_note(reader().note());
  if (!request.unsure_references().empty()) [[unlikely]] {
    if (detail::ProposedGroup* proposed = database_->committer_.proposed())
      oids.note_committed_by_peers(proposed->highest_oid());
    oids.require_committed(request.unsure_references());
  }
  if (news != nullptr) [[unlikely]]
    database_->types_.append(*news, request, frozen);
  database_->cache_.prepare(changes());
  Tid tid = database_->committer_.commit(request, database_->cache_);
  if (news != nullptr) [[unlikely]]
    news->release();
  oids.mark_committed(request.objects());
  if (outer != nullptr) [[unlikely]]
    outer->note_commit(database_, this, tid);
  return tid;
}

template <class Cache>
void BasicTransaction<Cache>::refuse_commit() const {
  reader().refuse_commit(changes());
}

/// Destructors of private values are user code. With the shared cache the transaction has ended by then, so it is of no use
/// to them. Baselines change shared states, which they must restore before they end.
template <class Cache>
void BasicTransaction<Cache>::abort_writes() noexcept {
  reader().end_and_discard(changes());
}

template <class Cache>
detail::ReadSet BasicTransaction<Cache>::reads_to_validate() const noexcept {
  if constexpr (kCanBeSerializable) {
    if (isolation_ == Isolation::serializable) return {&reader().read_log(), reader().absent()};
  }
  return {};
}

template <class Cache>
Oid BasicTransaction<Cache>::meets(void* transaction, detail::WriteSet& inner) {
  auto& self = *static_cast<BasicTransaction*>(transaction);
  if (!self.active()) return {};  // moved away
  for (const detail::WriteSetEntry& entry : inner) {
    if (self.changes().find(entry.oid) != nullptr) return entry.oid;
  }
  Oid met{};
  if (detail::ReadSet reads = self.reads_to_validate(); reads.log != nullptr) {
    reads.log->for_each([&](detail::StateHandle handle) {
      Oid oid = detail::StateMemory::instance().state_of(handle)->oid();
      if (oid && inner.find(oid) != nullptr) met = oid;
    });
    if (reads.absent != nullptr) {
      reads.absent->for_each([&](Oid oid) {
        if (inner.find(oid) != nullptr) met = oid;
      });
    }
  }
  return met;
}

namespace detail {

/// Reader::read_first, called by way of the linker.
template <class T>
[[gnu::noinline]] StateHeader& DefinedAccess<T>::read_first(Transaction& transaction, const Ref<T>& reference) {
  static_assert(offsetof(SharedCache::Reader, log_) == 0);  // for LogFront
  return *transaction.reader().read_first(
      reference, [&] { return read_displaced(transaction, reference); },
      [&](const StateHeader& state) { return read_otherwise(transaction, reference, state); });
}
template <class T>
[[gnu::noinline]] StateHeader& DefinedAccess<T>::read_by_oid(Transaction& transaction, const Ref<T>& reference) {
  return *transaction.reader().read_by_oid(reference, [&] { return read_slowly(transaction, reference); });
}
template <class T>
[[gnu::noinline]] StateHeader* DefinedAccess<T>::read_displaced(Transaction& transaction, const Ref<T>& reference) {
  return transaction.reader().read_displaced(reference, [&] { return read_slowly(transaction, reference); });
}
template <class T>
[[gnu::noinline]] StateHeader* DefinedAccess<T>::read_slowly(Transaction& transaction, const Ref<T>& reference) {
  return transaction.reader().read_slowly(reference, type_operations<T>, &transaction.changes(),
                                          {SharedCache::Reader::OnMiss::load});
}
template <class T>
[[gnu::noinline, gnu::cold]] StateHeader* DefinedAccess<T>::read_otherwise(Transaction& transaction,
                                                                           const Ref<T>& reference,
                                                                           const StateHeader& state) {
  return transaction.reader().read_otherwise(reference, type_operations<T>, &transaction.changes(), state,
                                             SharedCache::Reader::OnMiss::load);
}
template <class T>
T& DefinedAccess<T>::write(Transaction& transaction, const Ref<T>& reference) {
  return transaction.reader().divert(reference, transaction.changes());
}
template <class T>
Ref<T> DefinedAccess<T>::create(Transaction& transaction, T&& value) {
  return transaction.create_here(std::move(value));
}
template <class T>
void DefinedAccess<T>::erase(Transaction& transaction, const Ref<T>& reference) {
  transaction.reader().erase(reference, transaction.changes());
}

template <class Cache>
void TransactRunner<Cache>::run(BasicDatabase<Cache>& database, void* body, Body* call) {
  database.transact([&](BasicTransaction<Cache>& transaction) { call(body, transaction); });
}

}  // namespace detail
}  // namespace cow
