// What a store takes, and what commits cost, while an old history is kept for ever, for a while, or not at all: one thread commits changes of
// one object each; the directory is weighed again and again.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/scratch_directory.hpp"
#include "cow_cache/cow_cache.hpp"
#include "cow_cache/retention.hpp"
#include "persistence/directory_size.hpp"
#include "persistence/rocksdb_store.hpp"
#include "retention_probe.hpp"

namespace cow::bench {
namespace {

struct Document {
  static constexpr std::string_view cow_type_name = "retention.Document";
  std::uint64_t version = 0;
  std::string text;
  MSGPACK_DEFINE_MAP(version, text);
};

struct Documents {
  static constexpr std::string_view cow_type_name = "retention.Documents";
  std::vector<Ref<Document>> all;
  MSGPACK_DEFINE_MAP(all);
};

/// Half of it random: documents are compressed to about that.
std::string text_of(std::mt19937_64& random, std::size_t bytes) {
  std::string text(bytes, ' ');
  for (std::size_t i = 0; i < bytes / 2; ++i) text[i] = static_cast<char>(random());
  return text;
}

std::vector<Ref<Document>> create(Database& database, const RetentionProbeOptions& options, std::mt19937_64& random) {
  constexpr std::uint32_t kBatch = 1'000;
  std::vector<Ref<Document>> documents;
  while (documents.size() < options.objects) {
    database.transact([&](Transaction& txn) {
      for (std::uint32_t i = 0; i < kBatch && documents.size() < options.objects; ++i)
        documents.push_back(txn.create(Document{0, text_of(random, options.bytes)}));
    });
  }
  return documents;
}

}  // namespace

void probe_retention(const RetentionProbeOptions& options) {
  const ScratchDirectory directory;
  const std::filesystem::path path = options.path.empty() ? directory.path() / "store" : options.path;
  RocksDbStore store(path, {.durable = false, .create_if_missing = true});
  Database database(store);
  std::mt19937_64 random(options.seed);
  std::vector<Ref<Document>> documents = create(database, options, random);
  {
    // What nothing refers to would be garbage.
    Transaction txn = database.begin();
    txn.root().emplace("documents", Documents{documents});
    txn.commit();
  }
  const std::uint64_t live_bytes = options.objects * options.bytes;

  std::optional<Retention> retention;
  if (options.keep != "all") {
    const auto kept = options.keep == "present" ? std::chrono::microseconds(0)
                                                : std::chrono::microseconds(std::llround(options.window_s * 1e6));
    retention.emplace(database,
                      RetentionOptions{.keep_history = kept,
                                       .every = std::chrono::milliseconds(std::llround(options.every_s * 1e3)),
                                       .share = options.share});
  }

  nlohmann::json over_time = nlohmann::json::array();
  std::uint64_t most_bytes = 0;
  std::vector<std::uint32_t> nanoseconds;
  nanoseconds.reserve(options.commits);
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  const double begun = seconds_now();
  {
    std::jthread weighing([&] {
      while (!stop) {
        const std::uint64_t bytes = directory_size(path).bytes;
        most_bytes = std::max(most_bytes, bytes);
        over_time.push_back({seconds_now() - begun, done.load(), bytes});
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    });
    Progress progress("commits");
    std::vector<std::uint32_t> version(documents.size());
    for (std::uint64_t i = 0; i < options.commits; ++i) {
      const std::size_t which = random() % documents.size();
      const double start = seconds_now();
      database.transact([&](Transaction& txn) {
        Document& document = txn.write(documents[which]);
        document.version = ++version[which];
        document.text[document.version % document.text.size()] ^= 1;
      });
      nanoseconds.push_back(static_cast<std::uint32_t>(std::min(4.2e9, (seconds_now() - start) * 1e9)));
      done.fetch_add(1, std::memory_order_relaxed);
      progress(i + 1, options.commits);
    }
    stop = true;
  }
  const double seconds = seconds_now() - begun;
  const RetentionStatus status = retention ? retention->status() : RetentionStatus{};
  if (status.error) std::rethrow_exception(status.error);
  retention.reset();
  const Tid oldest = store.oldest_tid();
  store.verify();

  std::ranges::sort(nanoseconds);
  const auto percentile = [&](double share) {
    return nanoseconds[std::min(nanoseconds.size() - 1,
                                static_cast<std::size_t>(share * static_cast<double>(nanoseconds.size())))];
  };
  nlohmann::json row =
      probe_row(options, options.keep, "retention",
                {{"commits", options.commits}, {"objects", options.objects}, {"bytes", options.bytes}});
  row["operations"] = options.commits;
  row["duration_s"] = seconds;
  row["operations_per_s"] = static_cast<double>(options.commits) / seconds;
  row["p50_ns"] = percentile(0.5);
  row["p99_ns"] = percentile(0.99);
  row["p999_ns"] = percentile(0.999);
  row["over_time"] = over_time;
  row["figures"] = {{"most_bytes", most_bytes},
                    {"bytes_at_end", directory_size(path).bytes},
                    {"live_bytes", live_bytes},
                    {"packs", status.packs},
                    {"tids_kept", database.last_tid().value - oldest.value}};
  append_rows(options.output, {row});
  fmt::print("{:<10} {:>10.0f} commits/s, p99.9 {:>8.1f} us, at most {:>8.1f} MiB, at the end {:>8.1f} MiB, {} packs\n",
             options.keep, static_cast<double>(options.commits) / seconds, percentile(0.999) / 1e3,
             static_cast<double>(most_bytes) / (1 << 20), static_cast<double>(directory_size(path).bytes) / (1 << 20),
             status.packs);
}

}  // namespace cow::bench
