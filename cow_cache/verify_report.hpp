// What a check of a store is asked, and what it answers.
//
// Thread safety: plain values.
#pragma once

#include "version.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "types.hpp"

namespace cow {

/// Something that is not as it should be.
struct VerifyFault {
  enum class Kind : std::uint8_t {
    store,     ///< by the store's own check: something is lost, altered or too much, or its witness disagrees
    order,     ///< tids do not ascend
    record,    ///< the bytes of a revision are no record: nobody can read it
    dangling,  ///< a reference leads to an object that was erased, or never was there
  };

  Kind kind = Kind::store;
  Oid oid;     ///< of a revision; else `Oid{0}`
  Tid tid;     ///< of a revision or a transaction; else `Tid{0}`
  Oid target;  ///< dangling: what it refers to
  std::string what;

  friend bool operator==(const VerifyFault&, const VerifyFault&) = default;
};

/// How far a check is.
struct VerifyProgress {
  /// In this order; a store may lack some. The last one is gone only where it matters (VerifyReport::of_garbage).
  enum class Step : std::uint8_t { chain, transactions, objects, records, what_is_reached };

  Step step = Step::chain;
  std::uint64_t done = 0;   ///< entries that this step has read
  std::uint64_t total = 0;  ///< of about so many; 0: nobody knows
};

struct VerifyOptions {
  /// Called now and then. False: stop here. May be null.
  std::function<bool(const VerifyProgress&)> progress = {};

  /// False: look at what the store keeps, and not at what it means. For programs that put other bytes than records into a store, with
  /// no Database.
  bool records = true;

  /// Faults that are kept; more are counted only.
  std::size_t most_faults = 1000;
};

struct VerifyReport {
  std::uint64_t transactions = 0;
  std::uint64_t objects = 0;  ///< that are there now
  std::uint64_t revisions = 0;
  std::uint64_t references = 0;

  /// Revisions by type whose records are whole, and their values no MessagePack. No database writes such, but a program that makes records by itself
  /// may: they are no faults. What they refer to is not seen.
  std::map<std::string, std::uint64_t> opaque;

  /// References that lead nowhere, of objects that nothing leads to: a pack has begun to collect them, and another one will go on. They are no faults.
  std::uint64_t of_garbage = 0;

  std::vector<VerifyFault> faults;
  std::uint64_t fault_count = 0;
  bool complete = true;  ///< false: `progress` has stopped it

  bool sound() const noexcept { return fault_count == 0; }

  void add(VerifyFault fault) {
    if (faults.size() < most_faults) faults.push_back(std::move(fault));
    ++fault_count;
  }

  std::size_t most_faults = 1000;  ///< as the options say
};

}  // namespace cow
