// Measurements with program parts of their own: what each part of a hit costs, what a check of whole chunks would save, what the size
// of an object costs its writers, how long a killed process takes to serve again, what transactions that sleep keep from being freed, how
// long a reclamation takes beside them, what a thread that is stopped stops, what history costs a store, and
// what processes over one PostgreSQL take and ask of it.
//
// Exit codes: 0 measured, 1 failed or a wrong answer, 2 bad usage.
#include <CLI/CLI.hpp>

#include <string>

#include "bench/support/command_line.hpp"
#include "bench/support/option_checks.hpp"
#include "common_options.hpp"
#include "postgres_peers_probe.hpp"
#include "probe.hpp"
#include "reclamation_probes.hpp"
#include "retention_probe.hpp"

namespace cow::bench {
namespace {

template <class Options>
void add_rounds(CLI::App& command, Options& options, const std::string& what) {
  command.add_option("--rounds", options.rounds, "Samples of each " + what + ", interleaved")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
}

template <class Options>
void add_sample(CLI::App& command, Options& options) {
  command.add_option("--sample", options.sample_s, "Seconds that a sample takes at least")
      ->check(within(1e-6, 10))
      ->capture_default_str();
}

void add_hit_cost(CLI::App& command, HitCostOptions& options) {
  add_common_options(command, options);
  add_rounds(command, options, "variant");
  add_sample(command, options);
  command.add_flag("--small-chases", options.small_chases, "The pointer chase over 100 objects only");
}

void add_chunk_check(CLI::App& command, ChunkCheckOptions& options) {
  add_common_options(command, options, "Of which chunks are written to, and of the order of samples");
  add_rounds(command, options, "side");
  add_sample(command, options);
  command.add_flag("--small-module", options.small_module, "A module of OO7 with 20 composite parts only");
  command.add_flag("!--no-instructions", options.instructions, "Without Valgrind: no instructions, no cache lines");
}

void add_object_size(CLI::App& command, ObjectSizeOptions& options) {
  add_common_options(command, options);
  command.add_option("--store", options.store)
      ->check(CLI::IsMember({"memory", "rocksdb-unsynced", "rocksdb"}))
      ->capture_default_str();
  command.add_option("--path", options.path, "Directory for stores on disk [a scratch directory]");
  add_rounds(command, options, "side");
  command.add_option("--most-bytes", options.most_bytes, "Size of the largest value; suffixes KB, MB = 2^10, 2^20")
      ->transform(byte_size())
      ->capture_default_str();
}

void add_recovery(CLI::App& command, RecoveryOptions& options) {
  add_common_options(command, options);
  command.add_option("--cache", options.cache)
      ->check(CLI::IsMember({"shared", "private", "two-level", "locked"}))
      ->capture_default_str();
  command.add_option("--path", options.path, "Directory of the store, which must not exist [a scratch directory]");
  command.add_option("--accounts", options.accounts)->check(CLI::Range(100u, 100'000'000u))->capture_default_str();
  command.add_option("--clients", options.clients, "Threads with a session each")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  command.add_option("--cached", options.cached, "Share of the accounts that all caches together have room for")
      ->check(within(0.01, 2))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "Of the workload before it is killed")
      ->check(within(0.01, 3600))
      ->capture_default_str();
  command.add_flag("--unsynced", options.unsynced, "Commits return before they are on the device");
}

void add_pinned_versions(CLI::App& command, PinnedVersionsOptions& options) {
  add_common_options(command, options);
  command.add_option("--objects", options.objects)->check(CLI::Range(100u, 1'000'000u))->capture_default_str();
  command.add_option("--updates", options.updates, "Commits of one object each")
      ->check(CLI::Range(1u, 100'000'000u))
      ->capture_default_str();
  command.add_option("--sleepers", options.sleepers, "They begin evenly over the first half of the updates")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  command.add_option("--reads", options.reads, "Objects that each of them reads")
      ->check(CLI::Range(1u, 100u))
      ->capture_default_str();
  command.add_option("--zipf", options.zipf, "Theta of the updates; 0: uniform")
      ->check(within(0, 2))
      ->capture_default_str();
  command
      .add_option("--rereads", options.rereads,
                  "Reads of all sleepers together after they wake, beside their first ones")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  command
      .add_option("--reclaimers", options.reclaimers, "Run with these, by comma (ablation --list); counted in any case")
      ->delimiter(',')
      ->check(CLI::IsMember({"hybrid", "epochs", "scan", "scan-global", "ping", "interval", "counted", "neutralise"}))
      ->capture_default_str();
}

void add_reclamation_time(CLI::App& command, ReclamationTimeOptions& options) {
  add_common_options(command, options, "Of what is read and written");
  command
      .add_option("--reclaimer", options.scheme,
                  "hybrid: its sleepers say that they sleep; deep-scan: the same, and they do not; others as of "
                  "ablation --list")
      ->check(
          CLI::IsMember({"hybrid", "deep-scan", "scan", "scan-global", "ping", "interval", "counted", "neutralise"}))
      ->capture_default_str();
  command.add_option("--sleepers", options.sleepers, "Transactions that have read 100 objects and sleep")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  command.add_flag("--threads", options.threads, "Each of them on a thread of its own [one thread has all]");
  command.add_option("--commits", options.commits, "That are timed, of 20 objects each")
      ->check(CLI::Range(100u, 10'000'000u))
      ->capture_default_str();
  command
      .add_option("--limbo", options.limbo_bytes,
                  "Garbage that comes together before it is looked who is in the way; suffixes KB, MB")
      ->transform(byte_size())
      ->capture_default_str();
}

void add_stopped_thread(CLI::App& command, StoppedThreadOptions& options) {
  add_common_options(command, options, "Recorded; what is read and written is the same in each run");
  command.add_option("--reclaimer", options.scheme)
      ->check(CLI::IsMember({"hybrid", "scan", "ping", "epochs"}))
      ->capture_default_str();
  command
      .add_option(
          "--stopped", options.stopped,
          "scanner: in the middle of a scan, between two logs; scanner-in-log: with the lock of one; reader: in a read")
      ->check(CLI::IsMember({"scanner", "scanner-in-log", "reader"}))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "For which it is stopped; half as long is watched before and after")
      ->check(within(0.02, 3600))
      ->capture_default_str();
}

void add_retention(CLI::App& command, RetentionProbeOptions& options) {
  add_common_options(command, options);
  command.add_option("--keep", options.keep, "all: for ever; window: what is younger; present: nothing")
      ->check(CLI::IsMember({"all", "window", "present"}))
      ->capture_default_str();
  command.add_option("--window", options.window_s, "Seconds of history")
      ->check(within(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--every", options.every_s, "Seconds from the end of one pack to the begin of the next")
      ->check(within(0.001, 1e6))
      ->capture_default_str();
  command.add_option("--share", options.share, "Of the time that a pack works")
      ->check(within(0.001, 1))
      ->capture_default_str();
  command.add_option("--commits", options.commits, "Of one object each")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  command.add_option("--objects", options.objects)
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000'000}))
      ->capture_default_str();
  command.add_option("--bytes", options.bytes, "Of each object; suffixes KB, MB")
      ->transform(byte_size())
      ->capture_default_str();
  command.add_option("--path", options.path, "Directory of the store, which must not exist [a scratch directory]");
}

void add_postgres_peers(CLI::App& command, PostgresPeersOptions& options) {
  add_common_options(command, options);
  command
      .add_option("--caches", options.caches,
                  "shared: one a process; private: one a session; two-level: these over a cache of records")
      ->delimiter(',')
      ->check(CLI::IsMember({"shared", "private", "two-level"}))
      ->capture_default_str();
  command.add_option("--processes", options.processes)
      ->delimiter(',')
      ->check(CLI::Range(1u, 16u))
      ->capture_default_str();
  command.add_option("--sessions", options.sessions, "Of each process, a thread each")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  command.add_option("--objects", options.objects)->check(CLI::Range(1u, 10'000'000u))->capture_default_str();
  command.add_option("--bytes", options.bytes, "Of each object; suffixes KB, MB")
      ->transform(byte_size())
      ->capture_default_str();
  command.add_option("--reads", options.reads, "Of a transaction, by Zipf's law")
      ->check(CLI::Range(1u, 10'000u))
      ->capture_default_str();
  command.add_option("--write-share", options.write_share, "Of transactions that also change one object, any of them")
      ->check(within(0, 1))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "Measured of each point")
      ->check(within(0.05, 3600))
      ->capture_default_str();
  command.add_option("--rounds", options.rounds, "Of all points, each with processes of its own")
      ->check(CLI::Range(1u, 1'000u))
      ->capture_default_str();
}

/// Not for users: what `postgres-peers` starts.
void add_postgres_peer(CLI::App& command, PostgresPeersOptions& options) {
  add_common_options(command, options);
  command.add_option("--cache", options.cache)->required();
  command.add_option("--connection", options.connection)->required();
  command.add_option("--schema", options.schema)->required();
  command.add_option("--sessions", options.sessions);
  command.add_option("--objects", options.objects);
  command.add_option("--bytes", options.bytes);
  command.add_option("--reads", options.reads);
}

#ifndef COW_BENCH_HAS_POSTGRES
}  // namespace

void probe_postgres_peers(const PostgresPeersOptions& options) {
  append_rows(options.output, {not_measurable_row(options, "built without libpq (scripts/setup --postgres)")});
}
void run_postgres_peer(const PostgresPeersOptions& /*options*/) {}

namespace {
#endif

int run_command_line(int argc, char** argv) {
  CLI::App app("Measures what no workload shows, and appends rows of JSON to a file.");
  app.require_subcommand(1);
  HitCostOptions hit_cost;
  CLI::App* hit_cost_command = app.add_subcommand("hit-cost", "Time of a hit with one part of it removed at a time");
  add_hit_cost(*hit_cost_command, hit_cost);
  ChunkCheckOptions chunk_check;
  CLI::App* chunk_check_command =
      app.add_subcommand("chunk-check", "A check of whole chunks before that of single states, by OO7");
  add_chunk_check(*chunk_check_command, chunk_check);
  ObjectSizeOptions object_size;
  CLI::App* object_size_command =
      app.add_subcommand("object-size", "First write and commit by the size of a value, whole or in pieces of 4 KiB");
  add_object_size(*object_size_command, object_size);
  RecoveryOptions recovery;
  CLI::App* recovery_command =
      app.add_subcommand("recovery", "Kills a process that commits, reopens its store, checks, and warms up again");
  add_recovery(*recovery_command, recovery);
  PinnedVersionsOptions pinned_versions;
  CLI::App* pinned_versions_command = app.add_subcommand(
      "pinned-versions", "What transactions that sleep keep from being freed, by rule and by reclaimer");
  add_pinned_versions(*pinned_versions_command, pinned_versions);
  ReclamationTimeOptions reclamation_time;
  CLI::App* reclamation_time_command = app.add_subcommand(
      "reclamation-time", "Time of a reclamation and of a writer's commits beside transactions that sleep");
  add_reclamation_time(*reclamation_time_command, reclamation_time);
  StoppedThreadOptions stopped_thread;
  CLI::App* stopped_thread_command =
      app.add_subcommand("stopped-thread", "What a thread that is stopped in a scan, or in a read, stops");
  add_stopped_thread(*stopped_thread_command, stopped_thread);
  RetentionProbeOptions retention;
  CLI::App* retention_command =
      app.add_subcommand("retention", "Room and speed of a store that keeps its history for ever, for a while, or not");
  add_retention(*retention_command, retention);
  PostgresPeersOptions postgres_peers, postgres_peer;
  CLI::App* postgres_peers_command = app.add_subcommand(
      "postgres-peers", "Processes over one PostgreSQL with three kinds of caches, beside what a model predicts");
  add_postgres_peers(*postgres_peers_command, postgres_peers);
  CLI::App* postgres_peer_command = app.add_subcommand("postgres-peers-process", "")->group("");
  add_postgres_peer(*postgres_peer_command, postgres_peer);
  // Not for users: what `recovery` starts.
  CLI::App* victim_command = app.add_subcommand("recovery-victim", "")->group("");
  add_recovery(*victim_command, recovery);
  CLI::App* counted_command = app.add_subcommand("chunk-check-counted", "")->group("");  // what `chunk-check` starts
  add_chunk_check(*counted_command, chunk_check);
  int acknowledgements = -1;
  victim_command->add_option("--acknowledgements", acknowledgements)->required();
  return run_program(app, argc, argv, [&] {
    if (*hit_cost_command) probe_hit_cost(hit_cost);
    if (*chunk_check_command) probe_chunk_check(chunk_check);
    if (*counted_command) run_counted_chunk_check(chunk_check);
    if (*object_size_command) probe_object_size(object_size);
    if (*recovery_command) probe_recovery(recovery);
    if (*pinned_versions_command) probe_pinned_versions(pinned_versions);
    if (*reclamation_time_command) probe_reclamation_time(reclamation_time);
    if (*stopped_thread_command) probe_stopped_thread(stopped_thread);
    if (*retention_command) probe_retention(retention);
    if (*postgres_peers_command) probe_postgres_peers(postgres_peers);
    if (*postgres_peer_command) run_postgres_peer(postgres_peer);
    if (*victim_command) run_recovery_victim(recovery, acknowledgements);
  });
}

}  // namespace
}  // namespace cow::bench

int main(int argc, char** argv) { return cow::bench::run_command_line(argc, argv); }
