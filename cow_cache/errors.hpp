// Every exception that the library has a type for. Each says why, and of which object, transaction, name or file, where
// there is one. Besides these: std::bad_alloc, where memory runs out; std::invalid_argument, std::out_of_range and
// std::logic_error for arguments that no database could accept; and what codecs and the bodies of transactions throw.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "types.hpp"

#pragma GCC visibility push(default)  // so that a shared library's exceptions are caught outside of it
namespace cow {

/// Base of all exceptions of this library.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A reference without an object (`Ref<T>{}`) was read or written.
class NullReferenceError : public Error {
 public:
  explicit NullReferenceError(std::string_view type) : Error("null reference to " + std::string(type) + " followed") {}
};

/// The object of a reference does not exist at the transaction's snapshot: never created, or erased. Or the transaction has
/// erased it itself.
class DanglingReferenceError : public Error {
 public:
  DanglingReferenceError(Oid object, Tid at, bool erased_here = false)
      : Error("oid " + std::to_string(object.value) +
              (erased_here ? " was erased by this transaction, which began" : " does not exist") + " at tid " +
              std::to_string(at.value)),
        oid(object),
        snapshot(at) {}
  Oid oid;
  Tid snapshot;
};

/// The root has no such name.
class UnknownRootError : public Error {
 public:
  explicit UnknownRootError(std::string_view asked)
      : Error("the root has no name '" + std::string(asked) + "'"), name(asked) {}
  std::string name;
};

/// The object of a reference is of another type than the reference says.
class TypeMismatchError : public Error {
 public:
  TypeMismatchError(Oid object, Tid revision, std::string_view wanted, std::string_view actual)
      : Error("oid " + std::to_string(object.value) + " at tid " + std::to_string(revision.value) + " is a '" +
              std::string(actual) + "', not a '" + std::string(wanted) + "'" +
              (actual == wanted ? ": two types of the program, or two schemas, have this name" : "")),
        oid(object),
        tid(revision),
        expected(wanted),
        found(actual) {}
  Oid oid;
  Tid tid;
  std::string expected;
  std::string found;
};

/// A transaction was used after commit, after abort, or after it was moved from.
class TransactionEndedError : public Error {
 public:
  TransactionEndedError() : Error("the transaction has ended") {}
};

/// An operation of a transaction has called user code (a codec, an upgrade, a constructor, a destructor), which has tried to do
/// to this very transaction what the operation could not go on after. Nothing was done, and the transaction can be used.
class TransactionBusyError : public Error {
 public:
  /// `doing`: "loading"; `refused`: "write".
  TransactionBusyError(Oid object, std::string_view doing, std::string_view refused)
      : Error("the transaction is " + std::string(doing) + " oid " + std::to_string(object.value) +
              ": user code that it calls for that may read by it, but not " + std::string(refused)),
        oid(object) {}
  Oid oid;
};

/// A codec has tried to change, to commit, or to put to sleep the transaction whose changes it is encoding. It may read.
class TransactionCommittingError : public TransactionBusyError {
 public:
  /// `object`: whose record is being made.
  explicit TransactionCommittingError(Oid object)
      : TransactionBusyError(object, "committing: it is encoding", "change, commit or put it to sleep") {}
};

/// Code of a shared library used a database that was opened outside of it, and has a state memory of its own: nothing was
/// read or changed. Link the program with -rdynamic, which exports its symbols, or keep cow_cache in one shared library that
/// both link with.
class SeparateMemoryError : public Error {
 public:
  SeparateMemoryError()
      : Error(
            "this shared library has a state memory of its own: link the program with -rdynamic, so that there is "
            "one") {}
};

/// The store was packed: what the snapshot would see is not kept any more. What is from `oldest` on can be read.
class SnapshotTooOldError : public Error {
 public:
  /// `object`: whose revision was asked for; `Oid{0}`: the snapshot itself.
  SnapshotTooOldError(Oid object, Tid at, Tid kept)
      : Error((object ? "oid " + std::to_string(object.value) + " cannot be read at tid " : "no snapshot at tid ") +
              std::to_string(at.value) + ": the store was packed, and keeps what is visible from tid " +
              std::to_string(kept.value) + " on"),
        oid(object),
        asked(at),
        oldest(kept) {}
  Oid oid;
  Tid asked;
  Tid oldest;
};

/// A snapshot was asked for that nobody has committed yet.
class FutureSnapshotError : public Error {
 public:
  FutureSnapshotError(Tid at, Tid frontier)
      : Error("no snapshot at tid " + std::to_string(at.value) + ": the last commit is tid " +
              std::to_string(frontier.value)),
        asked(at),
        last(frontier) {}
  Tid asked;
  Tid last;
};

/// A transaction that reads the past (Database::begin_at) was told to write, create, erase or note something. Nothing was done, and
/// it can be used.
class ReadOnlyTransactionError : public Error {
 public:
  explicit ReadOnlyTransactionError(Tid at)
      : Error("the transaction reads what was committed up to tid " + std::to_string(at.value) +
              ", and changes nothing"),
        snapshot(at) {}
  Tid snapshot;
};

/// The store has no such transaction.
class UnknownTransactionError : public Error {
 public:
  explicit UnknownTransactionError(Tid asked)
      : Error("the store has no transaction of tid " + std::to_string(asked.value)), tid(asked) {}
  Tid tid;
};

/// A transaction cannot be undone: others have changed what it has changed. Nothing was done. To go back further, undo the later ones
/// first.
class UndoRefusedError : public Error {
 public:
  struct Obstacle {
    Oid oid;
    Tid later;  ///< the last transaction that has changed the object since; Tid{0}: it is the root, which cannot be erased
  };

  UndoRefusedError(Tid refused, std::vector<Obstacle> found)
      : Error(describe(refused, found)), tid(refused), obstacles(std::move(found)) {}
  Tid tid;
  std::vector<Obstacle> obstacles;

 private:
  static constexpr std::size_t kMaxDescribed = 8;  // a transaction may have changed a million objects

  static std::string describe(Tid refused, const std::vector<Obstacle>& obstacles) {
    std::string text = "tid " + std::to_string(refused.value) + " cannot be undone:";
    for (std::size_t i = 0; const Obstacle& obstacle : obstacles) {
      if (i++ == kMaxDescribed) return text + " and " + std::to_string(obstacles.size() - kMaxDescribed) + " more";
      text += (i > 1 ? ", oid " : " oid ") + std::to_string(obstacle.oid.value);
      text += obstacle.later == Tid{} ? " is the root, which it made"
                                      : " was changed by tid " + std::to_string(obstacle.later.value);
    }
    return text;
  }
};

/// The store lacks what an operation needs: it does not derive from that interface (cow_cache/store/). Nothing was done.
class MissingCapabilityError : public Error {
 public:
  MissingCapabilityError(std::string_view interface, std::string_view refused)
      : Error(std::string(refused) + " needs a store that is a cow::" + std::string(interface) +
              ", which this one is not"),
        capability(interface),
        operation(refused) {}
  std::string capability;  ///< "HistoryStore"
  std::string operation;   ///< "Database::history"
};

/// An oid is outside of what the cache can address, or the store has no more to give.
class OidRangeError : public Error {
 public:
  explicit OidRangeError(Oid refused)
      : Error("oid " + std::to_string(refused.value) + " is not in 1.." + std::to_string(kMaxOid.value)),
        oid(refused) {}
  Oid oid;
};

/// Something of which there is a bounded number is used up. Nothing was changed; what has it may end, and give it back.
class LimitError : public Error {
 public:
  LimitError(std::string_view what, std::uint64_t limit)
      : Error("no more than " + std::to_string(limit) + " " + std::string(what)), most(limit) {}
  std::uint64_t most;
};

/// A revision in the store cannot be read as the type that was asked for. The derived types say why.
class RecordError : public Error {
 public:
  RecordError(Oid object, Tid revision, std::string_view why)
      : Error("record of oid " + std::to_string(object.value) + " at tid " + std::to_string(revision.value) + ' ' +
              std::string(why)),
        oid(object),
        tid(revision) {}
  Oid oid;
  Tid tid;
};

/// Stored bytes are not a valid record: damaged, or written by something that is no store of this library.
class CorruptRecordError : public RecordError {
 public:
  CorruptRecordError(Oid object, Tid revision, std::string_view why)
      : RecordError(object, revision, "is corrupt: " + std::string(why)) {}
};

/// A record is as it was written, but its value is none of the program's type, which has changed since. The bytes are good:
/// with the type as it was, or with a `cow_upgrade`, they can be read.
class UnfitRecordError : public RecordError {
 public:
  /// `of_field`: the path to it, "lines[2].count"; empty: the value as a whole, or not known.
  UnfitRecordError(Oid object, Tid revision, std::string_view type_name, std::uint32_t of_schema,
                   std::string_view of_field, std::string_view why)
      : RecordError(object, revision,
                    "does not fit: " + (of_field.empty() ? "" : "field `" + std::string(of_field) + "` of ") + '\'' +
                        std::string(type_name) + "': " + std::string(why) + "; schema " + std::to_string(of_schema) +
                        " wrote it"),
        type(type_name),
        schema(of_schema),
        field(of_field) {}
  std::string type;
  std::uint32_t schema;
  std::string field;
};

/// A newer program has written the record, with a higher `cow_schema` than this program's type has.
class NewerSchemaError : public RecordError {
 public:
  NewerSchemaError(Oid object, Tid revision, std::string_view type_name, std::uint32_t of_record,
                   std::uint32_t of_program)
      : RecordError(object, revision,
                    "is of schema " + std::to_string(of_record) + " of '" + std::string(type_name) +
                        "', which is newer than this program's " + std::to_string(of_program)),
        type(type_name),
        schema(of_record),
        known(of_program) {}
  std::string type;
  std::uint32_t schema;
  std::uint32_t known;
};

/// How the fields of a type differ from those that a store knows. Names are paths: "lines[].count".
struct FieldChanges {
  struct Retyped {
    std::string name, before, now;
  };
  std::vector<std::string> added, removed;
  std::vector<Retyped> retyped;
  std::pair<std::string, std::string> forms;  ///< before, now, if they differ: "map", "array" ... (field_set.hpp)

  bool empty() const noexcept { return added.empty() && removed.empty() && retyped.empty() && forms.first.empty(); }
};

/// A commit has objects of a type whose fields are not those that the store knows under its schema number, or lack what records
/// of a lower number have, and the type does not say why. Nothing was committed. Otherwise data would be lost when these records
/// are written anew.
class FieldsChangedError : public Error {
 public:
  FieldsChangedError(std::string_view type_name, std::uint32_t of_store, std::uint32_t of_program, FieldChanges found)
      : Error(describe(type_name, of_store, of_program, found)),
        type(type_name),
        known_schema(of_store),
        schema(of_program),
        changes(std::move(found)) {}
  std::string type;
  std::uint32_t known_schema;  ///< the number under which the store knows other fields
  std::uint32_t schema;        ///< the program's
  FieldChanges changes;

 private:
  static void list(std::string& text, std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    (text += "; ") += what;
    for (const std::string& name : names) text += (&name == names.data() ? " `" : ", `") + name + '`';
  }
  static std::string describe(std::string_view type_name, std::uint32_t of_store, std::uint32_t of_program,
                              const FieldChanges& changes) {
    std::string text = "type '" + std::string(type_name) + "' has other fields than the store knows under schema " +
                       std::to_string(of_store);
    list(text, "added", changes.added);
    list(text, "removed", changes.removed);
    for (const FieldChanges::Retyped& field : changes.retyped)
      text += "; `" + field.name + "` was " + field.before + " and is " + field.now;
    if (!changes.forms.first.empty())
      text += "; written as " + changes.forms.second + ", not as " + changes.forms.first;
    if (of_store == of_program) text += ". Raise cow_schema to " + std::to_string(of_program + 1);
    if (changes.removed.empty() && changes.retyped.empty() && changes.forms.first.empty()) return text;
    text += of_store == of_program ? ", and say" : ". Say";
    text +=
        " what became of what is no longer there: cow_former_names for what is called otherwise, cow_dropped for what "
        "is "
        "dropped on purpose, cow_upgrade for all else";
    return text;
  }
};

/// A codec, an upgrade or a copy constructor needs the very object that is being decoded, or copied, for it: directly, or by
/// way of the objects between. It would never end.
class BuildCycleError : public Error {
 public:
  /// `between`: " -> oid 7 -> oid 8".
  BuildCycleError(Oid object, std::string_view what, std::string_view between)
      : Error(std::string(what) + " oid " + std::to_string(object.value) + " needs itself: oid " +
              std::to_string(object.value) + std::string(between) + " -> oid " + std::to_string(object.value)),
        oid(object) {}
  Oid oid;
};

/// Codecs, upgrades or copy constructors read objects whose own ones read objects, and so on: more of them than a stack is
/// sure to have room for.
class BuildDepthError : public Error {
 public:
  BuildDepthError(Oid object, unsigned most)
      : Error("oid " + std::to_string(object.value) + " is needed within the decoding or copying of " +
              std::to_string(most) + " other objects, one within the other; there may be no more"),
        oid(object) {}
  Oid oid;
};

/// A value cannot be made into a record that could be read back: the commit was refused before anything was written.
class UnstorableValueError : public Error {
 public:
  UnstorableValueError(Oid object, std::string_view type_name, std::string_view why)
      : Error("oid " + std::to_string(object.value) + ", a '" + std::string(type_name) +
              "', cannot be stored: " + std::string(why)),
        oid(object),
        type(type_name) {}
  Oid oid;
  std::string type;
};

/// With COW_CACHE_CHECKED=1: a value's record was decoded, and what came back is not what was committed.
class RoundTripError : public UnstorableValueError {
  using UnstorableValueError::UnstorableValueError;
};

/// Another transaction committed first. Nothing of this transaction was kept; run it again.
class ConflictError : public Error {
 public:
  struct Conflict {
    Oid oid;
    Tid base;             ///< the revision that this transaction had read; Tid{0}: it had found no object
    Tid current;          ///< a revision that others have committed since: the newest one that the commit knew of
    bool changed = true;  ///< this transaction changed the object; if not, it read it, and is serializable
  };

  explicit ConflictError(std::vector<Conflict> found) : Error(describe(found)), conflicts(std::move(found)) {}
  std::vector<Conflict> conflicts;

 private:
  static constexpr std::size_t kMaxDescribed = 8;  // a transaction may have changed a million objects

  static std::string describe(const std::vector<Conflict>& conflicts) {
    std::string text = "commit conflict:";
    for (std::size_t i = 0; const Conflict& conflict : conflicts) {
      if (i++ == kMaxDescribed) return text + " and " + std::to_string(conflicts.size() - kMaxDescribed) + " more";
      text += (i > 1 ? ", oid " : " oid ") + std::to_string(conflict.oid.value);
      text += conflict.changed ? " (changed" : " (read";
      text += conflict.base == Tid{} ? " as absent" : " at tid " + std::to_string(conflict.base.value);
      text += ", now at tid " + std::to_string(conflict.current.value) + ")";
    }
    return text;
  }
};

/// A commit would store a reference to an object that was never committed: its transaction was aborted or has not committed
/// yet, or the store has never given out its oid. Nothing of the commit was kept.
class UncommittedReferenceError : public Error {
 public:
  UncommittedReferenceError(Oid referrer, Oid target)
      : Error("oid " + std::to_string(referrer.value) + " refers to oid " + std::to_string(target.value) +
              ", which was never committed"),
        from(referrer),
        to(target) {}
  Oid from;
  Oid to;
};

/// A commit would change an object that a pack has collected as garbage, or store a reference to one: its oid was kept somewhere else
/// than in the database. Nothing of the commit was kept.
class CollectedReferenceError : public Error {
 public:
  /// `referrer` is `target`: that one itself would be changed.
  CollectedReferenceError(Oid referrer, Oid target)
      : Error("oid " + std::to_string(referrer.value) +
              (referrer == target ? " cannot be changed: it"
                                  : " refers to oid " + std::to_string(target.value) + ", which") +
              " was not reachable, and a pack has collected it"),
        from(referrer),
        to(target) {}
  Oid from;
  Oid to;
};

/// Garbage cannot be collected: the store's first object is no root, so nothing tells what is reachable. Nothing was dropped.
class NoRootError : public Error {
 public:
  explicit NoRootError(std::string_view why)
      : Error("garbage cannot be collected: oid 1 " + std::string(why) + ", so nothing tells what is reachable") {}
};

/// A transaction that runs inside of another one's `transact` has changed an object that the outer one has changed, or read
/// and is serializable. One of the two can commit, however often they try: make the change in the outer transaction.
class NestedTransactionError : public Error {
 public:
  explicit NestedTransactionError(Oid object)
      : Error("oid " + std::to_string(object.value) +
              " is changed by a transaction that runs inside of another one, which changes it too or depends on it: "
              "change it in the outer one"),
        oid(object) {}
  Oid oid;
};

/// A transaction was told to give up (cow_cache/async). It is aborted when the exception leaves its body.
class CancelledError : public Error {
 public:
  CancelledError() : Error("the transaction was cancelled") {}

 protected:
  using Error::Error;
};

/// A transaction's deadline has passed.
class DeadlineExceededError : public CancelledError {
 public:
  DeadlineExceededError() : CancelledError("the transaction's deadline has passed") {}
};

/// Too much is under way and waiting: nothing was begun. Try again later, or elsewhere.
class OverloadedError : public Error {
 public:
  OverloadedError(std::string_view what, std::size_t running, std::size_t waiting)
      : Error(std::string(what) + " is overloaded: " + std::to_string(running) + " running, " +
              std::to_string(waiting) + " waiting") {}
};

/// A failure of the store. `what()` names the store, the operation and the cause.
class StoreError : public Error {
  using Error::Error;
};

/// There is no store where one was to be opened. `what()` says how to make one.
class StoreMissingError : public StoreError {
  using StoreError::StoreError;
};

/// There is a store already where one was to be made.
class StoreExistsError : public StoreError {
  using StoreError::StoreError;
};

/// The directory is already open, in this process or another; or the store object has a database already.
class StoreLockedError : public StoreError {
  using StoreError::StoreError;
};

/// The directory holds another format, or a format version that this build does not know.
class StoreFormatError : public StoreError {
  using StoreError::StoreError;
};

/// The store's content contradicts itself: a lost or altered part of its log.
class StoreCorruptError : public StoreError {
  using StoreError::StoreError;
};

/// The device is (almost) full; the commit was refused before anything of it was written.
class StoreFullError : public StoreError {
  using StoreError::StoreError;
};

/// The store can no longer accept commits (an earlier write failed); reads go on. Reopen it.
class StoreReadOnlyError : public StoreError {
  using StoreError::StoreError;
};

/// The server behind the store cannot be reached, or the connection to it was lost. Of a commit that fails so nothing was kept.
class StoreConnectionError : public StoreError {
  using StoreError::StoreError;
};

/// The server behind the store has fewer commits than this process has seen, or others (then `last` is not below `seen`): it was put back to an
/// earlier state, or another one took its place that had not got them all. What this process has cached is of no use any more: nothing is answered.
class StoreBehindError : public StoreError {
 public:
  StoreBehindError(Tid known, Tid found)
      : StoreError(found < known
                       ? "the server has commits up to tid " + std::to_string(found.value) +
                             ", but this process has seen tid " + std::to_string(known.value) + ": commits were lost"
                       : "the server has another commit of tid " + std::to_string(known.value) +
                             " than this process has seen: commits were lost"),
        seen(known),
        last(found) {}
  Tid seen;
  Tid last;
};

/// A write failed in a way that leaves open whether the transaction survives: after reopening it is whole or absent.
class OutcomeUnknownError : public StoreError {
 public:
  OutcomeUnknownError(Tid commit, std::string_view why)
      : StoreError("outcome of tid " + std::to_string(commit.value) +
                   " is unknown until the store is reopened: " + std::string(why)),
        tid(commit) {}
  Tid tid;
};

/// The store's tids are not contiguous, or it has fewer commits than it had: some are missing, and what they have changed is not known. The
/// database refuses every further begin and commit, rather than read past it. Open it anew when the store is whole.
class TidGapError : public StoreError {
 public:
  /// `next`: what came instead of `after` + 1; below that, the store's last commit; Tid{0}: not known.
  TidGapError(Tid seen, Tid found)
      : StoreError(found > seen ? "tids are not contiguous: after tid " + std::to_string(seen.value) + " comes tid " +
                                      std::to_string(found.value)
                                : "the store has lost commits: tid " + std::to_string(seen.value) +
                                      " was committed, and now the last one is tid " + std::to_string(found.value)),
        after(seen),
        next(found) {}
  /// The store itself says that something is missing.
  TidGapError(Tid seen, std::string_view why)
      : StoreError("what was committed after tid " + std::to_string(seen.value) +
                   " cannot be learned: " + std::string(why)),
        after(seen) {}
  Tid after;
  Tid next{};
};

/// The database has not learned for too long what other processes commit, or not in time: its newest snapshot is older than was asked
/// for. Nothing was begun. `cause`, if there is one, is what the last attempt has met.
class StaleFrontierError : public StoreError {
 public:
  StaleFrontierError(Tid last, std::string_view why, std::exception_ptr met = nullptr)
      : StoreError("the newest snapshot is that of tid " + std::to_string(last.value) + ": " + std::string(why)),
        frontier(last),
        cause(std::move(met)) {}
  Tid frontier;
  std::exception_ptr cause;
};

/// A transaction is committed, but the database could not learn what other processes have committed before it. Until it has, its
/// transactions begin without seeing this one (Database::sync waits for that). Do not commit it again.
class CommittedUnseenError : public StoreError {
 public:
  CommittedUnseenError(Tid commit, Tid last, std::exception_ptr met)
      : StoreError(
            "tid " + std::to_string(commit.value) +
            " is committed, but what came before it could not be learned: the newest snapshot is still that of tid " +
            std::to_string(last.value)),
        tid(commit),
        frontier(last),
        cause(std::move(met)) {}
  Tid tid;
  Tid frontier;
  std::exception_ptr cause;
};

/// An operation that needs to know all of a store's users, on a store that other processes commit to. Nothing was done.
class SharedStoreError : public Error {
 public:
  SharedStoreError(std::string_view refused, std::string_view why)
      : Error(std::string(refused) + " is not for a store that several processes commit to: " + std::string(why)),
        operation(refused) {}
  std::string operation;
};

}  // namespace cow
#pragma GCC visibility pop
