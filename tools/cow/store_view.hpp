// What the commands look at: a store that is read as it was at one moment, wherever it is. Two kinds: the directory of a RocksDbStore,
// which a StoreReader reads, and the tables of a PostgresStore.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. What could not be read was reported to the function that the view was opened with, each part once after each refresh.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cow_cache/store/shared.hpp"
#include "persistence/store_reader.hpp"

namespace cow::tool {

/// The functions mean what those of StoreReader do, of the same names.
class StoreView {
 public:
  template <class Item>
  using Visitor = StoreReader::Visitor<Item>;

  StoreView() = default;
  virtual ~StoreView() = default;
  StoreView(const StoreView&) = delete;
  StoreView& operator=(const StoreView&) = delete;

  virtual void refresh() = 0;

  /// Where it is, to be shown: a path, or an address without its password.
  virtual std::string place() const = 0;
  /// The store's files; nothing: it has none of its own.
  virtual std::optional<std::filesystem::path> directory() const = 0;
  virtual StoreSummary summary() const = 0;
  /// In a word or two: open, closed, shared.
  virtual std::string state() const = 0;
  virtual bool open_elsewhere() const = 0;

  virtual Tid last_tid() const = 0;
  virtual std::optional<Revision> load(Oid oid, Tid at) const = 0;
  virtual void revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const = 0;
  virtual void transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const = 0;
  virtual std::optional<Tid> tid_at(CommitTime time) const = 0;
  virtual std::uint64_t verify_chain(const std::function<void(std::uint64_t)>& on_read) const = 0;

  std::optional<StoredTransaction> transaction(Tid tid) const {
    std::optional<StoredTransaction> found;
    transactions(tid, tid, [&](const StoredTransaction& transaction) {
      found = transaction;
      return false;
    });
    return found;
  }
};

/// `store`: a directory, or an address. Without `on_unreadable` a damaged store is refused. Throws Refusal for an address that cannot be
/// one, or where PostgresStore is not built in, and what the stores throw.
std::unique_ptr<StoreView> open_view(const std::string& store, StoreReader::OnUnreadable on_unreadable = {});

/// The view of an address; in a file that is there with libpq only.
std::unique_ptr<StoreView> open_postgres_view(const std::string& store, StoreReader::OnUnreadable on_unreadable);

/// The store to be changed, and made if `create` says so. Throws as open_view does; StoreLockedError.
std::unique_ptr<Store> open_to_write(const std::string& store, bool create = false);
std::unique_ptr<Store> open_postgres_to_write(const std::string& store, bool create);

/// Commits one transaction on what is seen at `snapshot`; its tid. Nothing: another process has changed the same since. REQUIRES: if
/// the store is not shared, nothing is committed above `snapshot`.
std::optional<Tid> commit_to(Store& store, Tid snapshot, std::span<const ProposedWrite> writes,
                             const TransactionNote& note);

/// Calls `attempt`, which returns such a tid, until there is one. Throws Refusal after a number of attempts.
Tid commit_repeatedly(const std::function<std::optional<Tid>()>& attempt);

}  // namespace cow::tool
