// What must be kept for transactions that sleep: versions by rule, counted, and the same of a cache that runs, under several
// reclaimers. Then each sleeper wakes and reads again what it had read, and more, at its snapshot: every value is compared with a
// model, and what was let go is loaded again, at a cost.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/ablation/own_schemes.hpp"
#include "bench/ablation/session.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/workload_error.hpp"
#include "persistence/memory_store.hpp"
#include "pinned_plan.hpp"
#include "pinned_simulation.hpp"
#include "probe.hpp"

namespace cow::bench {
namespace {

/// The update that has written it last.
struct Cell {
  static constexpr std::string_view cow_type_name = "probes.Cell";
  std::uint64_t update = 0;
  MSGPACK_DEFINE(update);
};

/// Every value that an object has had, and from which update on.
class Histories {
 public:
  explicit Histories(std::uint32_t objects) : updates_(objects) {}
  void add(std::uint32_t object, std::uint64_t update) { updates_[object].push_back(update); }
  std::uint64_t value_at(std::uint32_t object, std::uint64_t time) const {
    const std::vector<std::uint64_t>& all = updates_[object];
    auto next = std::upper_bound(all.begin(), all.end(), time);
    return next == all.begin() ? 0 : *std::prev(next);
  }

 private:
  std::vector<std::vector<std::uint64_t>> updates_;
};

struct Outcome {
  std::uint64_t pinned = 0;  ///< states that are left when everything that nobody holds has been evicted
  std::uint64_t pinned_bytes = 0, resident_bytes = 0;  ///< before that: what was in the cache and in limbo
  std::uint64_t rereads = 0, hits = 0, loaded = 0, wrong = 0, aborted = 0;
  double update_s = 0, hit_s = 0, reread_s = 0;
};

class Run {
 public:
  Run(const Scheme& scheme, const PinnedPlan& plan, const PinnedVersionsOptions& options)
      : scheme_(scheme), plan_(plan), options_(options), histories_(plan.objects) {
    Database database(store_);
    database.transact([&](Transaction& txn) {
      for (std::uint32_t i = 0; i < plan.objects; ++i) cells_.push_back(txn.create(Cell{}));
    });
  }

  Outcome measure() {
    Membership member(scheme_);
    // Room for all that is resident, so that nothing is evicted but when this says so.
    Database database(store_, {.cache_bytes = std::size_t{2} << 30, .reclaimer = scheme_.make});
    warm(database);
    update(database);
    Statistics before = database.statistics();
    outcome_.resident_bytes = before.cache_bytes + before.limbo_bytes;
    database.evict_all();
    // The scheme of epochs looks into the logs when it is asked for all: what it keeps of itself is what was there before.
    outcome_.pinned_bytes = scheme_.bound == Bound::none ? outcome_.resident_bytes : database.statistics().limbo_bytes;
    outcome_.pinned = outcome_.pinned_bytes / charge_;
    wake_all(database);
    return outcome_;
  }

 private:
  struct Sleeper {
    explicit Sleeper(Database& database) : session(database) { session.begin(); }
    AttachedSession session;
    std::uint64_t began = 0;
  };

  void warm(Database& database) {
    AttachedSession session(database);
    session.begin();
    for (const Ref<Cell>& cell : cells_) session.read(cell, [](const Cell&) {});
    charge_ = database.statistics().cache_bytes / cells_.size();  // all of them have the same
  }

  void update(Database& database) {
    std::size_t begun = 0;
    auto begin_those_due = [&](std::uint64_t time) {
      for (; begun < plan_.reads.size() && plan_.begin_of(begun) == time; ++begun) begin_sleeper(database, begun, time);
    };
    AttachedSession writer(database);
    begin_those_due(0);
    outcome_.update_s = seconds_of([&] {
      std::uint64_t time = 0;
      for (std::uint32_t object : plan_.updates) {
        ++time;
        writer.begin();
        writer.write(cells_[object], [&](Cell& cell) { cell.update = time; });
        writer.commit();
        writer.abort();
        histories_.add(object, time);
        begin_those_due(time);
      }
    });
  }

  void begin_sleeper(Database& database, std::size_t number, std::uint64_t time) {
    sleepers_.push_back(std::make_unique<Sleeper>(database));
    Sleeper& sleeper = *sleepers_.back();
    sleeper.began = time;
    for (std::uint32_t object : plan_.reads[number]) read(sleeper, object);
    sleeper.session.will_sleep();
  }

  /// In the order in which they went to sleep.
  void wake_all(Database& database) {
    const std::uint64_t others =
        std::min<std::uint64_t>(plan_.objects, options_.rereads / std::max<std::size_t>(1, sleepers_.size()));
    std::vector<bool> is_loaded(plan_.objects);  // by a sleeper since the last eviction
    for (std::size_t number = 0; number < sleepers_.size(); ++number) {
      Sleeper& sleeper = *sleepers_[number];
      // All of them, or as many from somewhere on.
      const std::uint64_t first = others == plan_.objects ? 0 : number * 7919 % plan_.objects;
      auto object_at = [&](std::uint64_t i) { return static_cast<std::uint32_t>((first + i) % plan_.objects); };
      // It finds nothing of what others have loaded. (An eviction after each of thousands would go through all of limbo as often.)
      const auto range = std::views::iota(std::uint64_t{0}, others);
      if (std::ranges::any_of(range, [&](std::uint64_t i) { return is_loaded[object_at(i)]; })) {
        database.evict_all();
        is_loaded.assign(plan_.objects, false);
      }
      for (std::uint64_t i : range) is_loaded[object_at(i)] = true;
      try {
        outcome_.hit_s += seconds_of([&] {
          for (std::uint32_t object : plan_.reads[number]) read(sleeper, object);
        });
        outcome_.hits += plan_.reads[number].size();
        Statistics before = database.statistics();
        outcome_.reread_s += seconds_of([&] {
          for (std::uint64_t i : range) read(sleeper, object_at(i));
        });
        Statistics after = database.statistics();
        outcome_.rereads += others;
        outcome_.loaded += after.loads + after.old_loads - before.loads - before.old_loads;
      } catch (const SnapshotTooOldError&) {
        ++outcome_.aborted;
      }
      sleepers_[number].reset();
    }
  }

  void read(Sleeper& sleeper, std::uint32_t object) {
    sleeper.session.read(cells_[object], [&](const Cell& cell) {
      outcome_.wrong += cell.update != histories_.value_at(object, sleeper.began);
    });
  }

  const Scheme& scheme_;
  const PinnedPlan& plan_;
  const PinnedVersionsOptions& options_;
  MemoryStore store_;
  Histories histories_;
  std::vector<Ref<Cell>> cells_;
  std::vector<std::unique_ptr<Sleeper>> sleepers_;
  std::size_t charge_ = 0;
  Outcome outcome_;
};

nlohmann::json point_of(const PinnedVersionsOptions& options, const char* kind) {
  return {{"kind", kind},
          {"updates", options.zipf > 0 ? "zipf" : "uniform"},
          {"sleepers", options.sleepers},
          {"objects", options.objects},
          {"commits", options.updates},
          {"reads", options.reads}};
}

void simulate(const PinnedVersionsOptions& options, const PinnedCounts& counts, std::vector<nlohmann::json>& rows) {
  for (const auto& [rule, kept] : {std::pair{"epochs", counts.epochs},
                                   {"interval", counts.interval},
                                   {"visible", counts.visible},
                                   {"hybrid", counts.logged}}) {
    nlohmann::json row = probe_row(options, rule, "pinned-versions", point_of(options, "counted"));
    row["operations"] = options.updates;
    row["figures"] = {{"superseded", kept.superseded}, {"newest", kept.newest}};
    rows.push_back(std::move(row));
    fmt::print("counted  {:<10} {:>6} sleepers: {:>9} superseded versions kept, and {:>6} newest ones\n", rule,
               options.sleepers, kept.superseded, kept.newest);
  }
}

/// Throws WrongAnswerError unless a scheme has pinned what its class says.
void check_pinned(const Scheme& scheme, const PinnedCounts& counts, std::uint64_t pinned) {
  auto sum = [](const Kept& kept) { return kept.superseded + kept.newest; };
  const std::string what = fmt::format("{}: states pinned", scheme.name);
  switch (scheme.bound) {
    case Bound::none:
      return check_count(what, sum(counts.epochs), pinned);
    case Bound::logged:
      return check_count(what, sum(counts.logged), pinned);
    case Bound::visible:
      // More than those: a superseded version may be retired late (a long chain is not looked through at each commit), and what is
      // compared is its retirement.
      if (pinned >= sum(counts.visible) && pinned <= sum(counts.epochs)) return;
      throw WrongAnswerError(
          fmt::format("{}: {} is not between {} and {}", what, pinned, sum(counts.visible), sum(counts.epochs)));
    case Bound::budget:
      return;  // who has been aborted pins nothing
  }
}

void run(const Scheme& scheme, const PinnedVersionsOptions& options, const PinnedPlan& plan, const PinnedCounts& counts,
         std::vector<nlohmann::json>& rows) {
  Outcome outcome = Run(scheme, plan, options).measure();
  check_count(fmt::format("{}: values that are not the snapshot's", scheme.name), 0, outcome.wrong);
  check_pinned(scheme, counts, outcome.pinned);
  auto each_ns = [](double seconds, std::uint64_t count) {
    return count == 0 ? 0 : 1e9 * seconds / static_cast<double>(count);
  };
  nlohmann::json row = probe_row(options, std::string(scheme.name), "pinned-versions", point_of(options, "run"));
  row["operations"] = options.updates;
  row["duration_s"] = outcome.update_s;
  row["aborts"] = outcome.aborted;
  row["figures"] = {{"pinned", outcome.pinned},
                    {"pinned_bytes", outcome.pinned_bytes},
                    {"resident_bytes", outcome.resident_bytes},
                    {"rereads", outcome.hits + outcome.rereads},
                    {"woken_rereads", outcome.rereads},
                    {"records_loaded", outcome.loaded},
                    {"wrong", outcome.wrong},
                    {"aborted", outcome.aborted},
                    {"ns_per_update", each_ns(outcome.update_s, options.updates)},
                    {"ns_per_hit", each_ns(outcome.hit_s, outcome.hits)},
                    {"ns_per_reread", each_ns(outcome.reread_s, outcome.rereads)}};
  fmt::print(
      "run      {:<10} {:>6} sleepers: {:>9} pinned; woken, {:>8} of theirs again: {} wrong, {:.0f} ns each; {:>8} "
      "others: {:.0f} ns each, "
      "{} records loaded; {} aborted; {:.0f} ns an update\n",
      scheme.name, options.sleepers, outcome.pinned, outcome.hits, outcome.wrong, each_ns(outcome.hit_s, outcome.hits),
      outcome.rereads, each_ns(outcome.reread_s, outcome.rereads), outcome.loaded, outcome.aborted,
      each_ns(outcome.update_s, options.updates));
  rows.push_back(std::move(row));
}

}  // namespace

void probe_pinned_versions(const PinnedVersionsOptions& options) {
  const PinnedPlan plan = make_plan(options);
  const PinnedCounts counts = PinnedSimulation(plan).count();
  std::vector<nlohmann::json> rows;
  simulate(options, counts, rows);
  for (const Scheme& scheme : own_schemes()) {
    if (std::ranges::find(options.reclaimers, scheme.name) != options.reclaimers.end())
      run(scheme, options, plan, counts, rows);
  }
  append_rows(options.output, rows);
}

}  // namespace cow::bench
