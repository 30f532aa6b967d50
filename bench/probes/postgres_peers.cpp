// Processes over one PostgreSQL: memory, loads, throughput, staleness and round trips with one cache a process, with caches of the sessions, and
// with these over a cache of records; and the same as the cluster's model predicts it from one process.
//
// Every process, at the end, reads all objects through its cache at a snapshot that has everything, and must find as many changes as all
// of them have committed.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/cluster/processes_model.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/postgres_server.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/workload_error.hpp"
#include "postgres_peers_probe.hpp"
#include "postgres_peers_process.hpp"

namespace cow::bench {
namespace postgres_peers {
namespace {

using Processes = std::vector<std::unique_ptr<PeerProcess>>;

/// What all processes of the server have used of the processors, in seconds, by the clock's ticks.
double server_processor_seconds(const PostgresServer& server) {
  long first = 0;
  std::ifstream(server.directory() / "data" / "postmaster.pid") >> first;
  double ticks = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "stat");
    std::string text;
    if (!std::getline(file, text)) continue;
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    std::string state, skipped;
    long parent = 0, used[4] = {};  // by itself in user and kernel, and by children that have ended
    fields >> state >> parent;
    for (int i = 0; i < 9; ++i) fields >> skipped;
    for (long& one : used) fields >> one;
    const bool is_first = entry.path().filename() == std::to_string(first);
    if (is_first || parent == first) ticks += static_cast<double>(used[0] + used[1]);
    if (is_first) ticks += static_cast<double>(used[2] + used[3]);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::vector<nlohmann::json> hear_all(const Processes& processes) {
  std::vector<nlohmann::json> answers;
  for (const auto& process : processes) answers.push_back(process->hear());
  return answers;
}

std::vector<nlohmann::json> ask_all(const Processes& processes, const std::string& line) {
  for (const auto& process : processes) process->tell(line);
  return hear_all(processes);
}

template <class T>
T sum_of(const std::vector<nlohmann::json>& answers, const char* name) {
  T sum = 0;
  for (const nlohmann::json& answer : answers) sum += answer.at(name).get<T>();
  return sum;
}

std::uint64_t memory_of(const std::vector<nlohmann::json>& answers, const char* kind) {
  std::uint64_t sum = 0;
  for (const nlohmann::json& answer : answers) sum += answer.at("memory").at(kind).get<std::uint64_t>();
  return sum;
}

// ---- staleness

struct Events {
  std::vector<std::pair<std::uint64_t, double>> committed, seen;  // tids, and when
};

Events read_events(const std::filesystem::path& path) {
  Events events;
  std::ifstream file(path);
  char kind = 0;
  std::uint64_t tid = 0;
  double at = 0;
  while (file >> kind >> tid >> at) (kind == 'c' ? events.committed : events.seen).emplace_back(tid, at);
  std::ranges::sort(events.seen);
  // When a snapshot at a tid or above was first seen.
  for (std::size_t i = events.seen.size(); i-- > 1;)
    events.seen[i - 1].second = std::min(events.seen[i - 1].second, events.seen[i].second);
  return events;
}

/// Seconds from when a commit has returned in its process until a transaction of another one sees it, of each other one. Those that the end
/// of the run has come before are not counted.
std::vector<double> lags_of(const std::vector<Events>& all) {
  std::vector<double> lags;
  for (const Events& here : all) {
    for (const Events& there : all) {
      if (&here == &there) continue;
      for (const auto& [tid, at] : here.committed) {
        const auto seen = std::ranges::lower_bound(there.seen, std::pair(tid, -1.0));
        if (seen != there.seen.end()) lags.push_back(std::max(0.0, seen->second - at));
      }
    }
  }
  std::ranges::sort(lags);
  return lags;
}

// ---- one cache

class Study {
 public:
  Study(PostgresPeersOptions options, const PostgresServer& server, std::string cache)
      : options_(std::move(options)), server_(server) {
    options_.cache = std::move(cache);
    options_.connection = server.connection();
    options_.schema = "peers_" + std::to_string(options_.cache.size()) + options_.cache.substr(0, 3);
    caches_.shares_objects = options_.cache == "shared";
    caches_.has_records = options_.cache == "two-level";
    start(1)[0]->ask("fill");
  }

  /// The costs of one process, and of learning what another one commits.
  void calibrate() {
    PostgresPeersOptions options = options_;
    options.sessions = std::max(2u, options.sessions);  // the second one finds the records of the first
    Processes one;
    one.push_back(std::make_unique<PeerProcess>(options, 0));
    const std::uint64_t empty = weigh(one);
    double server = server_processor_seconds(server_);
    nlohmann::json cold = one[0]->ask("warm 0 1");
    const double objects = options_.objects;
    const double load = cold["seconds"].get<double>() / objects;
    costs_.load_processor = std::min(load, processor(cold, server) / objects);
    costs_.load_wait = load - costs_.load_processor;
    const std::uint64_t with_one = weigh(one);
    costs_.object_bytes = grown(empty, with_one);
    if (caches_.has_records) {
      cold = one[0]->ask("warm 1 1");
      costs_.decode = cold["seconds"].get<double>() / objects;
      const double objects_alone = grown(with_one, weigh(one));
      costs_.record_bytes = std::max(0.0, costs_.object_bytes - objects_alone);
      costs_.object_bytes = objects_alone;
    }
    const double seconds = std::min(0.5, options_.seconds);
    const nlohmann::json reads = run_one(*one[0], seconds, 0);
    costs_.transaction = seconds / reads["transactions"].get<double>();
    server = server_processor_seconds(server_);
    const nlohmann::json writes = run_one(*one[0], seconds, 1);
    const double commits = note_commits(writes["commits"].get<std::uint64_t>());
    costs_.commit = std::max(0.0, seconds / commits - costs_.transaction);
    costs_.commit_processor = std::max(0.0, processor(writes, server) / commits - costs_.transaction);

    // Another process, which does nothing but learn.
    one.push_back(std::make_unique<PeerProcess>(options, 1));
    one[1]->ask("warm 0 1");
    server = server_processor_seconds(server_);
    const std::vector<nlohmann::json> both = run_all(
        one, [&](std::size_t i) { return i == 0 ? 1.0 : 0.0; }, seconds, 0);
    const double learned = note_commits(both[0]["commits"].get<std::uint64_t>());
    const double used = sum_of<double>(both, "processor_s") + server_processor_seconds(server_) - server;
    costs_.learn = std::max(0.0, used / learned - costs_.transaction - costs_.commit_processor);
    // The processor is not used while the group waits for the device.
    costs_.commit = std::max(0.0, costs_.commit - costs_.commit_processor);
  }

  nlohmann::json measure(std::uint32_t count, std::uint32_t round) {
    Processes processes = start(count);
    const std::string all = std::to_string(options_.sessions);
    const std::vector<nlohmann::json> opened = ask_all(processes, "open");
    const std::vector<nlohmann::json> cold = ask_all(processes, "warm 0 " + all);
    const std::vector<nlohmann::json> warm = ask_all(processes, "weigh");
    const std::vector<nlohmann::json> done = run_all(
        processes, [&](std::size_t) { return options_.write_share; }, options_.seconds, options_.sessions);
    const std::vector<nlohmann::json> used = ask_all(processes, "weigh");
    const double commits = note_commits(sum_of<std::uint64_t>(done, "commits"));
    check_sums(processes, done);
    std::vector<double> lags;
    if (count > 1) {
      std::vector<Events> events;
      for (std::size_t i = 0; i < count; ++i) events.push_back(read_events(events_of(i)));
      lags = lags_of(events);
    }

    const auto transactions = sum_of<std::uint64_t>(done, "transactions");
    const double each = 1 / std::max(1.0, static_cast<double>(transactions));
    const simulation::ProcessPrediction predicted = simulation::predict(caches_, costs_,
                                                                        {.processes = count,
                                                                         .sessions = options_.sessions,
                                                                         .cores = std::thread::hardware_concurrency(),
                                                                         .objects = options_.objects,
                                                                         .reads = options_.reads,
                                                                         .theta = kPeersTheta,
                                                                         .write_share = options_.write_share,
                                                                         .seconds = options_.seconds,
                                                                         .seed = options_.seed});
    const double throughput = static_cast<double>(transactions) / options_.seconds;
    const double loads = static_cast<double>(sum_of<std::uint64_t>(done, "loads")) * each;
    const double grown_bytes = grown(memory_of(opened, "pss"), memory_of(used, "pss"));
    nlohmann::json row = probe_row(options_, options_.cache, "postgres-peers",
                                   {{"processes", count}, {"write_share", options_.write_share}});
    row["repetition"] = options_.repetition + round;
    row["parameters"] = {{"processes", count},
                         {"write_share", options_.write_share},
                         {"sessions", options_.sessions},
                         {"objects", options_.objects},
                         {"bytes", options_.bytes},
                         {"reads", options_.reads}};
    row["duration_s"] = options_.seconds;
    row["operations"] = transactions;
    row["operations_per_s"] = throughput;
    row["aborts"] = sum_of<std::uint64_t>(done, "aborts");
    row["store_loads"] = sum_of<std::uint64_t>(done, "loads");
    row["rss_bytes"] = memory_of(used, "rss");
    row["cache_bytes"] = sum_of<std::uint64_t>(used, "cache_bytes");
    nlohmann::json figures = {
        {"pss_bytes", memory_of(used, "pss")},
        {"uss_bytes", memory_of(used, "uss")},
        {"pss_bytes_opened", memory_of(opened, "pss")},
        {"pss_bytes_warm", memory_of(warm, "pss")},
        {"grown_bytes", grown_bytes},
        {"cold_loads", sum_of<std::uint64_t>(cold, "loads")},
        {"cold_seconds", most_of(cold, "seconds")},
        {"loads_per_transaction", loads},
        {"round_trips_per_transaction", static_cast<double>(sum_of<std::uint64_t>(done, "round_trips")) * each},
        {"commits_per_s", commits / options_.seconds},
        {"group_size", commits / std::max(1.0, static_cast<double>(sum_of<std::uint64_t>(done, "groups")))},
        {"predicted_throughput", predicted.throughput},
        {"throughput_off", off(predicted.throughput, throughput)},
        {"predicted_loads_per_transaction", predicted.loads_per_transaction},
        {"predicted_grown_bytes", predicted.bytes},
        {"grown_bytes_off", off(predicted.bytes, grown_bytes)},
        {"transaction_ns", costs_.transaction * 1e9},
        {"load_us", (costs_.load_processor + costs_.load_wait) * 1e6},
        {"decode_ns", costs_.decode * 1e9},
        {"commit_us", (costs_.commit_processor + costs_.commit) * 1e6},
        {"learn_us", costs_.learn * 1e6}};
    if (loads > 0) figures["loads_off"] = off(predicted.loads_per_transaction, loads);
    if (!lags.empty()) {
      figures["staleness_p50_ms"] = lags[lags.size() / 2] * 1e3;
      figures["staleness_p99_ms"] = lags[lags.size() * 99 / 100] * 1e3;
      figures["staleness_most_ms"] = lags.back() * 1e3;
    }
    row["figures"] = figures;
    return row;
  }

 private:
  Processes start(std::uint32_t count) const {
    Processes processes;
    for (std::uint32_t i = 0; i < count; ++i) processes.push_back(std::make_unique<PeerProcess>(options_, i));
    return processes;
  }

  static double grown(std::uint64_t before, std::uint64_t after) {
    return std::max(0.0, static_cast<double>(after) - static_cast<double>(before));
  }
  static double off(double predicted, double measured) { return measured == 0 ? 0 : predicted / measured - 1; }
  static double most_of(const std::vector<nlohmann::json>& answers, const char* name) {
    double most = 0;
    for (const nlohmann::json& answer : answers) most = std::max(most, answer.at(name).get<double>());
    return most;
  }

  static std::uint64_t weigh(const Processes& one) { return memory_of(ask_all(one, "weigh"), "pss"); }

  /// Of the process that has answered, and of the server since it had used so much.
  double processor(const nlohmann::json& answer, double server_before) const {
    return answer.at("processor_s").get<double>() + server_processor_seconds(server_) - server_before;
  }

  std::filesystem::path events_of(std::size_t process) const {
    return scratch_.path() / ("events-" + std::to_string(process));
  }

  static std::string run_line(double begin, double seconds, double write_share, std::uint32_t sessions,
                              const std::string& events) {
    return fmt::format("run {:.6f} {} {} {} {}", begin, seconds, write_share, sessions, events);
  }

  /// One process, one session.
  static nlohmann::json run_one(PeerProcess& process, double seconds, double write_share) {
    constexpr double kLead = 0.05;  // by then it has drawn its keys
    return process.ask(run_line(seconds_now() + kLead, seconds, write_share, 1, "-"));
  }

  /// All at the same time. `sessions` 0: the first process one session, the others none.
  template <class Share>
  std::vector<nlohmann::json> run_all(const Processes& processes, Share&& write_share, double seconds,
                                      std::uint32_t sessions) const {
    constexpr double kLead = 0.25;
    const double begin = seconds_now() + kLead;
    for (std::size_t i = 0; i < processes.size(); ++i) {
      const std::uint32_t own = sessions > 0 ? sessions : i == 0 ? 1 : 0;
      processes[i]->tell(run_line(begin, seconds, write_share(i), own, events_of(i).string()));
    }
    return hear_all(processes);
  }

  double note_commits(std::uint64_t commits) {
    versions_ += commits;
    return std::max(1.0, static_cast<double>(commits));
  }

  /// Every change is there, once, in what each process sees.
  void check_sums(const Processes& processes, const std::vector<nlohmann::json>& done) const {
    std::uint64_t last = 0;
    for (const nlohmann::json& answer : done) last = std::max(last, answer.at("last").get<std::uint64_t>());
    for (const nlohmann::json& answer : ask_all(processes, "sum " + std::to_string(last)))
      check_count("changes that a process sees", versions_, answer.at("versions").get<std::uint64_t>());
  }

  PostgresPeersOptions options_;
  const PostgresServer& server_;
  const ScratchDirectory scratch_;
  simulation::ProcessCaches caches_;
  simulation::ProcessCosts costs_;
  std::uint64_t versions_ = 0;  // that were committed
};

void say(const nlohmann::json& row) {
  const nlohmann::json& figures = row["figures"];
  const auto mib = [](const nlohmann::json& bytes) { return bytes.get<double>() / (1 << 20); };
  fmt::print(
      "{:<10} {} processes: {:8.0f} transactions/s ({:+.0f}% predicted), {:.3f} loads each ({:.3f} predicted), {:.3f} "
      "round trips each, "
      "{:.0f} commits/s, {:.1f} MiB grown ({:.1f} predicted), cold {} loads; seen after ms: {:.2f}, p99 {:.2f}\n",
      row["system"].get<std::string>(), row["point"]["processes"].get<int>(), row["operations_per_s"].get<double>(),
      100 * figures["throughput_off"].get<double>(), figures["loads_per_transaction"].get<double>(),
      figures["predicted_loads_per_transaction"].get<double>(), figures["round_trips_per_transaction"].get<double>(),
      figures["commits_per_s"].get<double>(), mib(figures["grown_bytes"]), mib(figures["predicted_grown_bytes"]),
      figures["cold_loads"].get<std::uint64_t>(), figures.value("staleness_p50_ms", 0.0),
      figures.value("staleness_p99_ms", 0.0));
}

}  // namespace
}  // namespace postgres_peers

void probe_postgres_peers(const PostgresPeersOptions& options) {
  using namespace postgres_peers;
  if (!postgres_programs()) {
    const std::string why = "PostgreSQL is not installed (scripts/setup --postgres)";
    fmt::print("{}: nothing is measured\n", why);
    return append_rows(options.output, {not_measurable_row(options, why)});
  }
  std::signal(SIGPIPE, SIG_IGN);  // a process that is gone is an error like others
  const PostgresServer server(std::string(kDurableSettings) + "max_connections = 150\n");
  std::vector<std::unique_ptr<Study>> studies;
  for (const std::string& cache : options.caches) {
    studies.push_back(std::make_unique<Study>(options, server, cache));
    studies.back()->calibrate();
  }
  Random random(options.seed);
  Progress progress("points");
  const std::uint64_t points = std::uint64_t{options.rounds} * options.processes.size() * studies.size();
  std::uint64_t done = 0;
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    for (const std::uint32_t count : options.processes) {
      // What disturbs the machine for a while is to disturb all caches.
      for (const std::uint32_t which : random_permutation(studies.size(), random)) {
        const nlohmann::json row = studies[which]->measure(count, round);
        append_rows(options.output, {row});
        say(row);
        progress(++done, points);
      }
    }
  }
}

}  // namespace cow::bench
