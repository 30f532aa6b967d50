// What the size of a value costs those who change it: the first write and the commit, of one byte and of all, in a shared
// cache (a write clones) and a private one (a write changes in place), for a value in one object and for one in pieces of
// 4 KiB, each an object of its own, of which a write clones only those that it changes.
//
// All of them are interleaved in one process, on stores of the same kind. Every value that is read is compared with a model.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/baselines/private_cache.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/progress.hpp"
#include "bench/support/scratch_directory.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/workload_error.hpp"
#include "counting_store.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "probe.hpp"

namespace cow::bench {
namespace {

constexpr std::size_t kPieceBytes = 4096;

// ---- the two ways to store a value

struct Whole {
  static constexpr std::string_view cow_type_name = "probes.Whole";
  std::string bytes;
  MSGPACK_DEFINE(bytes);
};

struct Piece {
  static constexpr std::string_view cow_type_name = "probes.Piece";
  std::string bytes;
  MSGPACK_DEFINE(bytes);
};
struct Pieces {
  static constexpr std::string_view cow_type_name = "probes.Pieces";
  std::vector<Ref<Piece>> pieces;
  MSGPACK_DEFINE(pieces);
};

/// A change of a value: one byte, or all of them.
struct Change {
  std::optional<std::size_t> at;  ///< nothing: all
  char to = 0;

  void apply(std::string& bytes, std::size_t offset = 0) const {
    if (at) {
      bytes[*at - offset] = to;
    } else {
      std::fill(bytes.begin(), bytes.end(), to);
    }
  }
};

struct InOne {
  static constexpr const char* kName = "whole";
  using Object = Ref<Whole>;

  static Object create(auto& txn, const std::string& bytes) { return txn.create(Whole{bytes}); }
  static void change(auto& txn, const Object& object, const Change& change) { change.apply(txn.write(object).bytes); }
  /// Calls `visit` for each part of the value.
  static void read(auto& txn, const Object& object, auto&& visit) { visit(txn.read(object).bytes); }
  static std::size_t objects_changed(const Change&, std::size_t) { return 1; }
};

struct InPieces {
  static constexpr const char* kName = "pieces";
  using Object = Ref<Pieces>;

  static Object create(auto& txn, const std::string& bytes) {
    Pieces value;
    for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      value.pieces.push_back(txn.create(Piece{bytes.substr(at, kPieceBytes)}));
    }
    return txn.create(std::move(value));
  }
  static void change(auto& txn, const Object& object, const Change& change) {
    const Pieces& value = txn.read(object);
    if (change.at) {
      std::size_t number = *change.at / kPieceBytes;
      change.apply(txn.write(value.pieces[number]).bytes, number * kPieceBytes);
    } else {
      for (const Ref<Piece>& piece : value.pieces) change.apply(txn.write(piece).bytes);
    }
  }
  static void read(auto& txn, const Object& object, auto&& visit) {
    for (const Ref<Piece>& piece : txn.read(object).pieces) visit(txn.read(piece).bytes);
  }
  static std::size_t objects_changed(const Change& change, std::size_t bytes) {
    return change.at ? 1 : (bytes + kPieceBytes - 1) / kPieceBytes;
  }
};

// ---- measuring

struct Sample {
  double read_s = 0;                     ///< of one value, all of it
  double write_s = 0;                    ///< the first write of one value that the transaction has read
  double commit_s = 0;                   ///< of a transaction that changed one value
  double records = 0, record_bytes = 0;  ///< that such a commit hands to the store
};

std::unique_ptr<Store> open_store(const ObjectSizeOptions& options, const std::filesystem::path& path) {
  if (options.store == "memory") return std::make_unique<MemoryStore>();
  return std::make_unique<RocksDbStore>(
      path, RocksDbOptions{.durable = options.store == "rocksdb", .create_if_missing = true});
}

/// A database with one session.
template <class Database>
struct System {
  System(const ObjectSizeOptions& options, const std::filesystem::path& path)
      : below(open_store(options, path)), store(*below), database(store, kAmple), session(open_session(database)) {}

  std::unique_ptr<Store> below;
  CountingStore store;
  Database database;
  Session<Database> session;
};

/// Values of one size, stored in one way in one system, and changed in one way.
template <class Database, class Layout>
class Side {
 public:
  Side(System<Database>& system, std::size_t bytes, bool one_byte, std::uint64_t seed)
      : system_(system), bytes_(bytes), one_byte_(one_byte), random_(seed) {
    std::size_t count = std::clamp<std::size_t>(kBatchBytes / bytes, 1, kMaxInBatch);
    system_.session.transact([&](auto& txn) {
      objects_.clear();
      for (std::size_t i = 0; i < count; ++i) objects_.push_back(Layout::create(txn, std::string(bytes, 'a')));
    });
    models_.assign(count, std::string(bytes, 'a'));
  }

  Sample operator()() {
    Sample sample;
    const std::vector<Change> changes = draw(objects_.size());
    const auto values = static_cast<double>(objects_.size());
    {
      auto txn = system_.session.begin();
      std::uint64_t found = 0;
      sample.read_s = seconds_of([&] {
                        for (const auto& object : objects_) {
                          Layout::read(txn, object, [&](const std::string& part) { found += count_in(part); });
                        }
                      }) /
                      values;
      std::uint64_t expected = 0;
      for (const std::string& model : models_) expected += count_in(model);
      check_count("bytes that are 'a' in all values", expected, found);
      sample.write_s = seconds_of([&] {
                         for (std::size_t i = 0; i < objects_.size(); ++i) Layout::change(txn, objects_[i], changes[i]);
                       }) /
                       values;
      txn.commit();
    }
    for (std::size_t i = 0; i < objects_.size(); ++i) changes[i].apply(models_[i]);
    const Change one = draw(1).front();
    const std::size_t chosen = random_.below(objects_.size());
    {
      auto txn = system_.session.begin();
      Layout::change(txn, objects_[chosen], one);
      check_count("objects written", Layout::objects_changed(one, bytes_), txn.writes());
      const CountingStore::Counts before = system_.store.counts();
      sample.commit_s = seconds_of([&] { txn.commit(); });
      const CountingStore::Counts after = system_.store.counts();
      check_count("commits of the store", 1, after.transactions - before.transactions);
      check_count("records of a commit", Layout::objects_changed(one, bytes_), after.records - before.records);
      sample.records = static_cast<double>(after.records - before.records);
      sample.record_bytes = static_cast<double>(after.bytes - before.bytes);
    }
    one.apply(models_[chosen]);
    return sample;
  }

  /// Every byte of every value, as the next transaction sees it. Throws WrongAnswerError.
  void verify() {
    auto txn = system_.session.begin();
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      std::string value;
      Layout::read(txn, objects_[i], [&](const std::string& part) { value += part; });
      if (value != models_[i])
        throw WrongAnswerError(fmt::format("value {} of {} bytes is not what was written", i, bytes_));
    }
    check_count("conflicts of a single session", 0, system_.database.statistics().conflicts);
  }

 private:
  static constexpr std::size_t kBatchBytes = std::size_t{256} << 10, kMaxInBatch = 64;

  static std::uint64_t count_in(const std::string& part) {
    return static_cast<std::uint64_t>(std::count(part.begin(), part.end(), 'a'));
  }

  std::vector<Change> draw(std::size_t count) {
    std::vector<Change> changes(count);
    for (Change& change : changes) {
      change.to = static_cast<char>('a' + random_.below(26));
      if (one_byte_) change.at = random_.below(bytes_);
    }
    return changes;
  }

  System<Database>& system_;
  const std::size_t bytes_;
  const bool one_byte_;
  Random random_;
  std::vector<typename Layout::Object> objects_;
  std::vector<std::string> models_;
};

/// What is measured of one side, whatever its types are.
struct Measured {
  std::string system;
  bool one_byte;
  std::function<Sample()> sample;
  std::function<void()> verify;
};

template <class Layout, class Database>
void add_sides(std::vector<Measured>& sides, const std::string& cache, System<Database>& system, std::size_t bytes,
               std::uint64_t seed) {
  for (bool one_byte : {true, false}) {
    auto side = std::make_shared<Side<Database, Layout>>(system, bytes, one_byte, seed);
    sides.push_back({.system = cache + "/" + Layout::kName,
                     .one_byte = one_byte,
                     .sample = [side] { return (*side)(); },
                     .verify = [side] { side->verify(); }});
  }
}

double median_of(const std::vector<Sample>& samples, double Sample::*member) {
  std::vector<double> values;
  for (const Sample& sample : samples) values.push_back(sample.*member);
  return median(values);
}

nlohmann::json row_of(const ObjectSizeOptions& options, std::size_t bytes, const Measured& side,
                      const std::vector<Sample>& samples) {
  const std::string change = side.one_byte ? "one byte" : "all";
  nlohmann::json row =
      probe_row(options, side.system, "object-size", {{"store", options.store}, {"bytes", bytes}, {"change", change}});
  const double write_us = median_of(samples, &Sample::write_s) * 1e6;
  const double commit_us = median_of(samples, &Sample::commit_s) * 1e6;
  std::vector<double> updates;
  for (const Sample& sample : samples) updates.push_back((sample.write_s + sample.commit_s) * 1e6);
  row["operations"] = samples.size();
  row["duration_s"] = median(updates) / 1e6;
  row["figures"] = {{"write_us", write_us},
                    {"commit_us", commit_us},
                    {"update_us", median(updates)},
                    {"read_us", median_of(samples, &Sample::read_s) * 1e6},
                    {"records_per_commit", median_of(samples, &Sample::records)},
                    {"record_bytes_per_commit", median_of(samples, &Sample::record_bytes)}};
  fmt::print(
      "{:>8} B {:<16} {:<9} {:<14} write {:>9.2f} us, commit {:>10.2f} us, read {:>9.2f} us, {:>9.0f} B stored\n",
      bytes, options.store, change, side.system, write_us, commit_us, row["figures"]["read_us"].get<double>(),
      row["figures"]["record_bytes_per_commit"].get<double>());
  return row;
}

}  // namespace

void probe_object_size(const ObjectSizeOptions& options) {
  start_a_thread_once();
  std::optional<ScratchDirectory> scratch;
  std::filesystem::path path = options.path;
  if (path.empty()) path = scratch.emplace().path();
  std::filesystem::create_directories(path);
  System<Database> shared(options, path / "shared");
  System<BasicDatabase<PrivateCache>> own(options, path / "private");
  std::vector<nlohmann::json> rows;
  Progress progress("object size");
  for (std::size_t bytes = 64; bytes <= options.most_bytes; bytes *= 4) {
    std::vector<Measured> sides;
    add_sides<InOne>(sides, "shared", shared, bytes, options.seed);
    add_sides<InPieces>(sides, "shared", shared, bytes, options.seed);
    add_sides<InOne>(sides, "private", own, bytes, options.seed);
    add_sides<InPieces>(sides, "private", own, bytes, options.seed);
    std::vector<std::function<Sample()>> samples;
    for (const Measured& side : sides) samples.push_back(side.sample);
    const std::vector<std::vector<Sample>> measured = measure_interleaved(options.rounds, samples, options.seed);
    for (std::size_t i = 0; i < sides.size(); ++i) {
      sides[i].verify();
      rows.push_back(row_of(options, bytes, sides[i], measured[i]));
    }
    progress(bytes, options.most_bytes);
  }
  append_rows(options.output, rows);
}

}  // namespace cow::bench
