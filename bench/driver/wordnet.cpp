// The WordNet workload as an experiment.

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"

namespace cow::bench {

namespace {

/// Returns false if WordNet was there already.
template <ObjectDatabase Database>
bool import_if_absent(Database& database, const wordnet::Files& files) {
  if (wordnet::is_imported(database)) return false;
  Progress progress("importing WordNet");
  wordnet::Importer<Database>(database, files).run([&](std::uint64_t done, std::uint64_t all) { progress(done, all); });
  return true;
}

template <ObjectDatabase Database>
Measurement measure(const ExperimentOptions& options) {
  System<Database> system(options);
  Database& database = system.database();
  wordnet::MixOptions mix{options.write_share, options.closure_limit, options.seed};
  const wordnet::Words words = [&] {  // the files are forgotten before memory is measured
    const wordnet::Files files(wordnet::locate(options.wordnet));
    import_if_absent(database, files);
    return wordnet::Words(files, options.seed);
  }();
  if (options.read_all) {
    std::atomic<std::uint64_t> objects = 0;
    Measurement measurement = each_session_once(database, options, [&](Session<Database>& session) {
      const wordnet::Everything all = wordnet::read_everything<Database>(session);
      check_totals(wordnet::published_totals(), all.totals);
      objects.store(all.objects, std::memory_order_relaxed);  // the same for every session
    });
    measurement.figures["objects"] = objects.load();
    return measurement;
  }
  std::vector<wordnet::Worker<Database>> workers;
  for (std::uint32_t i = 0; i < options.threads; ++i) workers.emplace_back(words, mix, i);

  Measurement measurement = closed_loop(database, options, workers);

  wordnet::WorkDone done;
  for (const auto& worker : workers) done += worker.done();
  auto session = open_session(database);
  wordnet::check_edits<Database>(session, workers);
  wordnet::verify<Database>(session);
  const double operations = done.operations == 0 ? 1 : static_cast<double>(done.operations);
  measurement.figures["edits"] = done.edits;
  measurement.figures["senses_per_operation"] = static_cast<double>(done.senses) / operations;
  measurement.figures["path_synsets_per_operation"] = static_cast<double>(done.path_synsets) / operations;
  measurement.figures["closure_synsets_per_operation"] = static_cast<double>(done.closure_synsets) / operations;
  return measurement;
}

}  // namespace

Measurement run_wordnet(const ExperimentOptions& options) {
  return with_system(options.cache,
                     [&]<class Database>(std::type_identity<Database>) { return measure<Database>(options); });
}

void import_wordnet(const ExperimentOptions& options) {
  using Database = BasicDatabase<cow::detail::SharedCache>;
  System<Database> system(options);
  const wordnet::Files files(wordnet::locate(options.wordnet));
  const bool imported = import_if_absent(system.database(), files);
  auto session = open_session(system.database());
  const wordnet::Everything all = wordnet::verify<Database>(session);
  std::printf("%s: %ju synsets, %ju lemmas, %ju senses, %ju pointers; %ju objects, verified\n",
              imported ? "imported" : "there already", static_cast<std::uintmax_t>(all.totals.all_synsets()),
              static_cast<std::uintmax_t>(all.totals.all_lemmas()), static_cast<std::uintmax_t>(all.totals.senses),
              static_cast<std::uintmax_t>(all.totals.pointers), static_cast<std::uintmax_t>(all.objects));
}

}  // namespace cow::bench
