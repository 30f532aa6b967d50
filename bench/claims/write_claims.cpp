// The write path: first-write, commit-raw, commit-behind-old.
#include <fmt/format.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/random.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_options.hpp"
#include "persistence/rocksdb_store.hpp"

namespace cow::bench {

using cow::detail::destroy_state;
using cow::detail::encode_record;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::type_operations;
using cow::detail::TypeOperations;
namespace size_classes = cow::detail::size_classes;

namespace {

/// An object of `kBytes`, all of them in the object itself and in its record.
template <std::size_t kBytes>
struct Block {
  static constexpr std::string_view cow_type_name = "claims.Block";
  std::array<char, kBytes> bytes{};
  MSGPACK_DEFINE(bytes);
};

template <class T>
std::vector<Ref<T>> create_objects(Database& database, std::size_t count) {
  return database.transact([&](Transaction& txn) {
    std::vector<Ref<T>> objects;
    for (std::size_t i = 0; i < count; ++i) objects.push_back(txn.create(T{}));
    return objects;
  });
}

Measured measure_first_write() {
  using Object = Block<256>;
  constexpr std::size_t kObjects = 1'000;
  MemoryStore store;
  Database database(store, kAmple);
  std::vector<Ref<Object>> objects = create_objects<Object>(database, kObjects);
  Random random(1);
  std::vector<std::uint32_t> order = random_permutation(kObjects, random);

  auto write_all = [&] {
    Transaction txn = database.begin();
    double seconds = seconds_of([&] {
      for (std::uint32_t i : order) keep(txn.write(objects[i]));
    });
    txn.abort();
    return seconds;
  };
  // What no copy-on-write can avoid: the memory of the clone, and the copying.
  StateMemory& memory = StateMemory::instance();
  std::vector<StateHeader*> clones(kObjects);
  auto copy_all = [&] {
    const TypeOperations& operations = type_operations<Object>;
    Transaction txn = database.begin();
    for (std::uint32_t i : order) keep(txn.read(objects[i]));
    double seconds = seconds_of([&] {
      for (std::size_t n = 0; std::uint32_t i : order) {
        StateHeader* clone = memory.allocate(size_classes::class_of(operations.state_bytes));
        clone->key.store(objects[i].hint()->private_key(), std::memory_order_relaxed);
        operations.copy(*clone, *objects[i].hint());
        clones[n++] = clone;
      }
    });
    for (StateHeader* clone : clones) destroy_state(*clone);
    return seconds;
  };
  Paired paired = measure_paired(101, write_all, copy_all);
  double nanoseconds = 1e9 / kObjects;
  return {(paired.first - paired.second) * nanoseconds,
          fmt::format("first write {:.1f} ns, of which allocating and copying {:.1f} ns", paired.first * nanoseconds,
                      paired.second * nanoseconds)};
}

/// A plain RocksDB database with the settings of the store.
std::unique_ptr<rocksdb::DB> open_bare(const std::filesystem::path& path, const RocksDbOptions& options) {
  rocksdb::Options bare = make_rocksdb_options(options);
  bare.create_if_missing = true;
  rocksdb::DB* database = nullptr;
  if (rocksdb::Status status = rocksdb::DB::Open(bare, path.string(), &database); !status.ok()) {
    throw std::runtime_error("cannot open a bare RocksDB in " + path.string() + ": " + status.ToString());
  }
  return std::unique_ptr<rocksdb::DB>(database);
}

std::string big_endian(std::uint64_t high, std::uint64_t low) {
  std::string bytes(16, '\0');
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<char>(low >> (56 - 8 * i));
  }
  return bytes;
}

Measured measure_commit_raw() {
  using Object = Block<256>;
  constexpr std::size_t kObjects = 100;
  constexpr int kCommits = 50;  // per repetition
  const RocksDbOptions options{.durable = false, .create_if_missing = true};
  ScratchDirectory directory;
  RocksDbStore store(directory.path() / "store", options);
  Database database(store, kAmple);
  std::vector<Ref<Object>> objects = create_objects<Object>(database, kObjects);
  std::unique_ptr<rocksdb::DB> bare = open_bare(directory.path() / "bare", options);
  std::string record;
  encode_record(Object{}, record);

  char round = 0;
  auto commit = [&] {
    double seconds = 0;
    for (int i = 0; i < kCommits; ++i) {
      Transaction txn = database.begin();
      ++round;
      for (const Ref<Object>& object : objects) txn.write(object).bytes.fill(round);
      seconds += seconds_of([&] { txn.commit(); });
    }
    return seconds;
  };
  std::uint64_t tid = 0;
  auto write_bare = [&] {
    double seconds = 0;
    for (int i = 0; i < kCommits; ++i) {
      ++tid;
      seconds += seconds_of([&] {
        rocksdb::WriteBatch batch;
        for (std::size_t oid = 0; oid < kObjects; ++oid) {
          if (!batch.Put(big_endian(oid, ~tid), record).ok()) throw std::runtime_error("WriteBatch::Put failed");
        }
        if (!bare->Write(make_rocksdb_write_options(options), &batch).ok())
          throw std::runtime_error("DB::Write failed");
      });
    }
    return seconds;
  };
  Paired paired = measure_paired(41, commit, write_bare);
  double microseconds = 1e6 / kCommits;
  return {paired.ratio,
          fmt::format("{:.1f} / {:.1f} us for {} objects with records of {} bytes", paired.first * microseconds,
                      paired.second * microseconds, kObjects, record.size()),
          upper_end_of_median(paired.ratios)};
}

/// A store whose loads take as long as those of a fast device.
class DeviceStore : public Store {
 public:
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    return inner_.load(oid, at);
  }
  Tid last_tid() override { return inner_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return inner_.allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override { inner_.commit(group); }

 private:
  MemoryStore inner_;
};

/// The longest wait, in seconds, of another thread's commits of one object while a transaction of 5,000 objects commits.
/// That one is older than the recent writes, or young.
double longest_wait_beside(bool old) {
  using Object = Block<8>;
  constexpr std::size_t kObjects = 5'000;
  DeviceStore store;
  Database database(store, kAmple);
  std::vector<Ref<Object>> objects = create_objects<Object>(database, kObjects);
  Ref<Object> small = create_objects<Object>(database, 1).front();
  auto grow_older = [&] {
    for (int i = 0; i < 70; ++i) create_objects<Object>(database, 1'000);
  };
  if (!old) grow_older();
  Transaction large = database.begin();
  for (const Ref<Object>& object : objects) large.write(object).bytes.fill(1);
  if (old) grow_older();

  std::atomic<bool> stop = false;
  std::atomic<int> commits = 0;
  double longest = 0;
  std::thread other([&] {
    while (!stop) {
      double seconds =
          seconds_of([&] { database.transact([&](Transaction& txn) { txn.write(small).bytes.fill(3); }); });
      longest = std::max(longest, seconds);
      commits.fetch_add(1, std::memory_order_relaxed);
    }
  });
  while (commits.load(std::memory_order_relaxed) < 100) std::this_thread::yield();
  large.commit();
  stop = true;
  other.join();
  return longest;
}

Measured measure_commit_behind_old() {
  Paired paired = measure_paired(
      repetitions(21), [] { return longest_wait_beside(true); }, [] { return longest_wait_beside(false); });
  return {paired.ratio,
          fmt::format("longest wait {:.2f} ms beside an old transaction of 5,000 objects, {:.2f} ms beside "
                      "a young one; a load takes 50 us",
                      paired.first * 1e3, paired.second * 1e3)};
}

}  // namespace

std::vector<Claim> write_claims() {
  using enum Claim::Comparison;
  return {
      {"first-write", "first write of a 256 B object, beyond allocating and copying it", at_most, 35, "ns",
       measure_first_write},
      {"commit-raw",
       "unsynced commit of 100 x 256 B objects against the same records in a bare RocksDB WriteBatch; the bound is for "
       "the upper end of the interval",
       at_most, 1.15, "x", measure_commit_raw},
      {"commit-behind-old",
       "longest wait of a commit of one object beside a transaction of 5,000 objects that is older than the recent "
       "writes / beside an equally large young one",
       at_most, 1.5, "x", measure_commit_behind_old},
  };
}

}  // namespace cow::bench
