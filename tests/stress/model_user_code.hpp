// User code in the model fuzzer: codecs and copy constructors that use the transaction that has called them.
//
// Thread safety: none; one thread.
//
// Invariants:
//  1. While an object is decoded, everything but a read is refused, and changes nothing; while one is copied, others may be written.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <variant>

#include "cow_cache/cow_cache.hpp"
#include "model_objects.hpp"
#include "model_operations.hpp"

namespace cow::testing {

class ModelUserCode : protected ModelOperations {
 protected:
  using ModelOperations::ModelOperations;

  /// The codec of an object, or its copy constructor, uses the very transaction that reads or writes it.
  void use_while_made(Live& live, std::uint32_t what, std::uint32_t how) {
    if (objects_.size() < 2) return;
    AnyRef any = reference(what, how);
    const Oid made = oid_of(any);
    std::exception_ptr mismatch;  // not to be taken for a fault of the record
    Counted::when_made = [&](bool copies) {
      try {
        use_meanwhile(live, made, copies, what / 16, how / 16);
      } catch (...) {
        mismatch = std::current_exception();
      }
    };
    struct Forget {
      ~Forget() { Counted::when_made = nullptr; }  // if no value was made
    } forget;
    how % 2 == 0 ? read(live, any, "reads, and uses meanwhile,") : write(live, any, how);
    if (mismatch) std::rethrow_exception(mismatch);
  }

  void use_meanwhile(Live& live, Oid made, bool copies, std::uint32_t what, std::uint32_t how) {
    Object& target = pick(what);
    if (target.oid == made) return;
    AnyRef other = how % 2 == 0 ? without_hint(target.kind, target.oid) : AnyRef(target.references[how / 2 % 3]);
    auto refused = [&](const char* does, auto&& use) {
      note([&] { return name(live) + " " + does + " while " + name(made) + (copies ? " is copied" : " is decoded"); });
      try {
        use();
      } catch (const TransactionBusyError& error) {
        require(error.oid == made, [&] { return std::string("another object is made: ") + error.what(); });
        return;
      } catch (const ReadOnlyTransactionError&) {
        if (live.model.is_past()) return;
        throw;
      }
      throw Mismatch("that was not refused");
    };
    switch (how / 8 % 7) {
      case 0:
        return refused("commits", [&] { live.txn.commit(); });
      case 1:
        return refused("is about to sleep", [&] { live.txn.will_sleep(); });
      case 2:
        if (copies) return create(live, what, how);
        return refused("creates", [&] { (void)live.txn.create(Small()); });
      case 3:
        if (copies) return erase(live, other);
        return refused("erases", [&] { std::visit([&](auto& typed) { live.txn.erase(typed); }, other); });
      case 4:
        if (copies) return write(live, other, how);
        return refused("writes", [&] { std::visit([&](auto& typed) { (void)live.txn.write(typed); }, other); });
      case 5: {
        note([&] { return name(live) + " is moved, and back"; });
        Transaction moved = std::move(live.txn);
        live.txn = std::move(moved);
        return;
      }
      default:
        return read(live, other, "reads meanwhile");
    }
  }
};

}  // namespace cow::testing
