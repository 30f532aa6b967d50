// One run of the model fuzzer: operations on a database and on its model, compared after each. On a shared store they are on two
// databases, each of which sees the other's commits when it has learned of them.
//
// Thread safety: none; one thread, several interleaved transactions.
//
// Invariants:
//  1. A run is a function of its plan: the same plan does the same again. (Beside a peer how far a pack goes depends on what pollers have held
//     by then.)
//  2. Whatever differs from the model leaves as a Mismatch, which says what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "model_objects.hpp"
#include "model_operations.hpp"
#include "model_plan.hpp"
#include "model_user_code.hpp"

namespace cow::testing {

class ModelRun : private ModelUserCode {
 public:
  /// `log`, unless null, gets a line for each operation.
  ModelRun(const Plan& plan, StoreSource& source, std::vector<std::string>* log) : ModelUserCode(plan, source, log) {}

  /// Throws Mismatch, or what the library throws where it should not.
  void run() {
    make_ballast();
    begin(0, 0);
    for (std::uint32_t i = 0; i < plan_.hot_objects; ++i) create(live_[0], i * 3, i);
    commit(0);
    for (const Operation& operation : plan_.operations) {
      ++step_;
      do_operation(operation);
    }
    note([] { return "the end"; });
    end_all(false);
    close_and_check();
  }

  std::size_t step() const { return step_; }

 private:
  void do_operation(const Operation& operation) {
    auto [action, what, how] = operation;
    switch (action) {
      case Action::begin:
        return begin(what, how);
      case Action::begin_at:
        return begin_at(what, how);
      case Action::undo:
        return undo(what, how);
      case Action::pack:
        return pack_and_go_on(what, how);
      case Action::evict_all:
        return evict_all(side(what));
      case Action::pressure:
        return press(what, how);
      case Action::neighbour:
        return use_neighbour(what, how);
      case Action::reopen:
        return reopen(what);
      case Action::statistics:
        return check_statistics(side(what));
      case Action::flood:
        return flood(side(what));
      case Action::sync:
        return learn_all(side(what));
      case Action::let_poll:
        return let_poll(side(what));
      default:
        break;
    }
    if (live_.empty()) return;
    std::size_t index = how % live_.size();
    how /= 32;
    Live& live = live_[index];
    switch (action) {
      case Action::read:
        if (how % 4 == 1) return read_by_oid(live, reference(what, how));
        return read(live, reference(what, how), "read");
      case Action::read_by_all:
        return read_by_all(live, what);
      case Action::try_read:
        return try_read(live, reference(what, how));
      case Action::follow:
        return follow(live, what, how);
      case Action::write:
        return write(live, reference(what, how), how);
      case Action::erase:
        return erase(live, reference(what, how));
      case Action::create:
        return create(live, what, how);
      case Action::root_get:
        return root_get(live, what);
      case Action::root_set:
        return root_set(live, what, how);
      case Action::root_erase:
        return root_erase(live, what);
      case Action::refresh_reference:
        return refresh_reference(what, how);
      case Action::read_wrong_type:
        return read_wrong_type(live, what, how);
      case Action::commit:
        return commit(index);
      case Action::abort:
        return abort(index);
      case Action::park:
        return park(live);
      case Action::verify_held:
        return verify_held(live);
      case Action::refused_commit:
        return refused_commit(index);
      case Action::failed_load:
        return failed_load(live, reference(what, how));
      case Action::use_after_end:
        return use_after_end(index, what);
      case Action::use_while_made:
        return use_while_made(live, what, how);
      default:
        return;
    }
  }

  // --- the root's names ---

  void root_get(Live& live, std::uint32_t what) {
    std::string entry = root_name(what);
    ImagePointer root = live.model.see(kRootOid);
    live.model.note_read(kRootOid);
    auto found = root->names.find(entry);
    if (found != root->names.end() && model_.is_collected(found->second)) return;  // its own, which it cannot commit
    note([&] {
      return name(live) + " looks up root '" + entry + "'" +
             (found == root->names.end() ? ", missing" : ": " + name(found->second));
    });
    require(live.txn.root().contains(entry) == (found != root->names.end()),
            [&] { return "root().contains is wrong"; });
    Kind kind = found == root->names.end() ? Kind::node : object(found->second).kind;
    AnyRef any = without_hint(kind, {});
    try {
      std::visit(
          [&](auto& typed) {
            typed = live.txn.root().template get<typename std::decay_t<decltype(typed)>::Value>(entry);
          },
          any);
      require(found != root->names.end(), [&] { return "root().get found a missing name"; });
      require(oid_of(any) == found->second, [&] { return "root().get found " + name(oid_of(any)); });
      read(live, any, "reads by its name");
    } catch (const UnknownRootError&) {
      require(found == root->names.end(), [&] { return "root().get did not find the name"; });
    }
  }

  void root_set(Live& live, std::uint32_t what, std::uint32_t how) {
    if (objects_.empty()) return;
    Object& target = objects_[how % objects_.size()];
    if (!live.model.see(target.oid)) return;
    std::string entry = root_name(what);
    if (entry == "missing") return;
    if (refuses(live, "set a root",
                [&] { std::visit([&](auto& typed) { live.txn.root().set(entry, typed); }, target.references[0]); }))
      return;
    note([&] { return name(live) + " sets root '" + entry + "' to " + name(target.oid); });
    std::visit([&](auto& typed) { live.txn.root().set(entry, typed); }, target.references[how % 3]);
    live.model.divert(kRootOid)->names[entry] = target.oid;
    if (live.model.has_created(target.oid)) live.stored.insert(target.oid);
  }

  void root_erase(Live& live, std::uint32_t what) {
    std::string entry = root_name(what);
    bool expected = live.model.see(kRootOid)->names.contains(entry);
    if (expected && refuses(live, "erase a root", [&] { live.txn.root().erase(entry); })) return;
    note([&] { return name(live) + " erases root '" + entry + "'" + (expected ? "" : ", missing"); });
    live.model.note_read(kRootOid);
    require(live.txn.root().erase(entry) == expected, [&] { return "root().erase is wrong"; });
    if (expected) live.model.divert(kRootOid)->names.erase(entry);
  }

  static std::string root_name(std::uint32_t what) {
    static constexpr const char* kNames[] = {"first", "second", "third", "missing"};
    return kNames[what % 4];
  }

  // --- what others do ---

  void make_ballast() {
    Transaction txn = informed_side(0).db->begin();
    for (std::uint32_t i = 0; i < 60; ++i) {
      if (i % 4 == 0) {
        ballast_.push_back(txn.create(made<Large>(i)));
      } else {
        ballast_.push_back(txn.create(made<Text>(i)));
      }
    }
    model_.apply({});
    sides_.front().known = txn.commit();
    check_last_tid();
  }

  template <class T>
  static T made(std::uint32_t number) {
    T value;
    value.set(number);
    return value;
  }

  /// Another transaction reads what nobody else does, so that something must go.
  void press(std::uint32_t what, std::uint32_t how) {
    std::size_t count = 1 + what % ballast_.size();
    note([&] { return "somebody reads " + std::to_string(count) + " other objects"; });
    Transaction txn = informed_side(how).db->begin();
    for (std::size_t i = 0; i < count; ++i) {
      AnyRef& any = ballast_[(what + i) % ballast_.size()];
      std::visit([&](auto& typed) { require(txn.read(typed).number < 60, [] { return "ballast is wrong"; }); }, any);
    }
    if (what % 2 == 0) txn.commit();
  }

  void evict_all(Side& one) {
    note([&] { return "evict all" + of_side(one); });
    one.db->evict_all();
  }

  /// Nothing refers to ballast, so that goes with the garbage.
  void pack_and_go_on(std::uint32_t what, std::uint32_t how) {
    pack(what, how);
    ballast_.clear();
    make_ballast();
  }

  /// Another database of the process: its states take the slots that this one's have left, and the other way round.
  void use_neighbour(std::uint32_t what, std::uint32_t how) {
    note([] { return "the neighbour works"; });
    if (what % 8 == 0) {
      other_.reset();
      other_ =
          std::make_unique<Database>(other_store_, CacheOptions{.cache_bytes = how % 64 << 10, .limbo_bytes = 1024});
    }
    Transaction txn = other_->begin();
    for (std::uint32_t i = 0; i < what % 16; ++i) {
      switch ((how + i) % 3) {
        case 0:
          neighbours_.push_back({txn.create(made<Small>(how)), how});
          break;
        case 1:
          neighbours_.push_back({txn.create(made<Text>(how)), how});
          break;
        default:
          neighbours_.push_back({txn.create(made<Large>(how)), how});
          break;
      }
    }
    for (std::size_t i = 0; i < how % 16 && !neighbours_.empty(); ++i) {
      auto& [any, number] = neighbours_[(what + i) % neighbours_.size()];
      std::visit(
          [&, number = number](auto& typed) {
            require(txn.read(typed).number == number, [] { return "a neighbour's object is wrong"; });
          },
          any);
    }
    txn.commit();
    if (what % 16 == 1) other_->evict_all();
  }

  /// Many objects are written, so that the committer forgets what was written before, and asks the store.
  void flood(Side& one) {
    note([&] { return "somebody writes 66,000 objects" + of_side(one); });
    for (int half = 0; half < 2; ++half) {
      Transaction txn = one.db->begin();
      for (std::uint32_t i = 0; i < 33'000; ++i) (void)txn.create(made<Small>(i));
      model_.apply({});
      one.known = txn.commit();
    }
  }

  void reopen(std::uint32_t what) {
    end_all(what % 2 == 0);
    note([] { return "close, and open again"; });
    close_and_check();
    open();
    other_ = std::make_unique<Database>(other_store_, CacheOptions{.cache_bytes = 16 << 10, .limbo_bytes = 1 << 10});
    if (what % 4 < 2) return;
    begin(what, 0);
    for (Object& each : objects_) {
      AnyRef any = what % 8 < 4 ? without_hint(each.kind, each.oid) : each.references[what % 3];
      read(live_.back(), any, "reads after opening");
    }
  }

  std::vector<AnyRef> ballast_;
  std::vector<std::pair<std::variant<Ref<Small>, Ref<Text>, Ref<Large>>, std::uint32_t>> neighbours_;
};

}  // namespace cow::testing
