// Whether `Database::statistics` tells the truth: what it says the cache takes, beside what the process takes.
//
// Thread safety: one account at a time, in a process that does nothing else meanwhile.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/workloads/random.hpp"
#include "cow_cache/cow_cache.hpp"
#include "generated_store.hpp"
#include "process_memory.hpp"

namespace cow::bench {

/// One comparison; bytes.
struct Account {
  std::string shape, phase;
  double said = 0;       ///< Statistics::total_bytes
  double used = 0;       ///< growth of the process's anonymous memory, allocator's free pages given back
  double heap = 0;       ///< of what is said, heap members
  double free = 0;       ///< of what is said, free slots
  double allocator = 0;  ///< of what is used, what the allocator has resident by its own account

  /// In percent of what is used.
  double deviation() const { return std::abs(said - used) / used * 100; }
};

namespace shapes {

/// No heap members.
struct Small {
  static constexpr std::string_view cow_type_name = "accounting.Small";
  std::int64_t value = 0;
  std::array<std::int32_t, 6> more{};
  MSGPACK_DEFINE(value, more);

  static Small make(Random& random) { return {static_cast<std::int64_t>(random.next()), {}}; }
  void change(Random& random) { value = static_cast<std::int64_t>(random.next()); }
};

/// Texts of any length up to two hundred.
struct Strings {
  static constexpr std::string_view cow_type_name = "accounting.Strings";
  std::string name, street, note;
  MSGPACK_DEFINE_MAP(name, street, note);

  static Strings make(Random& random) {
    auto text = [&](std::size_t most) { return std::string(random.below(most), 'x'); };
    return {text(40), text(80), text(200)};
  }
  void change(Random& random) { note.append(random.below(100), 'y'); }
};

/// Numbers, references and an index, which grow one by one.
struct Containers {
  static constexpr std::string_view cow_type_name = "accounting.Containers";
  std::vector<std::int64_t> numbers;
  std::vector<Ref<Small>> references;
  std::map<std::string, std::int64_t> index;
  MSGPACK_DEFINE(numbers, references, index);

  static Containers make(Random& random) {
    Containers made;
    made.numbers.resize(random.below(40));
    made.references.resize(random.below(30));
    for (std::uint64_t i = random.below(8); i > 0; --i) made.index["entry " + std::to_string(random.next())] = 1;
    return made;
  }
  void change(Random& random) {
    for (std::uint64_t i = random.below(20); i > 0; --i) numbers.push_back(1);
    references.emplace_back();
    index["entry " + std::to_string(random.next())] = 2;
  }
};

/// Tens of kilobytes each.
struct Big {
  static constexpr std::string_view cow_type_name = "accounting.Big";
  std::string bytes;
  MSGPACK_DEFINE(bytes);

  static Big make(Random& random) { return {std::string(5'000 + random.below(60'000), 'x')}; }
  void change(Random& random) { bytes.append(random.below(5'000), 'y'); }
};

}  // namespace shapes

/// What is in use now, in bytes, the allocator's free pages given back.
struct Uses {
  double process, allocator;
  Uses() {
    give_back_freed_memory();
    process = static_cast<double>(process_memory().anonymous);
    allocator = static_cast<double>(allocator_resident_bytes());
  }
};

/// Loads so many bytes of objects of one shape, changes half of them, and then reads three times as many at random with
/// the same number of bytes as the budget.
template <class Shape>
void take_accounts(std::string_view shape, std::size_t bytes, const Uses& empty, std::vector<Account>& accounts) {
  GeneratedStore store([](Oid oid) {
    Random random(oid.value);
    std::string record;
    cow::detail::encode_record(Shape::make(random), record);
    return record;
  });
  auto object = [](std::uint64_t number) { return Ref<Shape>(Oid{kRootOid.value + 1 + number}); };
  auto take = [&](std::string_view phase, Database& database) {
    cow::detail::cache_of(database).reclaimer().reclaim_all();
    Uses now;
    Statistics statistics = database.statistics();
    accounts.push_back({.shape = std::string(shape),
                        .phase = std::string(phase),
                        .said = static_cast<double>(statistics.total_bytes()),
                        .used = now.process - empty.process,
                        .heap = static_cast<double>(statistics.heap_bytes),
                        .free = static_cast<double>(statistics.free_slot_bytes),
                        .allocator = now.allocator - empty.allocator});
  };
  constexpr std::uint64_t kBatch = 50;
  std::uint64_t count = 0;
  Random random(1);
  {
    Database database(store, {.cache_bytes = 8 * bytes});
    while (database.statistics().cache_bytes < bytes) {
      Transaction txn = database.begin();
      for (std::uint64_t i = 0; i < kBatch; ++i) (void)txn.read(object(count++));
    }
    take("loaded", database);
    for (std::uint64_t number = 0; number < count; number += 2 * kBatch) {
      database.transact([&](Transaction& txn) {
        for (std::uint64_t i = number; i < std::min(count, number + kBatch); ++i) txn.write(object(i)).change(random);
      });
    }
    take("changed", database);
  }
  Database database(store, {.cache_bytes = bytes});
  for (std::uint64_t reads = 0; reads < 6 * count; reads += kBatch) {
    Transaction txn = database.begin();
    for (std::uint64_t i = 0; i < kBatch; ++i) (void)txn.read(object(random.below(3 * count)));
  }
  take("at its budget", database);
}

/// Accounts of several shapes with so many bytes each.
inline std::vector<Account> take_accounts(std::size_t bytes) {
  std::vector<Account> accounts;
  const Uses empty;
  take_accounts<shapes::Small>("small", bytes, empty, accounts);
  take_accounts<shapes::Strings>("strings", bytes, empty, accounts);
  take_accounts<shapes::Containers>("containers", bytes, empty, accounts);
  take_accounts<shapes::Big>("big", bytes, empty, accounts);
  return accounts;
}

}  // namespace cow::bench
