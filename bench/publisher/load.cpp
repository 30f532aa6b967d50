// Load on a publisher, from a process beside it: starts the publisher, measures, stops it, and writes one row.
//
// Open loop: requests are due at fixed times, whatever becomes of the earlier ones, and their latency counts from when they
// were due, not from when a connection was free for them ("coordinated omission", Gil Tene). Closed loop (--rate 0): each
// connection sends as soon as it has its answer; throughput is what that is good for.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "bench/support/command_line.hpp"
#include "bench/support/latency_histogram.hpp"
#include "bench/support/option_checks.hpp"
#include "bench/support/rows.hpp"
#include "bench/support/usage_error.hpp"
#include "cow_cache/async.hpp"

namespace cow::bench::publisher {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

/// The share of requests that may fail (no connection, no whole answer) in a measurement that counts.
constexpr double kMaxFailed = 0.001;
/// Beside those of the connections, of this process and of the publisher, which inherits the limit: files of a store, loops.
constexpr std::size_t kOtherDescriptors = 256;

struct LoadOptions {
  std::string publisher = "publisher", model = "coroutines", cache = "shared", path, output, experiment = "publisher";
  std::size_t threads = 8, connections = 64;
  long external_call_ms = 0;
  double rate = 0, seconds = 2, warmup = 0.5, write_share = 0;
  unsigned seed = 1, repetition = 0;
};

/// A publisher in a process of its own.
class Publisher {
 public:
  explicit Publisher(const LoadOptions& options) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    std::vector<std::string> words{options.publisher,
                                   "--model",
                                   options.model,
                                   "--cache",
                                   options.cache,
                                   "--threads",
                                   std::to_string(options.threads),
                                   "--external-call",
                                   std::to_string(options.external_call_ms),
                                   "--port",
                                   "0"};
    if (!options.path.empty()) words.insert(words.end(), {"--path", options.path});
    const pid_t parent = ::getpid();
    child_ = ::fork();
    if (child_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // whatever ends this program, the publisher ends as well
      if (::getppid() != parent) std::_Exit(127);
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      ::execv(arguments[0], arguments.data());
      std::_Exit(127);
    }
    ::close(ends[1]);
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::fdopen(ends[0], "r"), &std::fclose);
    char line[256];
    if (std::fgets(line, sizeof line, pipe.get()) == nullptr) {
      ::waitpid(child_, nullptr, 0);  // it has said why
      throw std::runtime_error("the publisher did not start");
    }
    std::string said(line);
    port_ = static_cast<unsigned short>(std::stoul(said.substr(said.rfind(':') + 1)));
  }
  ~Publisher() {
    ::kill(child_, SIGTERM);
    ::waitpid(child_, nullptr, 0);
  }
  unsigned short port() const { return port_; }

  /// A sum over its processes of what smaps_rollup calls `field`, in bytes: Rss, or Pss, which counts shared pages once.
  std::uint64_t memory(const std::string& field) const {
    std::uint64_t bytes = memory_of(child_, field);
    std::ifstream children("/proc/" + std::to_string(child_) + "/task/" + std::to_string(child_) + "/children");
    for (pid_t child = 0; children >> child;) bytes += memory_of(child, field);
    return bytes;
  }

 private:
  static std::uint64_t memory_of(pid_t process, const std::string& field) {
    std::ifstream rollup("/proc/" + std::to_string(process) + "/smaps_rollup");
    for (std::string line; std::getline(rollup, line);) {
      std::istringstream words(line);
      std::string name;
      std::uint64_t kilobytes = 0;
      if (words >> name >> kilobytes && name == field + ":") return kilobytes << 10;
    }
    return 0;
  }

  pid_t child_ = 0;
  unsigned short port_ = 0;
};

/// What all connections share: which request is due next, and what came of them.
struct Run {
  const LoadOptions& options;
  Clock::time_point start, counted_from, end;
  std::uint64_t next = 0;
  std::uint64_t answered = 0, refused = 0, failed = 0;
  LatencyHistogram latencies{};
  std::mt19937_64 dice;

  /// Open loop: what was due in the window counts, however late its answer is. Closed loop: what was answered in it.
  bool counts(Clock::time_point due, Clock::time_point answered_at) const {
    auto moment = options.rate > 0 ? due : answered_at;
    return moment >= counted_from && moment < end;
  }

  /// When the next request is due; past `end`: there is none.
  Clock::time_point due() {
    if (options.rate <= 0) return Clock::now();
    return start + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(static_cast<double>(next++) / options.rate));
  }
};

Task<> request_again_and_again(asio::io_context& loop, Run& run, tcp::endpoint server) {
  static constexpr std::string_view kWords[] = {"dog", "cat", "tree", "house", "water", "run", "red", "entity"};
  tcp::socket socket(loop);
  boost::beast::flat_buffer buffer;
  bool connected = false;
  for (Clock::time_point due = run.due(); due < run.end; due = run.due()) {
    if (due > Clock::now()) co_await sleep_until(loop.get_executor(), due);
    if (!connected) {
      auto error = co_await socket.async_connect(server, use_await);
      if (error) {
        if (run.counts(due, Clock::now())) ++run.failed;
        co_await sleep_for(loop.get_executor(), std::chrono::milliseconds(10));
        socket = tcp::socket(loop);
        continue;
      }
      connected = true;
    }
    bool writes = std::uniform_real_distribution<>(0, 1)(run.dice) < run.options.write_share;
    http::request<http::string_body> request(writes ? http::verb::put : http::verb::get,
                                             "/" + std::string(kWords[run.dice() % std::size(kWords)]) + "/senses/0",
                                             11);
    request.set(http::field::host, "publisher");
    if (writes) request.body() = "{\"gloss\":\"edited " + std::to_string(run.dice() % 1000) + " times\"}";
    request.prepare_payload();
    http::response<http::string_body> response;
    auto [unsent, sent] = co_await http::async_write(socket, request, use_await);
    boost::system::error_code error = unsent;
    if (!error) {
      auto [unread, read] = co_await http::async_read(socket, buffer, response, use_await);
      error = unread;
      (void)read;
    }
    (void)sent;
    if (error || !response.keep_alive()) {
      socket = tcp::socket(loop);
      buffer.clear();
      connected = false;
    }
    auto now = Clock::now();
    // One connection too many for the publisher: what is measured then has fewer requests in flight than it says.
    const bool has_no_room = !error && response.result() == http::status::service_unavailable && !connected;
    if (has_no_room) co_await sleep_for(loop.get_executor(), std::chrono::milliseconds(10));
    if (!run.counts(due, now)) continue;
    if (error || has_no_room) {
      ++run.failed;
    } else if (response.result_int() == 200) {
      ++run.answered;
      run.latencies.record(static_cast<std::uint64_t>((now - due) / std::chrono::nanoseconds(1)));
    } else {
      ++run.refused;
    }
  }
}

/// Throws std::runtime_error if the run is no result.
void check_result(const Run& run) {
  const std::uint64_t all = run.answered + run.refused + run.failed;
  if (run.answered > 0 && static_cast<double>(run.failed) <= kMaxFailed * static_cast<double>(all)) return;
  throw std::runtime_error("no result: " + std::to_string(run.answered) + " answers, " + std::to_string(run.refused) +
                           " refused and " + std::to_string(run.failed) + " failed requests");
}

/// What can be known before anything starts. Throws UsageError.
void check_options(const LoadOptions& options) {
  if (::access(options.publisher.c_str(), X_OK) != 0 || !std::filesystem::is_regular_file(options.publisher))
    throw UsageError("--publisher: '" + options.publisher + "' is no program");
  if (options.model == "processes" && !options.path.empty())
    throw UsageError("--path: a RocksDB store is open in one process only");
  require_descriptors(options.connections + kOtherDescriptors);
}

nlohmann::json measure(const LoadOptions& options) {
  check_options(options);
  Publisher publisher(options);
  std::uint64_t rss_before = publisher.memory("Rss"), pss_before = publisher.memory("Pss");
  asio::io_context loop(1);
  auto seconds = [](double count) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
  };
  auto now = Clock::now();
  Run run{.options = options,
          .start = now,
          .counted_from = now + seconds(options.warmup),
          .end = now + seconds(options.warmup + options.seconds),
          .dice = std::mt19937_64(options.seed)};
  tcp::endpoint server(asio::ip::make_address("127.0.0.1"), publisher.port());
  for (std::size_t i = 0; i < options.connections; ++i)
    spawn(loop.get_executor(), request_again_and_again(loop, run, server), asio::detached);
  std::uint64_t rss = 0, pss = 0;
  asio::steady_timer sampler(loop, run.end - seconds(options.seconds / 4));
  sampler.async_wait([&](const boost::system::error_code&) {
    rss = publisher.memory("Rss");
    pss = publisher.memory("Pss");
  });
  loop.run();
  check_result(run);
  auto microseconds = [&](double share) { return static_cast<double>(run.latencies.quantile(share)) / 1e3; };
  return {{"experiment", options.experiment},
          {"system", options.model + "/" + options.cache},
          {"repetition", options.repetition},
          {"seed", options.seed},
          {"duration_s", options.seconds},
          {"operations", run.answered},
          {"throughput", static_cast<double>(run.answered) / options.seconds},
          {"refused", run.refused},
          {"failed", run.failed},
          {"p50_us", microseconds(0.5)},
          {"p99_us", microseconds(0.99)},
          {"p999_us", microseconds(0.999)},
          {"rss_before_bytes", rss_before},
          {"rss_bytes", rss},
          {"pss_before_bytes", pss_before},
          {"pss_bytes", pss}};
}

int run_main(int argc, char** argv) {
  LoadOptions options;
  CLI::App app(
      "Starts a publisher, loads it, and writes one row of JSON: throughput, latencies from when requests were due, "
      "memory.\n"
      "Exit code: 0 measured, 1 not (also if more than 0.1% of the requests failed), 2 bad usage.");
  app.add_option("--publisher", options.publisher, "the program")->required();
  app.add_option("--model", options.model, "its execution model")
      ->check(CLI::IsMember({"coroutines", "fibers", "thread_pool", "pools", "processes"}));
  app.add_option("--cache", options.cache, "its cache")->check(CLI::IsMember({"shared", "private", "locked"}));
  app.add_option("--threads", options.threads, "its threads, or processes")->check(at_least_one());
  app.add_option("--external-call", options.external_call_ms, "milliseconds that each transaction waits outside")
      ->check(within(0, 3.6e6));
  app.add_option("--path", options.path, "its RocksDB store (default: memory)");
  app.add_option("--connections", options.connections, "requests in flight, at most")->check(within(1, 60'000));
  app.add_option("--rate", options.rate, "requests/s that are due; 0: closed loop")->check(within(0, 1e9));
  app.add_option("--write-share", options.write_share, "share of requests that edit")->check(share());
  app.add_option("--seconds", options.seconds, "to measure")->check(measured_seconds());
  app.add_option("--warmup", options.warmup, "seconds before that")->check(seconds_or_none());
  app.add_option("--seed", options.seed, "of the requests");
  app.add_option("--repetition", options.repetition, "for the row");
  app.add_option("--experiment", options.experiment, "for the row");
  app.add_option("--output", options.output, "append the row to this file (default: standard output)")
      ->check(writable_file());
  return run_program(app, argc, argv, [&] {
    const nlohmann::json row = measure(options);
    if (options.output.empty()) std::cout << row.dump() << "\n";
    append_rows(options.output, {row});
  });
}

}  // namespace
}  // namespace cow::bench::publisher

int main(int argc, char** argv) { return cow::bench::publisher::run_main(argc, argv); }
