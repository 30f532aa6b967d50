// What the model fuzzer works on: a database and its model, the transactions that are open in both, what they hold.
//
// Thread safety: none; one thread.
//
// Invariants:
//  1. Whatever differs from the model leaves as a Mismatch.
//  2. With no transaction active, an eviction of all leaves nothing: no bytes in cache or limbo, no value alive.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "model_database.hpp"
#include "model_objects.hpp"
#include "model_plan.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow::testing {

class Mismatch : public std::logic_error {
  using std::logic_error::logic_error;
};

/// A store that can be closed and opened again.
class StoreSource {
 public:
  virtual ~StoreSource() = default;
  virtual Store& open() = 0;
  virtual void close() = 0;
};

class ModelSession {
 protected:
  struct Object {
    Oid oid;
    Kind kind;
    std::array<AnyRef, 3> references;  ///< each with a hint of its own, older or newer
  };

  /// A C++ reference that the transaction has given out, and what must stand there until it ends.
  struct Held {
    Oid oid;
    const void* value;
    bool (*holds)(const void*, const Image&);
    ImagePointer image;
  };

  struct Live {
    std::uint64_t number;
    Transaction txn;
    ModelTransaction model;
    std::vector<Held> held;
    std::set<Oid> stored;  ///< own creations that references in its own writes name
  };

  /// `log`, unless null, gets a line for each operation.
  ModelSession(const Plan& plan, StoreSource& source, std::vector<std::string>* log)
      : plan_(plan), source_(source), log_(log) {
    Image root;
    root.kind = Kind::root;
    model_.apply({{kRootOid, std::make_shared<Image>(root)}});
    open();
    other_ = std::make_unique<Database>(other_store_, CacheOptions{.cache_bytes = 16 << 10, .limbo_bytes = 1 << 10});
  }

  // --- what it says ---

  template <class Text>
  void note(Text&& text) {
    if (log_ != nullptr) log_->push_back(text());
  }
  template <class Text>
  static void require(bool right, Text&& text) {
    if (!right) throw Mismatch(text());
  }
  static std::string name(Oid oid) { return "oid " + std::to_string(oid.value); }
  static std::string name(const Live& live) { return "t" + std::to_string(live.number); }
  static std::string describe(const ImagePointer& image) {
    return image ? std::string(name_of(image->kind)) + " " + std::to_string(image->number) : "absent";
  }

  // --- what it checks ---

  template <class T>
  static bool holds(const void* value, const Image& image) {
    return image.kind == T::kKind && static_cast<const T*>(value)->holds(image);
  }

  /// Compares a value that the transaction was given with the model's, and remembers it for later.
  template <class T>
  void hold(Live& live, Oid oid, const T& value, const ImagePointer& expected) {
    require(expected != nullptr, [&] { return name(oid) + " does not exist, but " + name(live) + " got a value"; });
    require(holds<T>(&value, *expected), [&] {
      return name(live) + " sees " + name(oid) + " = " + std::to_string(value.number) + ", expected " +
             describe(expected);
    });
    Held held{oid, &value, &holds<T>, expected};
    if (live.held.size() < kMaxHeld) {
      live.held.push_back(held);
    } else {
      live.held[held_turn_++ % kMaxHeld] = held;
    }
  }

  void verify_held(const Live& live) {
    note([&] { return name(live) + " looks at its references again"; });
    for (const Held& held : live.held) {
      require(held.holds(held.value, *held.image), [&] {
        return "a reference to " + name(held.oid) + " that " + name(live) + " holds is no longer " +
               describe(held.image);
      });
    }
  }

  static void require_absent(const ImagePointer& expected, const DanglingReferenceError& error, Oid oid) {
    require(expected == nullptr, [&] { return name(oid) + " is " + describe(expected) + ", but: " + error.what(); });
    require(error.oid == oid, [&] { return "another object is missing: " + name(error.oid); });
  }

  // --- how transactions end ---

  void commit(std::size_t index) {
    Live& live = live_[index];
    verify_held(live);
    std::set<Oid> conflicts = live.model.conflicts();
    note([&] { return name(live) + " commits" + (conflicts.empty() ? "" : ", must conflict"); });
    try {
      live.txn.commit();
      require(conflicts.empty(),
              [&] { return name(live) + " has committed although " + name(*conflicts.begin()) + " was changed"; });
      if (!live.model.writes().empty()) model_.apply(live.model.writes());
    } catch (const ConflictError& error) {
      require_conflict(live, conflicts, error);
    }
    ended(index);
  }

  /// The store refuses: nothing of the transaction may be seen.
  void refused_commit(std::size_t index) {
    Live& live = live_[index];
    if (live.model.writes().empty()) return;
    verify_held(live);
    std::set<Oid> conflicts = live.model.conflicts();
    note([&] { return name(live) + " commits, and the store refuses" + (conflicts.empty() ? "" : "; must conflict"); });
    store_->commits_to_fail = 1;
    try {
      live.txn.commit();
      throw Mismatch("a refused commit was acknowledged");
    } catch (const StoreFullError&) {
      require(conflicts.empty(), [&] { return "the store was asked about a transaction with conflicts"; });
    } catch (const ConflictError& error) {
      require_conflict(live, conflicts, error);
    }
    store_->commits_to_fail = 0;
    ended(index);
  }

  void abort(std::size_t index) {
    verify_held(live_[index]);
    note([&] { return name(live_[index]) + " aborts"; });
    if (live_[index].number % 2 == 0) live_[index].txn.abort();  // or by the destructor
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
    check_last_tid();
  }

  void ended(std::size_t index) {
    require(!live_[index].txn.active(), [&] { return name(live_[index]) + " is active after its end"; });
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
    check_last_tid();
  }

  void end_all(bool commits) {
    while (!live_.empty()) commits ? commit(live_.size() - 1) : abort(live_.size() - 1);
  }

  void check_last_tid() {
    require(db_->last_tid() == model_.last_tid(), [&] {
      return "last tid is " + std::to_string(db_->last_tid().value) + ", expected " +
             std::to_string(model_.last_tid().value);
    });
  }

  void require_conflict(const Live& live, std::set<Oid> expected, const ConflictError& error) {
    expected.merge(live.model.possible_conflicts());
    require(!expected.empty(), [&] { return name(live) + " must commit, but: " + error.what(); });
    require(!error.conflicts.empty(), [&] { return "a conflict about nothing"; });
    for (const ConflictError::Conflict& conflict : error.conflicts) {
      require(expected.contains(conflict.oid) && conflict.current > live.model.snapshot() &&
                  model_.has_revision(conflict.oid, conflict.current) &&
                  conflict.changed == live.model.has_written(conflict.oid),
              [&] { return std::string("not what happened: ") + error.what(); });
    }
  }

  // --- opening, closing, and what they leave ---

  void open() {
    store_ = std::make_unique<UnreliableHistoryStore>(source_.open());
    db_ = std::make_unique<Database>(*store_, plan_.options);
    check_last_tid();
  }

  /// REQUIRES: no transaction is open.
  void close_and_check() {
    require(db_->statistics().active_transactions == 0, [&] { return "a transaction is active after all have ended"; });
    db_->evict_all();
    Statistics left = db_->statistics();
    auto none = [&](std::uint64_t bytes, const char* what) {
      require(bytes == 0, [&] {
        return std::to_string(bytes) + " " + what + " are left when nobody is active and all is evicted";
      });
    };
    none(left.cache_bytes, "bytes in the cache");
    none(left.heap_bytes, "bytes of heap members");
    none(left.limbo_bytes, "bytes in limbo");
    none(left.ticket_bytes, "bytes of tickets");
    other_.reset();
    if (step_ % 2 == 0) none(static_cast<std::uint64_t>(Counted::alive.load()), "values");
    db_.reset();
    none(static_cast<std::uint64_t>(Counted::alive.load()), "values after closing");
    store_.reset();
    source_.close();
  }

  /// What the cache takes while transactions are open: its budgets, and what they hold.
  void check_statistics() {
    Statistics now = db_->statistics();
    note([&] {
      return "statistics: " + std::to_string(now.cache_bytes) + " in the cache, " + std::to_string(now.limbo_bytes) +
             " in limbo";
    });
    require(now.active_transactions == live_.size(), [&] {
      return std::to_string(now.active_transactions) + " transactions are active, expected " +
             std::to_string(live_.size());
    });
    std::size_t held = 0;
    for (const Live& live : live_) held += live.model.held_bytes();
    std::size_t resident = plan_.options.cache_bytes + kSlack;
    require(now.cache_bytes <= resident, [&] {
      return std::to_string(now.cache_bytes) + " bytes in the cache, expected at most " + std::to_string(resident);
    });
    // A state that is held may stand in limbo twice: as it was, and as it was loaded again.
    std::size_t limbo = 2 * held + 2 * plan_.options.limbo_bytes + kSlack;
    require(now.limbo_bytes <= limbo, [&] {
      return std::to_string(now.limbo_bytes) + " bytes in limbo, expected at most " + std::to_string(limbo) + ": " +
             std::to_string(held) + " are held";
    });
  }

  static constexpr std::size_t kMaxHeld = 64;
  static constexpr std::size_t kSlack = 33 * (6 << 10);  // a batch that fills up, of the largest objects

  const Plan& plan_;
  StoreSource& source_;
  std::vector<std::string>* log_;
  ModelDatabase model_;
  std::unique_ptr<UnreliableHistoryStore> store_;
  std::unique_ptr<Database> db_;
  MemoryStore other_store_;
  std::unique_ptr<Database> other_;  ///< a neighbour, which takes and leaves slots of the same classes
  std::vector<Object> objects_;
  std::vector<Live> live_;
  std::size_t step_ = 0, held_turn_ = 0;
};

}  // namespace cow::testing
