// What the model fuzzer works on: a database and its model, the transactions that are open in both, what they hold. Or two databases over
// one store, as two processes would have them, with one model of both.
//
// Thread safety: none; one thread. The pollers of two databases learn nothing but when they are let.
//
// Invariants:
//  1. Whatever differs from the model leaves as a Mismatch.
//  2. With no transaction active, an eviction of all leaves nothing: no bytes in cache or limbo, no value alive.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "model_database.hpp"
#include "model_objects.hpp"
#include "model_plan.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"
#include "unreliable_peer.hpp"

namespace cow::testing {

class Mismatch : public std::logic_error {
  using std::logic_error::logic_error;
};

/// A store that can be closed and opened again.
class StoreSource {
 public:
  virtual ~StoreSource() = default;
  virtual Store& open() = 0;
  /// Null, or another one of what `open` has returned, for another database.
  virtual Store* open_peer() { return nullptr; }
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

  /// A database, and its way to the store.
  struct Side {
    std::unique_ptr<UnreliablePackableStore> store;
    UnreliablePeer* peer;  ///< the same; null: it has the store to itself
    std::unique_ptr<Database> db;
    Tid known;  ///< it knows these commits at least
  };

  struct Live {
    std::uint64_t number;
    Side* side;  ///< whose transaction it is
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
    if (has_peers()) register_types();
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
    const bool is_garbage = live.model.brings_back_garbage();
    note([&] {
      return name(live) + " commits" + (is_garbage ? ", must be refused" : conflicts.empty() ? "" : ", must conflict");
    });
    try {
      const Tid tid = live.txn.commit();
      require(!is_garbage, [&] { return name(live) + " has brought back garbage"; });
      require(conflicts.empty(),
              [&] { return name(live) + " has committed although " + name(*conflicts.begin()) + " was changed"; });
      if (!live.model.writes().empty()) {
        model_.apply(live.model.writes());
        require(tid == model_.last_tid(), [&] { return "committed as tid " + std::to_string(tid.value); });
        live.side->known = tid;
      }
    } catch (const ConflictError& error) {
      require_conflict(live, conflicts, error);
    } catch (const CollectedReferenceError& error) {
      require_garbage(live, error);
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
    live.side->store->commits_to_fail = 1;
    try {
      live.txn.commit();
      throw Mismatch("a refused commit was acknowledged");
    } catch (const StoreFullError&) {
      // What another database has committed the store is asked about.
      require(has_peers() || (conflicts.empty() && !live.model.brings_back_garbage()),
              [&] { return "the store was asked about a transaction with conflicts, or garbage"; });
    } catch (const ConflictError& error) {
      require_conflict(live, conflicts, error);
    } catch (const CollectedReferenceError& error) {
      require_garbage(live, error);
    }
    live.side->store->commits_to_fail = 0;
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

  /// What each database knows: everything, or with peers all up to something that it does not forget.
  void check_last_tid() {
    for (Side& side : sides_) {
      const Tid last = side.db->last_tid();
      if (!has_peers()) side.known = model_.last_tid();
      require(side.known <= last && last <= model_.last_tid(), [&] {
        return "last tid is " + std::to_string(last.value) + ", expected " + std::to_string(side.known.value) + " to " +
               std::to_string(model_.last_tid().value);
      });
      side.known = last;
    }
  }

  bool has_peers() const { return sides_.size() > 1; }
  Side& side(std::uint32_t what) { return sides_[what % sides_.size()]; }
  /// One that knows all commits.
  Side& informed_side(std::uint32_t what) {
    Side& one = side(what);
    if (has_peers()) sync(one);
    return one;
  }
  void sync(Side& one) {
    require(one.db->sync(model_.last_tid(), std::chrono::hours(1)), [] { return "what is committed is not learned"; });
    one.known = model_.last_tid();
    check_last_tid();
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

  void require_garbage(const Live& live, const CollectedReferenceError& error) {
    require(model_.is_collected(error.to) && live.model.has_written(error.from),
            [&] { return std::string("not what happened: ") + error.what(); });
  }

  // --- opening, closing, and what they leave ---

  void open() {
    Store& store = source_.open();
    if (Store* other = source_.open_peer()) {
      for (Store* each : {&store, other}) {
        auto peer = std::make_unique<UnreliablePeer>(*each);
        UnreliablePeer* const known = peer.get();
        CacheOptions options = plan_.options;
        options.peers = {.poll_every = std::chrono::milliseconds(1), .hold_every = std::chrono::milliseconds(1)};
        auto database = std::make_unique<Database>(*peer, options);
        sides_.push_back({std::move(peer), known, std::move(database), model_.last_tid()});
      }
    } else {
      auto unreliable = std::make_unique<UnreliablePackableStore>(store);
      auto database = std::make_unique<Database>(*unreliable, plan_.options);
      sides_.push_back({std::move(unreliable), nullptr, std::move(database), model_.last_tid()});
    }
    check_last_tid();
  }

  /// Each type is registered by a commit of its own, before the first one of it: done here, so that tids can be told later.
  void register_types() {
    for (Side& one : sides_) {
      one.db->sync(one.store->last_tid(), std::chrono::hours(1));
      Transaction txn = one.db->begin();
      (void)txn.create(Small());
      (void)txn.create(Text());
      (void)txn.create(Large());
      (void)txn.create(Node());
      const Tid last = txn.commit();
      while (model_.last_tid() < last) model_.apply({});
    }
    for (Side& one : sides_) sync(one);
  }

  /// What is left when all is evicted. A poller may still be at what it has learned, for `sync` waits for the frontier only: then once more.
  static Statistics evicted(const Side& one) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      one.db->evict_all();
      const Statistics left = one.db->statistics();
      const bool is_all = left.cache_bytes + left.heap_bytes + left.limbo_bytes + left.ticket_bytes == 0;
      if (is_all || one.peer == nullptr || std::chrono::steady_clock::now() > end) return left;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// REQUIRES: no transaction is open.
  void close_and_check() {
    auto none = [&](std::uint64_t bytes, const char* what) {
      require(bytes == 0, [&] {
        return std::to_string(bytes) + " " + what + " are left when nobody is active and all is evicted";
      });
    };
    for (Side& one : sides_) {
      require(one.db->statistics().active_transactions == 0,
              [&] { return "a transaction is active after all have ended"; });
      const Statistics left = evicted(one);
      none(left.cache_bytes, "bytes in the cache");
      none(left.heap_bytes, "bytes of heap members");
      none(left.limbo_bytes, "bytes in limbo");
      none(left.ticket_bytes, "bytes of tickets");
    }
    other_.reset();
    if (step_ % 2 == 0) none(static_cast<std::uint64_t>(Counted::alive.load()), "values");
    for (Side& one : sides_) one.db.reset();
    none(static_cast<std::uint64_t>(Counted::alive.load()), "values after closing");
    sides_.clear();
    source_.close();
  }

  /// What the cache takes while transactions are open: its budgets, and what they hold.
  void check_statistics(Side& one) {
    Statistics now = one.db->statistics();
    note([&] {
      return "statistics: " + std::to_string(now.cache_bytes) + " in the cache, " + std::to_string(now.limbo_bytes) +
             " in limbo";
    });
    std::size_t held = 0, active = 0;
    for (const Live& live : live_) {
      if (live.side != &one) continue;
      ++active;
      held += live.model.held_bytes();
    }
    require(now.active_transactions == active, [&] {
      return std::to_string(now.active_transactions) + " transactions are active, expected " + std::to_string(active);
    });
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
  std::vector<Side> sides_;  ///< one, or two with peers
  MemoryStore other_store_;
  std::unique_ptr<Database> other_;  ///< a neighbour, which takes and leaves slots of the same classes
  std::vector<Object> objects_;
  std::vector<Live> live_;
  std::size_t step_ = 0, held_turn_ = 0;
};

}  // namespace cow::testing
