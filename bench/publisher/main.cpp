// Publishes WordNet over HTTP/1.1 and WebSocket, by any execution model on any cache. See --help, and models.hpp.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/support/command_line.hpp"
#include "bench/support/descriptors.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "listeners.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/postgres_url.hpp"
#include "persistence/rocksdb_store.hpp"
#ifdef COW_BENCH_HAS_POSTGRES
#include "persistence/postgres_store.hpp"
#endif
#include "server.hpp"

namespace cow::bench::publisher {
namespace {

struct Options {
  ServerOptions server;
  std::string model = "coroutines", cache = "shared", path;
  std::size_t store_files = 0;  // that a RocksDB store may have open
  std::size_t threads = 2, cache_bytes = std::size_t{1} << 30;
  long external_call_ms = 0, request_ms = 10'000;
};

const std::map<std::string, Model> kModels{{"coroutines", Model::coroutines},
                                           {"fibers", Model::fibers},
                                           {"thread_pool", Model::thread_pool},
                                           {"pools", Model::pools},
                                           {"processes", Model::thread_pool}};  // of each process

/// Serves until it is told to stop.
template <class Database>
void serve(Store& store, const Options& options, Listeners& listeners, std::size_t first, bool announces) {
  Database database(store, {.cache_bytes = options.cache_bytes});
  Server<Database> server(database, options.server);
  asio::io_context context;
  asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([](const boost::system::error_code&, int) {});
  server.start(listeners, first);
  if (announces) {
    std::printf("listening on %s:%u\n", options.server.address.c_str(), server.port());
    std::fflush(stdout);
  }
  context.run();
  server.stop();
}

/// Forks `options.threads` processes that share a port and nothing else, and waits for them; when one ends by itself, the
/// others are stopped as well. They see each other's edits no more than gunicorn's workers would without a ZEO server, so
/// `store` is what each had at the start.
template <class Database>
void serve_in_processes(Store& store, Options options, std::optional<Listeners>& listeners) {
  std::size_t processes = std::exchange(options.threads, 1);
  options.server.model.threads = 1;
  std::vector<pid_t> children;
  const pid_t parent = ::getpid();
  for (std::size_t i = 0; i < processes; ++i) {
    pid_t child = ::fork();
    if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child == 0) {
      int status = 0;
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // whatever ends the parent, nothing is left behind
      if (::getppid() != parent) std::_Exit(1);
      try {
        serve<Database>(store, options, *listeners, i * options.server.loops, i == 0);
      } catch (const std::exception& error) {
        std::cerr << "publisher: " << error.what() << "\n";
        status = 1;
      }
      std::_Exit(status);
    }
    children.push_back(child);
  }
  listeners.reset();  // a socket that nobody accepts from would swallow connections
  asio::io_context context;
  asio::signal_set signals(context, SIGINT, SIGTERM, SIGCHLD);
  int first_signal = 0;
  signals.async_wait([&](const boost::system::error_code&, int signal) { first_signal = signal; });
  for (pid_t child : children) {  // whose signal came before anybody listened
    siginfo_t ended{};
    if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == child)
      ::raise(SIGCHLD);
  }
  context.run();
  for (pid_t child : children) ::kill(child, SIGTERM);
  bool all_well = first_signal != SIGCHLD;
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    all_well = all_well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  if (!all_well) throw std::runtime_error("a worker process failed");
}

/// A store in PostgreSQL, which any number of publishers may serve at the same time.
std::unique_ptr<Store> open_postgres([[maybe_unused]] const std::string& url) {
#ifdef COW_BENCH_HAS_POSTGRES
  PostgresOptions options;
  try {
    options = postgres_options_of(url);
  } catch (const std::invalid_argument& error) {
    throw UsageError(std::string("--path: ") + error.what());
  }
  options.create_if_missing = true;
  return std::make_unique<PostgresStore>(options);
#else
  throw UsageError("--path: this program was built without PostgresStore, which needs libpq");
#endif
}

template <class Database>
void run(const Options& options) {
  const bool in_processes = options.model == "processes";
  if (in_processes && !options.path.empty()) {
    throw UsageError(
        "--path: a RocksDB store is open in one process only; over PostgreSQL, start a publisher for each process");
  }
  const bool is_shared = is_postgres_url(options.path);
  if (is_shared && options.cache != "shared")
    throw UsageError("--path: only the cache 'shared' can be one of several over a store in PostgreSQL");
  // First of all: it may be the port that is taken.
  std::optional<Listeners> listeners(std::in_place, options.server.address, options.server.port,
                                     options.server.loops * (in_processes ? options.threads : 1));
  std::unique_ptr<Store> store;
  if (options.path.empty()) {
    store = std::make_unique<MemoryStore>();
  } else if (is_shared) {
    store = open_postgres(options.path);
  } else {
    store = std::make_unique<RocksDbStore>(
        options.path,
        RocksDbOptions{.create_if_missing = true, .max_open_files = static_cast<int>(options.store_files)});
  }
  {
    cow::Database importing(*store, {.cache_bytes = std::size_t{64} << 20});
    if (!wordnet::is_imported(importing)) {
      std::cerr << "importing WordNet ...\n";
      wordnet::Files files(wordnet::locate());
      wordnet::Importer<cow::Database>(importing, files).run();
    }
  }
  if (in_processes) {
    serve_in_processes<Database>(*store, options, listeners);
  } else {
    serve<Database>(*store, options, *listeners, 0, true);
  }
}

int run_main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Publishes WordNet: GET /dog, /dog/hypernyms/0/hyponyms, PUT {\"gloss\": ...} to a synset, /metrics,\n"
      "WebSocket /-/changes. Says on which port it listens; SIGTERM and SIGINT stop it when what is under way has "
      "ended.\n"
      "Exit code: 0 stopped, 1 failed, 2 bad usage.");
  app.add_option("--model", options.model, "execution model")->check(CLI::IsMember(kModels));
  app.add_option("--cache", options.cache, "whose cache")->check(CLI::IsMember({"shared", "private", "locked"}));
  app.add_option("--threads", options.threads, "of the model; processes, for that model")->check(CLI::Range(1, 1024));
  app.add_option("--loops", options.server.loops, "threads that read and write")->check(CLI::Range(1, 64));
  app.add_option("--address", options.server.address, "where to listen (default: loopback)");
  app.add_option("--port", options.server.port, "0: any")->check(CLI::Range(0, 65'535));
  app.add_option("--path", options.path, "a RocksDB store, or postgres://... (default: memory)");
  app.add_option("--cache-bytes", options.cache_bytes, "budget of the cache; of each private one")
      ->check(CLI::Range(std::size_t{1} << 16, std::size_t{1} << 50));
  app.add_option("--external-call", options.external_call_ms, "milliseconds that each transaction waits outside")
      ->check(CLI::Range(0, 3'600'000));
  app.add_option("--request-time", options.request_ms, "milliseconds that a transaction may take")
      ->check(CLI::Range(1, 86'400'000));
  app.add_option("--constant", options.server.constant_path, "whose page /-/constant always is");
  app.add_option("--max-in-flight", options.server.model.most_in_flight, "transactions at a time")
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--max-waiting", options.server.model.most_waiting, "requests that wait for that")
      ->check(CLI::Range(0, 100'000'000));
  app.add_option("--max-connections", options.server.most_connections,
                 "connections at a time; fewer if the limit of descriptors (ulimit -n) is too low")
      ->check(CLI::Range(1, 100'000'000));
  return run_program(app, argc, argv, [&] {
    options.server.model.model = kModels.at(options.model);
    options.server.model.threads = options.threads;
    options.server.external_call = std::chrono::milliseconds(options.external_call_ms);
    options.server.request_time = std::chrono::milliseconds(options.request_ms);
    if (!parse_target(options.server.constant_path, "")) throw UsageError("--constant is no path");
    (void)checked(options.server);
    const std::size_t limit = raise_descriptor_limit();
    if (!options.path.empty()) {
      options.store_files = std::clamp<std::size_t>(limit / 4, 20, 1024);  // 20: it keeps no fewer
      options.server.reserved_descriptors = options.store_files;
    }
    if (options.cache == "private") {
      run<BasicDatabase<PrivateCache>>(options);
    } else if (options.cache == "locked") {
      run<BasicDatabase<LockedCache>>(options);
    } else {
      run<Database>(options);
    }
  });
}

}  // namespace
}  // namespace cow::bench::publisher

int main(int argc, char** argv) { return cow::bench::publisher::run_main(argc, argv); }
