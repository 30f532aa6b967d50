// Looks into the directory of a RocksDbStore, also while a program has it open: what objects, revisions and transactions
// there are. Nothing is written, and nobody is locked out.
//
//   cow::StoreReader reader("bank.db");
//   reader.transactions(reader.last_tid(), cow::Tid{1}, [](const cow::StoredTransaction& t) { return print(t); });
//
// A reader sees the store as it was when it was opened or last refreshed. Records are MessagePack: no C++ type is needed.
//
// A damaged store is read as far as it can be, if somebody wants to hear of the damage: each part that cannot be read is
// reported, once after it was opened and once after each refresh. What a reader then says of an object may lack revisions that are in those parts.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. What could not be read was reported: to the function that the reader was given, or else by StoreCorruptError.
#pragma once

#include "cow_cache/version.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "cow_cache/store.hpp"
#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"

namespace cow {

/// One revision as it is stored.
struct StoredRevision {
  Oid oid;
  Tid tid;
  Tid end = kInfinity;      ///< the tid of the next one; infinity: it is the newest
  bool erased = false;      ///< a tombstone; `record` is empty
  bool sound = true;        ///< false: the bytes are not those that were committed; `record` is what there is of them
  std::string_view record;  ///< valid during the call
};

/// One transaction as it is stored.
struct StoredTransaction : TransactionInfo {
  Tid predecessor;  ///< the transaction before it; Tid{0}: it is the first
};

/// A part of a store that cannot be read.
struct UnreadablePart {
  std::string part;  ///< "oids 17 to 30 in 000015.sst"
  std::string why;
};

/// What a store says of itself.
struct StoreSummary {
  std::uint32_t format_version = 0;
  std::uint64_t store_id = 0;
  Tid oldest_tid;              ///< the oldest snapshot that can be read; Tid{0}: all of them, it was never packed
  std::uint64_t next_oid = 0;  ///< oids below may have been given away
  std::optional<bool> cleanly_closed;  ///< by the witness; nothing: it has none that can be read
  std::uint64_t estimated_revisions = 0;
  std::uint64_t estimated_transactions = 0;
  bool whole = true;  ///< false: a part of the files cannot be read
};

class StoreReader {
 public:
  using OnUnreadable = std::function<void(const UnreadablePart&)>;
  template <class Item>
  using Visitor = std::function<bool(const Item&)>;  ///< false: no more

  /// Without `on_unreadable` a damaged store is refused. Throws StoreMissingError, StoreFormatError (not a store, or of an
  /// unknown version), StoreCorruptError, or StoreError.
  explicit StoreReader(const std::filesystem::path& directory, OnUnreadable on_unreadable = {});
  ~StoreReader();
  StoreReader(StoreReader&&) noexcept;
  StoreReader& operator=(StoreReader&&) noexcept;

  /// Sees what was committed since. Throws as the constructor does, and is then as before.
  void refresh();

  /// Absolute, without symbolic links.
  const std::filesystem::path& path() const noexcept;
  StoreSummary summary() const;

  /// Whether a program has the store open now. REQUIRES: not this process, whose own lock of RocksDB's the question would
  /// drop.
  bool open_elsewhere() const;

  /// The newest transaction; `Tid{0}` when there is none.
  Tid last_tid() const noexcept;

  /// As `Store::load`: the newest revision with `begin <= at`, or nothing. Throws SnapshotTooOldError, and CorruptRecordError where its
  /// bytes are not those that were committed.
  std::optional<Revision> load(Oid oid, Tid at) const;

  /// All revisions of the objects `first` to `last`, in the order of oids, the newest of each first.
  void revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const;

  /// The transactions from `newest` down to `oldest`, or to the last one that a pack has left. An entry that is missing, or damaged, is reported.
  void transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const;
  std::optional<StoredTransaction> transaction(Tid tid) const;

  /// The last transaction at that time, going by the times that transactions have; nothing if there was none yet.
  std::optional<Tid> tid_at(CommitTime time) const;

  /// Reads the whole history and checks every link and every record, as `RocksDbStore::verify`; if nobody has the store open,
  /// also that nothing is lost that the witness and the log know of. Returns the number of transactions. Throws
  /// StoreCorruptError that names what is wrong first, or StoreError. `on_read`: called again and again with the number of
  /// reads so far, of about `estimated_transactions + 2 * estimated_revisions`.
  std::uint64_t verify_chain(const std::function<void(std::uint64_t)>& on_read = {}) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cow
