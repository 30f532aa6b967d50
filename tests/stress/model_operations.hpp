// What one transaction does to objects, in the database and in the model.
//
// Thread safety: none; one thread, several interleaved transactions.
//
// Invariants:
//  1. An object is met by references whose hints differ: new ones, old ones, and none. The answer is the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "model_database.hpp"
#include "model_objects.hpp"
#include "model_session.hpp"

namespace cow::testing {

class ModelOperations : protected ModelSession {
 protected:
  using ModelSession::ModelSession;

  /// At the last commit that its database knows; with peers two in three ask for one, mostly the last.
  void begin(std::uint32_t what, std::uint32_t how) {
    if (live_.size() >= plan_.most_transactions) return;
    Isolation isolation = what % 2 == 0 ? Isolation::snapshot : Isolation::serializable;
    Side& one = side(what / 2);
    if (!has_peers() || what / 4 % 3 == 0) {
      const Tid last = one.db->last_tid();
      live_.push_back({++begun_, &one, one.db->begin(isolation), ModelTransaction(model_, isolation, last), {}, {}});
    } else {
      const Tid wanted = what / 12 % 2 == 0 ? model_.last_tid() : chosen_tid(what / 24, how);
      Transaction txn = one.db->begin_at_least(wanted, isolation);
      const Tid snapshot = txn.snapshot();
      note([&] { return "wanted is tid " + std::to_string(wanted.value); });
      require(snapshot >= wanted && snapshot >= one.known && snapshot <= model_.last_tid(),
              [&] { return "snapshot is " + std::to_string(snapshot.value) + ", not what was wanted"; });
      one.known = snapshot;
      live_.push_back({++begun_, &one, std::move(txn), ModelTransaction(model_, isolation, snapshot), {}, {}});
    }
    note([&] {
      return name(live_.back()) + " begins at " + std::to_string(live_.back().model.snapshot().value) +
             (isolation == Isolation::snapshot ? ", snapshot" : ", serializable") + of_side(one);
    });
    require(live_.back().txn.snapshot() == live_.back().model.snapshot(), [&] {
      return "snapshot is " + std::to_string(live_.back().txn.snapshot().value) + ", not the last commit";
    });
    check_last_tid();
  }
  std::string of_side(const Side& one) const {
    return has_peers() ? ", in database " + std::to_string(&one - sides_.data()) : std::string();
  }

  void learn_all(Side& one) {
    note([&] { return "all is learned" + of_side(one); });
    sync(one);
  }

  /// Until its poller has learned all that the others have committed.
  void let_poll(Side& one) {
    note([&] { return "the poller learns" + of_side(one); });
    one.peer->is_deaf = false;
    while (one.db->last_tid() < model_.last_tid()) std::this_thread::yield();
    one.peer->make_deaf();
    check_last_tid();
  }

  /// The past, mostly the recent one.
  void begin_at(std::uint32_t what, std::uint32_t how) {
    if (live_.size() >= plan_.most_transactions) return;
    Side& one = informed_side(what / 8);
    Tid snapshot = chosen_tid(what, how);
    if (snapshot < model_.oldest()) {
      note([&] { return "the past tid " + std::to_string(snapshot.value) + " is packed away"; });
      return require_too_old([&] { (void)one.db->begin_at(snapshot); });
    }
    live_.push_back({++begun_, &one, one.db->begin_at(snapshot), ModelTransaction(model_, snapshot), {}, {}});
    note([&] { return name(live_.back()) + " begins at the past tid " + std::to_string(snapshot.value); });
    require(live_.back().txn.snapshot() == snapshot, [&] {
      return "snapshot is " + std::to_string(live_.back().txn.snapshot().value) + ", not " +
             std::to_string(snapshot.value);
    });
  }

  /// What a transaction of the past may not do. True: it was refused.
  template <class Change>
  bool refuses(Live& live, const char* what, Change&& change) {
    if (!live.model.is_past()) return false;
    note([&] { return name(live) + " reads the past and must not " + what; });
    try {
      change();
    } catch (const ReadOnlyTransactionError& error) {
      require(error.snapshot == live.model.snapshot(), [&] { return "refused at another snapshot"; });
      require(live.txn.writes() == 0, [&] { return "a refused change is in the write set"; });
      return true;
    }
    throw Mismatch("a transaction that reads the past may " + std::string(what));
  }

  template <class Use>
  void require_too_old(Use&& use) {
    try {
      use();
    } catch (const SnapshotTooOldError& error) {
      return require(error.oldest == model_.oldest(), [&] { return std::string("not so: ") + error.what(); });
    }
    throw Mismatch("what was packed away can be seen");
  }

  /// As far as the oldest open snapshot. What it collects is met no more, but by transactions that hold it already.
  void pack(std::uint32_t what, std::uint32_t how) {
    if (has_peers()) return pack_beside_peer(what, how);
    const bool collects = what % 2 == 0;
    const Tid before = what % 8 < 4 ? kInfinity : chosen_tid(what / 8, how);
    Tid end = std::min(before, model_.last_tid());
    for (const Live& live : live_) end = std::min(end, live.model.snapshot());
    end = std::max(end, model_.oldest());
    note([&] {
      return std::string("a pack ") + (collects ? "with garbage " : "") + "as far as tid " + std::to_string(end.value);
    });
    const PackResult result = sides_.front().db->pack(before, {.collect_garbage = collects});
    require(result.complete && result.oldest == end,
            [&] { return "packed as far as tid " + std::to_string(result.oldest.value); });
    model_.pack(end);
    if (!collects) return;
    model_.collect(end);
    std::erase_if(objects_, [&](const Object& object) { return model_.is_collected(object.oid); });
  }

  /// As far as what both databases hold, which is not above what they use.
  void pack_beside_peer(std::uint32_t what, std::uint32_t how) {
    Side& one = side(what);
    try {
      one.db->pack(kInfinity, {.collect_garbage = true});
      throw Mismatch("garbage was collected beside a peer");
    } catch (const SharedStoreError&) {
    }
    Tid end = std::min(what % 8 < 4 ? kInfinity : chosen_tid(what / 8, how), model_.last_tid());
    for (const Live& live : live_) end = std::min(end, live.model.snapshot());
    for (const Side& each : sides_) end = std::min(end, each.db->last_tid());
    end = std::max(end, model_.oldest());
    const PackResult result = one.db->pack(end);
    note([&] { return "a pack as far as tid " + std::to_string(result.oldest.value) + of_side(one); });
    require(result.complete && model_.oldest() <= result.oldest && result.oldest <= end,
            [&] { return "packed as far as tid " + std::to_string(result.oldest.value); });
    model_.pack(result.oldest);
  }

  /// The store has what the model does not know of: transactions of ballast, which are not undone.
  void undo(std::uint32_t what, std::uint32_t how) {
    Tid tid = chosen_tid(what, how);
    std::map<Oid, ImagePointer> before = model_.before(tid);
    if (before.empty()) return;
    Side& one = informed_side(what / 8);
    if (tid <= model_.oldest()) {
      note([&] { return "what was before tid " + std::to_string(tid.value) + " is packed away"; });
      return require_too_old([&] { (void)one.db->undo(tid); });
    }
    std::map<Oid, Tid> obstacles;
    for (const auto& [oid, image] : before) {
      if (model_.newest(oid) > tid) obstacles[oid] = model_.newest(oid);
    }
    if (obstacles.empty() && before.contains(kRootOid) && !before[kRootOid]) obstacles[kRootOid] = Tid{};
    note([&] {
      return "tid " + std::to_string(tid.value) + " is undone, " + std::to_string(before.size()) + " objects, " +
             std::to_string(obstacles.size()) + " obstacles";
    });
    try {
      Tid undone = one.db->undo(tid);
      require(obstacles.empty(), [&] { return "undone, although others have changed it since"; });
      model_.apply(before);
      require(undone == model_.last_tid(), [&] { return "the undo is tid " + std::to_string(undone.value); });
      one.known = undone;
    } catch (const UndoRefusedError& error) {
      std::map<Oid, Tid> found;
      for (const UndoRefusedError::Obstacle& obstacle : error.obstacles) found[obstacle.oid] = obstacle.later;
      require(found == obstacles && error.tid == tid, [&] { return std::string("not so: ") + error.what(); });
    }
    check_last_tid();
  }

  void read(Live& live, AnyRef& any, const char* how) {
    std::visit([&](auto& typed) { read_typed(live, typed, how); }, any);
  }

  /// By a temporary that has no hint: another way through the cache.
  void read_by_oid(Live& live, AnyRef& any) {
    std::visit([&](auto& typed) { read_typed(live, typed, "reads by oid", true); }, any);
  }

  template <class T>
  void read_typed(Live& live, const Ref<T>& reference, const char* how, bool by_oid = false) {
    ImagePointer expected = live.model.see(reference.oid());
    note([&] { return name(live) + " " + how + " " + name(reference.oid()) + ": " + describe(expected); });
    live.model.note_read(reference.oid());
    try {
      const T& value = by_oid ? live.txn.read(Ref<T>(reference.oid())) : live.txn.read(reference);
      hold(live, reference.oid(), value, expected);
    } catch (const DanglingReferenceError& error) {
      require_absent(expected, error, reference.oid());
    }
  }

  /// By every reference of one object: all must say the same.
  void read_by_all(Live& live, std::uint32_t what) {
    if (objects_.empty()) return;
    Object& target = pick(what);
    if (what % 2 == 0) read_by_oid(live, target.references.front());
    for (AnyRef& each : target.references) read(live, each, "reads by one of three");
    read_by_oid(live, target.references.front());
  }

  void try_read(Live& live, AnyRef& any) {
    std::visit(
        [&](auto& typed) {
          ImagePointer expected = live.model.see(typed.oid());
          note([&] { return name(live) + " tries to read " + name(typed.oid()) + ": " + describe(expected); });
          try {
            auto* value = live.txn.try_read(typed);
            if (value == nullptr) return;  // it would have to wait for the store: nothing was read
            live.model.note_read(typed.oid());
            hold(live, typed.oid(), *value, expected);
          } catch (const DanglingReferenceError& error) {
            live.model.note_read(typed.oid());
            require_absent(expected, error, typed.oid());
          }
        },
        any);
  }

  /// Along a reference in a value that it holds: the hint there is everybody's.
  void follow(Live& live, std::uint32_t what, std::uint32_t how) {
    for (std::size_t i = 0; i < live.held.size(); ++i) {
      const Held& held = live.held[(what + i) % live.held.size()];
      if (held.image->kind != Kind::node || held.holds != &holds<Node>) continue;
      const Node& node = *static_cast<const Node*>(held.value);
      if (model_.is_collected(node.next.oid()) || model_.is_collected(node.text.oid())) continue;
      if (how % 2 == 0 && node.next) return read_typed(live, node.next, "follows next to");
      if (node.text) return read_typed(live, node.text, "follows text to");
    }
  }

  void write(Live& live, AnyRef& any, std::uint32_t how) {
    if (refuses(live, "write", [&] { std::visit([&](auto& typed) { live.txn.write(typed); }, any); })) return;
    std::visit(
        [&](auto& typed) {
          ImagePointer expected = live.model.see(typed.oid());
          note([&] {
            return name(live) + " writes " + name(typed.oid()) + " (" + describe(expected) +
                   ") = " + std::to_string(how);
          });
          try {
            auto& value = live.txn.write(typed);
            require(expected != nullptr, [&] { return name(typed.oid()) + " does not exist, but was changed"; });
            require(value.holds(*expected), [&] { return "the clone to write is not " + describe(expected); });
            ImagePointer image = live.model.divert(typed.oid());
            image->number = how;
            value.set(how);
            link(live, value, *image, how);
            hold(live, typed.oid(), value, image);
          } catch (const DanglingReferenceError& error) {
            live.model.note_read(typed.oid());
            require_absent(expected, error, typed.oid());
          }
        },
        any);
  }

  void erase(Live& live, AnyRef& any) {
    if (refuses(live, "erase", [&] { std::visit([&](auto& typed) { live.txn.erase(typed); }, any); })) return;
    std::visit(
        [&](auto& typed) {
          if (live.stored.contains(typed.oid())) return;  // who stores a reference to nothing is told so at the commit
          ImagePointer expected = live.model.see(typed.oid());
          note([&] { return name(live) + " erases " + name(typed.oid()) + " (" + describe(expected) + ")"; });
          try {
            live.txn.erase(typed);
            require(expected != nullptr, [&] { return name(typed.oid()) + " does not exist, but was changed"; });
            live.model.erase(typed.oid());
          } catch (const DanglingReferenceError& error) {
            live.model.note_read(typed.oid());
            require_absent(expected, error, typed.oid());
          }
        },
        any);
  }

  void create(Live& live, std::uint32_t what, std::uint32_t how) {
    if (refuses(live, "create", [&] { live.txn.create(Small{}); })) return;
    switch (what % 8) {
      case 0:
      case 1:
      case 2:
        return create_typed<Small>(live, how);
      case 3:
      case 4:
        return create_typed<Text>(live, how);
      case 5:
        return create_typed<Large>(live, how);
      default:
        return create_typed<Node>(live, how);
    }
  }

  template <class T>
  void create_typed(Live& live, std::uint32_t how) {
    T value;
    Image image;
    image.kind = T::kKind;
    image.number = how;
    value.set(how);
    link(live, value, image, how);
    Ref<T> reference = live.txn.create(std::move(value));
    note([&] {
      return name(live) + " creates " + name(reference.oid()) + ", " + name_of(T::kKind) + " " + std::to_string(how);
    });
    live.model.create(reference.oid(), image);
    objects_.push_back({reference.oid(), T::kKind, {reference, reference, Ref<T>(reference.oid())}});
  }

  /// References in nodes: to something that the writer sees, so that the commit has nothing to object to.
  template <class T>
  void link(Live&, T&, Image&, std::uint32_t) {}
  void link(Live& live, Node& node, Image& image, std::uint32_t how) {
    for (std::uint32_t i = 0; i < 2; ++i) {
      if (objects_.empty() || (how >> i) % 2 != 0) continue;
      Object& target = objects_[(how + i) % objects_.size()];
      if (!live.model.see(target.oid)) continue;
      AnyRef& reference = target.references[how / 4 % 3];
      if (auto* next = std::get_if<Ref<Node>>(&reference)) {
        node.next = *next;
        image.next = target.oid;
      } else if (auto* text = std::get_if<Ref<Text>>(&reference)) {
        node.text = *text;
        image.text = target.oid;
      } else {
        continue;
      }
      if (live.model.has_created(target.oid)) live.stored.insert(target.oid);
    }
  }

  void refresh_reference(std::uint32_t what, std::uint32_t how) {
    if (objects_.empty()) return;
    Object& target = pick(what);
    AnyRef& one = target.references[how % 3];
    if (how / 3 % 2 == 0) {
      one = without_hint(target.kind, target.oid);
    } else {
      one = AnyRef(target.references[(how + 1) % 3]);
    }
  }

  void read_wrong_type(Live& live, std::uint32_t what, std::uint32_t how) {
    if (objects_.empty()) return;
    Object& target = pick(what);
    Kind wrong = static_cast<Kind>((static_cast<std::uint32_t>(target.kind) + 1 + how % 3) % 4);
    AnyRef any = without_hint(wrong, target.oid);
    ImagePointer expected = live.model.see(target.oid);
    note([&] {
      return name(live) + " reads " + name(target.oid) + " (" + describe(expected) + ") as " + name_of(wrong);
    });
    if (expected) {
      live.model.note_probe(target.oid);
    } else {
      live.model.note_read(target.oid);
    }
    try {
      auto follow = [&]<class T>(Ref<T>& typed) {
        how % 2 == 0 ? live.txn.read(typed) : live.txn.read(Ref<T>(typed.oid()));
      };
      std::visit(follow, any);
      throw Mismatch("a reference of the wrong type was followed");
    } catch (const TypeMismatchError& error) {
      require(expected != nullptr && error.oid == target.oid, [&] { return "wrong type of an absent object"; });
    } catch (const DanglingReferenceError& error) {
      require_absent(expected, error, target.oid);
    }
  }

  void park(Live& live) {
    note([&] { return name(live) + " is about to sleep"; });
    live.txn.will_sleep();
  }

  /// The store fails once: the transaction goes on, with the same snapshot.
  void failed_load(Live& live, AnyRef& any) {
    UnreliableStore& store = *live.side->store;
    store.loads_to_fail = 1;
    try {
      read(live, any, "reads, and the store fails,");
    } catch (const StoreError&) {
      // Asked whether it has read the object, the model says yes; so it is asked to.
      store.loads_to_fail = 0;
      read(live, any, "reads again");
    }
    store.loads_to_fail = 0;
  }

  void use_after_end(std::size_t index, std::uint32_t what) {
    if (objects_.empty()) return;
    AnyRef any = reference(what, what / 2);
    Transaction txn = std::move(live_[index].txn);
    note([&] { return name(live_[index]) + " ends, and is used again"; });
    auto refuses = [&](Transaction& ended) {
      try {
        auto read = [&]<class T>(Ref<T>& typed) {
          what % 3 == 0 ? ended.read(Ref<T>(typed.oid())) : ended.read(typed);
        };
        std::visit(read, any);
      } catch (const TransactionEndedError&) {
        return true;
      }
      return false;
    };
    require(refuses(live_[index].txn), [] { return "a transaction that was moved from was read"; });
    txn.abort();
    require(refuses(txn), [] { return "an ended transaction was read"; });
    ended(index);
  }

  // --- what is chosen ---

  /// From the first commit on, which made the root; mostly a late one.
  Tid chosen_tid(std::uint32_t what, std::uint32_t how) const {
    std::uint64_t last = model_.last_tid().value;
    return Tid{last - what % std::min<std::uint64_t>(last, how % 4 == 0 ? last : 8)};
  }

  Object& pick(std::uint32_t what) {
    std::size_t hot = std::min(plan_.hot_objects, objects_.size());
    std::size_t back = what % 8 != 0 ? what / 8 % hot : what / 8 % objects_.size();
    return objects_[objects_.size() - 1 - back];
  }

  Object& object(Oid oid) {
    return *std::find_if(objects_.begin(), objects_.end(), [&](const Object& each) { return each.oid == oid; });
  }

  /// One of the object's references, which is repaired by its use; or a new one, with its hint or without.
  AnyRef& reference(std::uint32_t what, std::uint32_t how) {
    if (objects_.empty()) return passing_ = Ref<Node>(Oid{1'000'000'000});  // was never given out
    Object& target = pick(what);
    switch (how % 8) {
      case 0:
      case 1:
      case 2:
        return target.references[how % 8];
      case 3:
      case 4:
      case 5:
        return target.references[how % 3] = without_hint(target.kind, target.oid);
      case 6:
        return passing_ = without_hint(target.kind, target.oid);
      default:
        return passing_ = AnyRef(target.references[how / 8 % 3]);
    }
  }

  std::uint64_t begun_ = 0;
  AnyRef passing_;
};

}  // namespace cow::testing
