// What each part of a hit costs: the real reader, and the same with one part removed at a time, interleaved in one process
// on the same states. Beside them plain pointers, on objects of their own.
//
// A pass follows the whole chain, or is one traversal of OO7. It is measured in a transaction that has made it before
// ("repeated") and as a transaction of its own ("first"), because the parts differ: what is in the log need not be looked
// at again.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/thread_time.hpp"
#include "bench/workloads/chase.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "bench/workloads/workload_error.hpp"
#include "hit_cost_reader.hpp"
#include "probe.hpp"

namespace cow::bench {

using cow::detail::SharedCache;

namespace {

/// One variant of the read path on one workload.
struct Variant {
  std::string name;
  std::function<double(std::uint64_t passes)> repeated, first;  ///< seconds of a pass
};

/// A function of its own: the same machine code whatever is around it, and a transaction that lives in memory, as one does
/// that a program hands from function to function. Where the compiler sees both, a chase over 100 objects takes one cycle
/// of its four more or less by chance.
template <class Transaction, class Pass>
[[gnu::noinline]] void make_pass(Transaction& txn, Pass& pass) {
  pass(txn);
  if constexpr (requires { txn.end_pass(); }) txn.end_pass();
}

/// `begin()` returns a transaction; `pass(txn)` makes a pass and throws if its counts are wrong.
template <class Begin, class Pass>
Variant variant(std::string name, Begin begin, Pass pass) {
  return {.name = std::move(name),
          .repeated =
              [begin, pass](std::uint64_t passes) mutable {
                auto&& txn = begin();
                make_pass(txn, pass);
                double seconds = processor_seconds_of([&] {
                  for (std::uint64_t i = 0; i < passes; ++i) make_pass(txn, pass);
                });
                return seconds / static_cast<double>(passes);
              },
          .first =
              [begin, pass](std::uint64_t passes) mutable {
                {
                  auto&& txn = begin();
                  make_pass(txn, pass);  // another variant was here before: the processor's caches have its things
                }
                double seconds = processor_seconds_of([&] {
                  for (std::uint64_t i = 0; i < passes; ++i) {
                    auto&& txn = begin();
                    make_pass(txn, pass);
                  }
                });
                return seconds / static_cast<double>(passes);
              }};
}

// ---- workloads

/// The chase over `objects` objects.
struct ChaseWorkload {
  std::size_t objects;

  std::string name() const { return fmt::format("chase-{}", objects); }

  template <class Database>
  class Passes {
   public:
    using Node = chase::Node<typename Database::Pointers>;
    using Start = typename Node::template Ref<Node>;

    Passes(const ChaseWorkload& workload, const Start& start) : start_(start), at_(start), objects_(workload.objects) {}

    /// Goes on where the last pass came to, which is the start again; but a processor that knew this beforehand would run
    /// several passes at once.
    template <class Transaction>
    void operator()(Transaction& txn) {
      const Start* at = chase::follow(txn, &at_, objects_);
      at_ = *at;
      keep(at_);  // or the compiler takes the start's own address, once it has compared the two
      if (at_ != start_) throw WrongAnswerError("the chase did not come back to its start");
    }

   private:
    Start start_, at_;
    std::size_t objects_;
  };
};

/// A traversal of OO7's small module.
template <oo7::Operation kOperation>
struct Oo7Workload {
  std::string name() const { return kOperation == oo7::Operation::t1 ? "oo7-T1" : "oo7-T6"; }

  template <class Database>
  class Passes {
   public:
    Passes() : traverser_(std::make_shared<oo7::Traverser<Database>>(oo7::Parameters::small())) {}

    template <class Transaction>
    void operator()(Transaction& txn) {
      oo7::Result result = traverser_->template traverse<kOperation>(txn);
      oo7::check(traverser_->expected(kOperation), result);
      if (*checksum_ != 0)
        check_count("checksum of the traversal", *checksum_, static_cast<std::uint64_t>(result.checksum));
      *checksum_ = static_cast<std::uint64_t>(result.checksum);
    }

   private:
    std::shared_ptr<oo7::Traverser<Database>> traverser_;
    std::shared_ptr<std::uint64_t> checksum_ = std::make_shared<std::uint64_t>(0);
  };
};

// ---- measuring

/// The real reader on `system`, and all variants on the same states. `passes_on(type)` makes the passes of a database.
template <class PassesOn>
class Probe {
 public:
  Probe(InMemory<SharedCache>& system, RawInMemory& raw, PassesOn passes_on) : holder_(system.database.begin()) {
    auto shared = passes_on(std::type_identity<Database>{});
    shared(holder_);  // sets every hint, and holds what it reads
    residents_.emplace(system.database, system.store, holder_.read(Transaction::root_reference()));
    variants_.push_back(variant(
        "shared", [&] { return system.database.begin(); }, shared));
    add<Everything>("everything", passes_on);
    add<WithoutLog>("no-log", passes_on);
    add<HashOnly>("hash-log", passes_on);
    add<BitmapOnly>("bitmap-log", passes_on);
    add<WithoutVisited>("no-visited", passes_on);
    add<WithoutInterval>("no-interval", passes_on);
    add<WithoutHint>("no-hint", passes_on);
    add<WithoutDecode>("no-decode", passes_on);
    add<KeyOnly>("key-only", passes_on);
    add<HintOnly>("hint-only", passes_on);
    auto plain = passes_on(std::type_identity<RawDatabase>{});
    variants_.push_back(variant(
        "raw", [&] { return raw.database.begin(); }, plain));
    ProbeTransaction<Counting> counting(*residents_);
    passes_on(std::type_identity<ProbeDatabase<Counting>>{})(counting);
    reads_ = counting.reads();
    log_is_bitmap_ = counting.log_is_bitmap();
  }
  ~Probe() {
    HashLog::forget();
    BitmapLog::forget();
  }

  void measure(const HitCostOptions& options, const std::string& workload, std::vector<nlohmann::json>& rows,
               Progress& progress, int done, int all) {
    std::vector<std::function<double()>> sides;
    for (const Variant& one : variants_) {
      for (const auto* pass : {&one.repeated, &one.first}) {
        // So many passes that a sample lasts as long as asked for.
        double seconds = std::max((*pass)(1), 1e-9);
        auto passes = static_cast<std::uint64_t>(std::clamp(options.sample_s / seconds, 1.0, 1e7));
        sides.push_back([pass, passes] { return (*pass)(passes); });
      }
    }
    progress(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(all));
    std::vector<std::vector<double>> seconds = measure_interleaved(options.rounds, sides, options.seed);
    for (std::size_t i = 0; i < sides.size(); ++i) {
      std::string mode = i % 2 == 0 ? "repeated" : "first";
      nlohmann::json row =
          probe_row(options, variants_[i / 2].name, workload, {{"workload", workload}, {"reads", mode}});
      double pass = median(seconds[i]), per_read = pass * 1e9 / static_cast<double>(reads_);
      row["operations"] = reads_;
      row["duration_s"] = pass;
      row["figures"] = {{"ns_per_read", per_read},
                        {"ratio_to_everything", ratio_to("everything", seconds, i)},
                        {"ratio_to_raw", ratio_to("raw", seconds, i)},
                        {"us_per_pass", pass * 1e6},
                        {"reads_per_pass", reads_},
                        {"states", residents_->count()},
                        {"log_is_bitmap", log_is_bitmap_}};
      fmt::print("{:<12} {:<9} {:<12} {:>9.2f} ns per read, {:>11.1f} us per pass\n", workload, mode,
                 variants_[i / 2].name, per_read, pass * 1e6);
      rows.push_back(std::move(row));
    }
  }

 private:
  template <class Features>
  void add(std::string name, PassesOn& passes_on) {
    variants_.push_back(variant(
        std::move(name), [this] { return ProbeTransaction<Features>(*residents_); },
        passes_on(std::type_identity<ProbeDatabase<Features>>{})));
  }

  /// Round by round, against another variant in the same mode: what disturbs a round disturbs both.
  double ratio_to(std::string_view other, const std::vector<std::vector<double>>& seconds, std::size_t side) const {
    std::size_t reference = side % 2;
    while (variants_[reference / 2].name != other) reference += 2;
    return median_ratio(seconds[side], seconds[reference]);
  }

  Transaction holder_;
  std::optional<Residents> residents_;
  std::vector<Variant> variants_;
  std::uint64_t reads_ = 0;
  bool log_is_bitmap_ = false;
};

template <class PassesOn>
Probe(InMemory<SharedCache>&, RawInMemory&, PassesOn) -> Probe<PassesOn>;

}  // namespace

void probe_hit_cost(const HitCostOptions& options) {
  start_a_thread_once();
  std::vector<nlohmann::json> rows;
  Progress progress("cost of a hit");
  const int all = options.small_chases ? 1 : 4;
  int done = 0;
  auto measure = [&](InMemory<SharedCache>& system, RawInMemory& raw, const std::string& name, auto passes_on) {
    Probe probe(system, raw, passes_on);
    probe.measure(options, name, rows, progress, done++, all);
  };
  for (std::size_t objects :
       options.small_chases ? std::vector<std::size_t>{100} : std::vector<std::size_t>{100, 10'000}) {
    InMemory<SharedCache> system;
    RawInMemory raw;
    ChaseWorkload workload{objects};
    auto shared_start = chase::build<Database>(system.session, objects);
    auto raw_start = chase::build<RawDatabase>(raw.session, objects);
    {
      // Twice around, and every hint is right, that of the last reference too, where a pass ends without following it.
      Transaction txn = system.database.begin();
      (void)chase::follow(txn, &shared_start, 2 * objects);
    }
    measure(system, raw, workload.name(), [&]<class Chosen>(std::type_identity<Chosen>) {
      if constexpr (std::is_same_v<Chosen, RawDatabase>) {
        return ChaseWorkload::Passes<Chosen>(workload, raw_start);
      } else {
        return ChaseWorkload::Passes<Chosen>(workload, shared_start);
      }
    });
  }
  if (!options.small_chases) {
    // The cache loads the objects in the order in which it first reads them, as after any start.
    auto fill = [](auto& database) { oo7::generate(database, oo7::Parameters::small()); };
    InMemory<SharedCache> system(fill);
    RawInMemory raw(fill);
    auto measure_operation = [&]<oo7::Operation kOperation>(Oo7Workload<kOperation> workload) {
      measure(system, raw, workload.name(), [&]<class Chosen>(std::type_identity<Chosen>) {
        return typename Oo7Workload<kOperation>::template Passes<Chosen>();
      });
    };
    // T6's objects lie among those of T1, as in any program that does both.
    measure_operation(Oo7Workload<oo7::Operation::t1>{});
    measure_operation(Oo7Workload<oo7::Operation::t6>{});
  }
  append_rows(options.output, rows);
}

}  // namespace cow::bench
