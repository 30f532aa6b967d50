// The WordNet workload as an experiment.

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "bench/support/progress.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "systems.hpp"
#include "workload.hpp"

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

struct WordnetOptions {
  std::filesystem::path folder;  ///< of its files; empty: where Debian has them
  std::size_t closure_limit = 1'000;
  bool read_all = false;  ///< every session reads everything once, in place of the timed mix
};

template <ObjectDatabase Database>
Measurement run(const ExperimentOptions& options, const WordnetOptions& own) {
  System<Database> system(options);
  Database& database = system.database();
  wordnet::MixOptions mix{options.write_share, own.closure_limit, options.seed};
  const wordnet::Words words = [&] {  // the files are forgotten before memory is measured
    const wordnet::Files files(wordnet::locate(own.folder));
    import_if_absent(database, files);
    return wordnet::Words(files, options.seed);
  }();
  if (own.read_all) {
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

class Wordnet final : public Workload {
 public:
  void add_options(CLI::App& own) override {
    add_wordnet_folder(own, own_.folder);
    own.add_option("--closure-limit", own_.closure_limit, "Hyponyms collected at most")->capture_default_str();
    own.add_flag("--read-all", own_.read_all, "Every session reads all of it once, in place of the timed mix");
  }

  nlohmann::json parameters(const ExperimentOptions&) const override {
    return {{"closure_limit", own_.closure_limit}, {"keys", "true Zipf, theta 0.99"}, {"read_all", own_.read_all}};
  }

  bool writes(const ExperimentOptions& options) const override { return options.write_share > 0; }

  bool is_timed() const override { return !own_.read_all; }

  Measurement measure(const ExperimentOptions& options) const override {
    return with_system(options.cache,
                       [&]<class Database>(std::type_identity<Database>) { return run<Database>(options, own_); });
  }

 private:
  WordnetOptions own_;
};

}  // namespace

std::unique_ptr<Workload> make_wordnet() { return std::make_unique<Wordnet>(); }

void import_wordnet(const ExperimentOptions& options, const std::filesystem::path& folder) {
  using Database = BasicDatabase<cow::detail::SharedCache>;
  System<Database> system(options);
  const wordnet::Files files(wordnet::locate(folder));
  const bool imported = import_if_absent(system.database(), files);
  auto session = open_session(system.database());
  const wordnet::Everything all = wordnet::verify<Database>(session);
  std::printf("%s: %ju synsets, %ju lemmas, %ju senses, %ju pointers; %ju objects, verified\n",
              imported ? "imported" : "there already", static_cast<std::uintmax_t>(all.totals.all_synsets()),
              static_cast<std::uintmax_t>(all.totals.all_lemmas()), static_cast<std::uintmax_t>(all.totals.senses),
              static_cast<std::uintmax_t>(all.totals.pointers), static_cast<std::uintmax_t>(all.objects));
}

}  // namespace cow::bench
