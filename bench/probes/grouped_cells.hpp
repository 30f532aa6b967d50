// GroupedCells: objects whose values tell whether a reader has seen one snapshot, and the one that it should.
//
// Thread safety: `write` by any number of threads, each on groups of its own; `check_one_snapshot` by any thread; the rest while nobody writes.
//
// Each commit writes its number into all objects of a group. So
//  1. the objects of a group have the same number at any snapshot;
//  2. a transaction sees a number that is not below the last one whose commit had returned before it began;
//  3. whatever it has read it finds again, whoever has committed meanwhile and whatever was reclaimed.
// A state that was freed while somebody could still read it shows as another number, for its slot is used again by a later commit.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "bench/ablation/session.hpp"
#include "bench/workloads/workload_error.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

/// The number of the commit that has written it last.
struct NumberedCell {
  static constexpr std::string_view cow_type_name = "probes.NumberedCell";
  std::uint64_t commit = 0;
  MSGPACK_DEFINE(commit);
};

class GroupedCells {
 public:
  static constexpr std::uint32_t kGroups = 1'000, kInGroup = 20;

  /// All of them with 0.
  explicit GroupedCells(MemoryStore& store) : committed_(std::make_unique<std::atomic<std::uint64_t>[]>(kGroups)) {
    Database database(store);
    database.transact([&](Transaction& txn) {
      for (std::uint32_t i = 0; i < kGroups * kInGroup; ++i) cells_.push_back(txn.create(NumberedCell{}));
    });
  }

  std::uint32_t count() const noexcept { return kGroups * kInGroup; }

  /// A transaction that reads all of them and ends: nothing is loaded while it is timed.
  void warm(Database& database) const {
    AttachedSession session(database);
    session.begin();
    for (const Ref<NumberedCell>& cell : cells_) session.read(cell, [](const NumberedCell&) {});
  }

  /// Commits a number that the group has not had, in a transaction of its own. REQUIRES: the session has none open.
  void write(AttachedSession& session, std::uint32_t group) {
    const std::uint64_t number = last_number_.fetch_add(1, std::memory_order_relaxed) + 1;
    session.begin();
    for (std::uint32_t i = 0; i < kInGroup; ++i)
      session.write(cells_[group * kInGroup + i], [&](NumberedCell& cell) { cell.commit = number; });
    session.commit();
    session.abort();
    committed_[group].store(number, std::memory_order_release);  // pairs with the load in `last_committed`
  }

  std::uint64_t last_committed(std::uint32_t group) const noexcept {
    return committed_[group].load(std::memory_order_acquire);
  }

  /// The number that a group has in a transaction, which all of its objects have. Throws WrongAnswerError; `use` is called within each read.
  template <class Use>
  std::uint64_t read(AttachedSession& session, std::uint32_t group, Use&& use) const {
    std::uint64_t number = 0;
    for (std::uint32_t i = 0; i < kInGroup; ++i) {
      session.read(cells_[group * kInGroup + i], [&](const NumberedCell& cell) {
        if (i == 0) number = cell.commit;
        if (cell.commit != number) throw WrongAnswerError("a reader has seen two commits of one group at one snapshot");
        use();
      });
    }
    return number;
  }
  std::uint64_t read(AttachedSession& session, std::uint32_t group) const {
    return read(session, group, [] {});
  }

  /// A transaction that reads some groups, and the first of them again. Returns the reads, each of which was checked. Throws
  /// WrongAnswerError.
  std::uint64_t check_one_snapshot(AttachedSession& session, std::mt19937_64& dice) const {
    constexpr std::uint32_t kRead = 5;
    const auto first = static_cast<std::uint32_t>(dice() % kGroups);
    const std::uint64_t at_least = last_committed(first);
    session.begin();
    const std::uint64_t number = read(session, first);
    if (number < at_least)
      throw WrongAnswerError("a transaction has not seen a commit that had returned before it began");
    for (std::uint32_t i = 1; i < kRead; ++i) read(session, static_cast<std::uint32_t>(dice() % kGroups));
    if (read(session, first) != number)
      throw WrongAnswerError("a transaction has read a group again and found it changed");
    session.abort();
    return std::uint64_t{kRead + 1} * kInGroup;
  }

  /// Nothing that was committed is lost. Throws WrongAnswerError.
  void check_newest(Database& database) const {
    AttachedSession session(database);
    session.begin();
    for (std::uint32_t group = 0; group < kGroups; ++group)
      check_count("the last commit of a group", last_committed(group), read(session, group));
  }

 private:
  std::vector<Ref<NumberedCell>> cells_;
  std::unique_ptr<std::atomic<std::uint64_t>[]>
      committed_;  // of each group, by its writer, after the commit has returned
  std::atomic<std::uint64_t> last_number_{0};
};

}  // namespace cow::bench
