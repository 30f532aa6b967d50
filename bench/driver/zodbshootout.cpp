// zodbshootout as an experiment: every region once, one worker per thread.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "bench/workloads/zodbshootout/zodbshootout.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  System<Database> system(options);
  zodbshootout::Parameters parameters{options.threads, options.objects, options.item_bytes, options.seed};
  Measurement measurement;
  give_back_freed_memory();
  measurement.memory_before = process_memory();
  zodbshootout::Shootout<Database, System<Database>> shootout(parameters, system);
  for (const zodbshootout::Region& region : shootout.run(!system.forgets())) {
    measurement.operations += region.operations;
    measurement.duration_s += region.seconds;
    measurement.aborts += region.aborts;
    measurement.store_loads += region.loads;
    measurement.figures[region.name] = {{"per_second", region.per_second()},
                                        {"seconds", region.seconds},
                                        {"operations", region.operations},
                                        {"aborts", region.aborts},
                                        {"loads", region.loads}};
  }
  const auto statistics = system.database().statistics();
  measurement.memory = process_memory();
  measurement.cache_bytes = statistics.cache_bytes;
  measurement.limbo_bytes = statistics.limbo_bytes;
  return measurement;
}

}  // namespace

Measurement run_zodbshootout(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

}  // namespace cow::bench
