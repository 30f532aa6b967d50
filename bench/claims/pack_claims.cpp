// What keeping a store in order costs: pack-online, pack-speed, pack-memory, pack-space, backup-online; and old-snapshot, a read
// of the past.
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "bench/support/scratch_directory.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/directory_size.hpp"
#include "persistence/rocksdb_options.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {
namespace {

namespace fs = std::filesystem;

/// Bytes that nobody can compress.
struct Blob {
  static constexpr std::string_view cow_type_name = "claims.Blob";
  std::string bytes;
  MSGPACK_DEFINE(bytes);
};

struct Index {
  static constexpr std::string_view cow_type_name = "claims.Index";
  std::vector<Ref<Blob>> blobs;
  MSGPACK_DEFINE(blobs);
};

/// What a store is filled with: `objects` blobs in indexes that the root names, each with `revisions`.
struct Content {
  std::size_t objects = 0, revisions = 1, bytes = 256;
};

/// A GiB, with ten revisions an object; less in a quick run.
Content gibibyte() { return {static_cast<std::size_t>(360'000 * std::min(effort, 1.0)), 10, 256}; }

constexpr std::size_t kBatch = 1'000;

std::string blob_bytes(std::mt19937_64& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    std::copy_n(reinterpret_cast<const char*>(&word), std::min<std::size_t>(8, size - i),
                bytes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return bytes;
}

/// Returns the blobs, in the order of their oids.
std::vector<Ref<Blob>> fill(Store& store, const Content& content) {
  Database database(store, {.cache_bytes = std::size_t{32} << 20});
  std::mt19937_64 random(1);
  std::vector<Ref<Blob>> blobs;
  for (std::size_t first = 0; first < content.objects; first += kBatch) {
    database.transact([&](Transaction& txn) {
      Index index;
      for (std::size_t i = first; i < std::min(first + kBatch, content.objects); ++i) {
        index.blobs.push_back(txn.create(Blob{blob_bytes(random, content.bytes)}));
        blobs.emplace_back(index.blobs.back().oid());
      }
      txn.root().emplace(fmt::format("index {}", first / kBatch), std::move(index));
    });
  }
  for (std::size_t revision = 1; revision < content.revisions; ++revision) {
    for (std::size_t first = 0; first < blobs.size(); first += kBatch) {
      database.transact([&](Transaction& txn) {
        for (std::size_t i = first; i < std::min(first + kBatch, blobs.size()); ++i)
          txn.write(blobs[i]).bytes = blob_bytes(random, content.bytes);
      });
    }
  }
  return blobs;
}

RocksDbOptions unsynced() { return {.durable = false, .create_if_missing = true}; }

/// A closed store, of which each measurement packs a copy.
class Master {
 public:
  explicit Master(const Content& content) {
    RocksDbStore store(path(), unsynced());
    blobs_ = fill(store, content);
  }
  fs::path copy() {
    const fs::path place = directory_.path() / fmt::format("copy {}", ++copies_);
    fs::copy(path(), place);
    return place;
  }
  fs::path path() const { return directory_.path() / "master"; }
  const std::vector<Ref<Blob>>& blobs() const noexcept { return blobs_; }

 private:
  ScratchDirectory directory_;
  std::vector<Ref<Blob>> blobs_;
  int copies_ = 0;
};

/// One thread reads blobs, a hundred a transaction, one changes them, one a transaction, durably. Transactions of each per second, until
/// `until` has returned; how long that has taken.
struct Load {
  double reads = 0, writes = 0, seconds = 0;
};

Load run_load(Database& database, const std::vector<Ref<Blob>>& blobs, const std::function<void()>& until) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> reads{0}, writes{0};
  Load load;
  {
    std::jthread reader([&] {
      std::mt19937_64 random(7);
      while (!stop) {
        Transaction txn = database.begin();
        for (int i = 0; i < 100; ++i) (void)txn.read(Ref<Blob>(blobs[random() % blobs.size()].oid()));
        ++reads;
      }
    });
    std::jthread writer([&] {
      std::mt19937_64 random(8);
      while (!stop) {
        database.transact(
            [&](Transaction& txn) { txn.write(Ref<Blob>(blobs[random() % blobs.size()].oid())).bytes[0] ^= 1; });
        ++writes;
      }
    });
    load.seconds = seconds_of(until);
    stop = true;
  }
  load.reads = static_cast<double>(reads) / load.seconds;
  load.writes = static_cast<double>(writes) / load.seconds;
  return load;
}

constexpr CacheOptions kSmallCache{.cache_bytes = std::size_t{64} << 20};

// The worse of reading and writing. Three copies get the same load, and the second is packed: a store that was packed is read faster, and so
// is none to compare with. The pack has to end within four times what it takes alone.
Measured measure_pack_online() {
  constexpr double kMostTimes = 4;
  Master master(gibibyte());
  double alone = 0;
  {
    RocksDbStore store(master.copy(), unsynced());
    Database database(store, kSmallCache);
    alone = seconds_of([&] { database.pack(kInfinity); });
  }
  const auto load = [&](const std::function<void(Database&)>& meanwhile) {
    RocksDbStore store(master.copy(), {.create_if_missing = false});
    Database database(store, kSmallCache);
    (void)run_load(database, master.blobs(), [] { std::this_thread::sleep_for(std::chrono::seconds(2)); });
    return run_load(database, master.blobs(), [&] { meanwhile(database); });
  };
  const auto time = std::chrono::duration<double>(std::max(3.0, 2 * alone));
  const auto sleep = [&](Database&) { std::this_thread::sleep_for(time); };
  const Load before = load(sleep);
  const Load during = load([](Database& database) { database.pack(kInfinity); });
  const Load after = load(sleep);
  const double reads = during.reads / ((before.reads + after.reads) / 2);
  const double writes = during.writes / ((before.writes + after.writes) / 2);
  const bool in_time = during.seconds <= kMostTimes * alone;
  return {in_time ? std::min(reads, writes) : 0,
          fmt::format(
              "reading {:.3f}x of {:.0f} transactions/s, writing {:.3f}x of {:.0f}; the pack {:.1f} s, alone {:.1f} s: "
              "{:.2f}x, at most {}x, or the figure is 0",
              reads, (before.reads + after.reads) / 2, writes, (before.writes + after.writes) / 2, during.seconds,
              alone, during.seconds / alone, kMostTimes)};
}

/// RocksDB's own compaction of all that a store has.
double seconds_of_compaction(const fs::path& path) {
  const rocksdb::Options options = make_rocksdb_options({.create_if_missing = false});
  const auto require = [](const rocksdb::Status& status) {
    if (!status.ok()) throw std::runtime_error(status.ToString());
  };
  std::vector<std::string> names;
  require(rocksdb::DB::ListColumnFamilies(options, path.string(), &names));
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  // The compaction reads and writes whole files, so options that are of use to loads only do no harm to the others.
  for (const std::string& name : names) descriptors.emplace_back(name, options);
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::DB* opened = nullptr;
  require(rocksdb::DB::Open(options, path.string(), descriptors, &families, &opened));
  const std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::CompactRangeOptions all;
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const double seconds = seconds_of([&] {
    for (rocksdb::ColumnFamilyHandle* family : families) require(db->CompactRange(all, family, nullptr, nullptr));
  });
  for (rocksdb::ColumnFamilyHandle* family : families) require(db->DestroyColumnFamilyHandle(family));
  return seconds;
}

// Both go through the same revisions, so the ratio of speeds is that of times, turned round.
Measured measure_pack_speed() {
  Master master({.objects = static_cast<std::size_t>(100'000 * std::min(effort, 1.0)), .revisions = 10});
  const double revisions = static_cast<double>(master.blobs().size()) * 10;
  std::vector<double> packs, compactions;
  for (int i = 0; i < repetitions(7); ++i) {
    const fs::path copy = master.copy();
    const auto pack = [&] {
      RocksDbStore store(copy, unsynced());
      packs.push_back(seconds_of([&] { store.pack({.before = kInfinity, .is_garbage = {}, .progress = {}}); }));
      fs::remove_all(copy);
    };
    const auto compact = [&] {
      const fs::path other = master.copy();
      compactions.push_back(seconds_of_compaction(other));
      fs::remove_all(other);
    };
    if (i % 2 == 0) {
      pack();
      compact();
    } else {
      compact();
      pack();
    }
  }
  return {median_ratio(compactions, packs), fmt::format("revisions a second: pack {:.0f}, RocksDB {:.0f}",
                                                        revisions / median(packs), revisions / median(compactions))};
}

/// The largest resident size since the last reset, in bytes.
std::uint64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  throw NotMeasurable("/proc/self/status has no VmHWM");
}
void reset_peak() {
  std::ofstream refs("/proc/self/clear_refs");
  if (!(refs << "5" << std::flush)) throw NotMeasurable("/proc/self/clear_refs cannot be written");
}

// Beyond what the process has once every record was read: the store's own caches are full then.
Measured measure_pack_memory() {
  const auto objects = static_cast<std::size_t>(3'000'000 * std::min(effort, 1.0));
  const ScratchDirectory directory;
  RocksDbStore store(directory.path() / "store", unsynced());
  const std::size_t kept = fill(store, {.objects = objects, .bytes = 64}).size();
  Database database(store, {.cache_bytes = std::size_t{8} << 20});
  {
    // One index in ten is lost, with its thousand objects.
    for (std::size_t i = 0; i < kept / kBatch; i += 10)
      database.transact([&](Transaction& txn) { txn.root().erase(fmt::format("index {}", i)); });
  }
  for (std::uint64_t oid = 1; oid <= objects; ++oid) (void)store.load(Oid{oid}, kInfinity);
  give_back_freed_memory();
  reset_peak();
  const std::uint64_t before = process_memory().rss;
  const PackResult result = database.pack(kInfinity, {.collect_garbage = true});
  if (!result.complete) throw std::runtime_error("the pack has not completed");
  const std::uint64_t peak = peak_resident_bytes();
  const double more = mebibytes(static_cast<double>(peak) - static_cast<double>(before));
  return {more, fmt::format("{} objects, {} revisions dropped; {:.0f} MiB before, {:.0f} MiB at most", objects,
                            result.dropped.revisions_dropped, mebibytes(static_cast<double>(before)),
                            mebibytes(static_cast<double>(peak)))};
}

Measured measure_pack_space() {
  Content content = gibibyte();
  Master master(content);
  const fs::path copy = master.copy();
  {
    RocksDbStore store(copy, unsynced());
    store.pack({.before = kInfinity, .is_garbage = {}, .progress = {}});
  }
  const ScratchDirectory directory;
  content.revisions = 1;
  {
    RocksDbStore fresh(directory.path() / "fresh", unsynced());
    (void)fill(fresh, content);
  }
  const auto packed = static_cast<double>(directory_size(copy).bytes);
  const auto fresh = static_cast<double>(directory_size(directory.path() / "fresh").bytes);
  return {packed / fresh, fmt::format("before {:.0f} MiB, packed {:.1f} MiB, only the live data {:.1f} MiB",
                                      mebibytes(static_cast<double>(directory_size(master.path()).bytes)),
                                      mebibytes(packed), mebibytes(fresh))};
}

/// The 99th percentile of commits of one object while `beside` runs, again and again, for so long; and how many there were.
struct Commits {
  double p99_us = 0;
  std::size_t count = 0;
  int beside = 0;
};

Commits commit_for(Database& database, const std::vector<Ref<Blob>>& blobs, double seconds,
                   const std::function<void()>& beside) {
  std::atomic<bool> stop{false};
  Commits commits;
  std::vector<double> times;
  {
    std::jthread other([&] {
      while (!stop) {
        beside();
        ++commits.beside;
      }
    });
    std::mt19937_64 random(3);
    const double end = seconds_now() + seconds;
    while (seconds_now() < end) {
      const Ref<Blob> blob(blobs[random() % blobs.size()].oid());
      times.push_back(seconds_of([&] { database.transact([&](Transaction& txn) { txn.write(blob).bytes[0] ^= 1; }); }));
    }
    stop = true;
  }
  commits.count = times.size();
  std::ranges::sort(times);
  commits.p99_us = times[times.size() * 99 / 100] * 1e6;
  return commits;
}

/// The folder of a file system that is not that of `here` and has so much room. Throws NotMeasurable.
fs::path other_file_system(const fs::path& here, std::uint64_t bytes) {
  const auto device_of = [](const fs::path& path) -> std::optional<dev_t> {
    struct stat found = {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return found.st_dev;
  };
  const fs::path memory = "/dev/shm";
  const std::optional<dev_t> device = device_of(memory);
  if (!device || device == device_of(here)) throw NotMeasurable("/dev/shm is no second file system");
  std::error_code failure;
  if (fs::space(memory, failure).available < bytes || failure)
    throw NotMeasurable(fmt::format("/dev/shm has less room than {:.0f} MiB", mebibytes(static_cast<double>(bytes))));
  return memory;
}

// On the store's file system, and on that of /dev/shm; the worse. Half of it is not what is claimed.
Measured measure_backup_online() {
  const ScratchDirectory here;
  const ScratchDirectory elsewhere(
      other_file_system(here.path(), static_cast<std::uint64_t>(std::min(effort, 1.0) * (std::uint64_t{3} << 30))));
  const double seconds = 30 * std::min(effort, 1.0);
  Master master(gibibyte());
  RocksDbStore store(master.path(), {.create_if_missing = false});
  Database database(store, kSmallCache);
  const auto idle = [] { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
  const auto ratio_at = [&](const fs::path& folder, std::string& detail) {
    int number = 0;
    const auto back_up = [&] {
      const fs::path copy = folder / fmt::format("backup {}", number++);
      store.backup(copy);
      fs::remove_all(copy);
    };
    const Commits before = commit_for(database, master.blobs(), seconds / 2, idle);
    const Commits during = commit_for(database, master.blobs(), seconds, back_up);
    const Commits after = commit_for(database, master.blobs(), seconds / 2, idle);
    const double without = std::sqrt(before.p99_us * after.p99_us);
    detail += fmt::format("{}: {} backups, {} commits, p99 {:.0f} us, {:.0f} us without; ", folder.string(),
                          during.beside, during.count, during.p99_us, without);
    if (effort >= 1 && during.count < 10'000) throw std::runtime_error("fewer than 10,000 commits: " + detail);
    return during.p99_us / without;
  };
  Measured result;
  for (const fs::path& folder : {here.path(), elsewhere.path()})
    result.value = std::max(result.value, ratio_at(folder, result.detail));
  return result;
}

// Each read is a miss: nothing of it is in memory but the store's own blocks.
Measured measure_old_snapshot() {
  constexpr std::size_t kObjects = 100, kRevisions = 1'100, kBack = 1'000;
  const ScratchDirectory directory;
  RocksDbStore store(directory.path() / "store", unsynced());
  const std::vector<Ref<Blob>> blobs = fill(store, {.objects = kObjects, .revisions = kRevisions});
  Database database(store);
  const Tid old{database.last_tid().value - kBack};
  const auto read_all = [&](Transaction txn) {
    return seconds_of([&] {
      for (const Ref<Blob>& blob : blobs) (void)txn.read(Ref<Blob>(blob.oid()));
    });
  };
  const Paired measured = measure_paired(
      repetitions(101),
      [&] {
        database.evict_all();
        return read_all(database.begin_at(old));
      },
      [&] {
        database.evict_all();
        return read_all(database.begin());
      });
  return {measured.ratio, fmt::format("us a read: {:.2f} of the past, {:.2f} of the present",
                                      measured.first * 1e6 / kObjects, measured.second * 1e6 / kObjects)};
}

}  // namespace

std::vector<Claim> pack_claims() {
  using enum Claim::Comparison;
  return {
      {"pack-online",
       "throughput of a reading and a writing thread while a store of 1 GiB with 10 revisions an object is packed / "
       "without, the worse; 0 if the pack takes more than 4 times as long as alone",
       at_least, 0.8, "x", measure_pack_online},
      {"pack-speed", "revisions scanned a second by a pack / by RocksDB's own full compaction of the same data",
       at_least, 0.7, "x", measure_pack_speed},
      {"pack-memory", "peak memory of a pack that collects garbage among 3,000,000 objects, beyond the store's own",
       at_most, 128, "MiB", measure_pack_memory},
      {"pack-space", "directory after a pack / a fresh store with only the live data", at_most, 1.15, "x",
       measure_pack_space},
      {"backup-online",
       "p99 of commits while backups of a store of 1 GiB run one after another / without; same file system and another "
       "one, the worse",
       at_most, 2, "x", measure_backup_online},
      {"old-snapshot", "a read 1,000 revisions back that is not in memory / a normal miss", at_most, 2, "x",
       measure_old_snapshot}};
}

}  // namespace cow::bench
