// WorkloadProfile: what the operations of a workload ask of a cache, counted and not timed: the input of the model of where private
// caches win (bench/report/private_model.py).
//
// Thread safety: plain values.
#pragma once

#include <cmath>
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

namespace cow::bench {

/// What a processor says of its data caches by level, 0 where it says nothing. Linux has levels 1 to 3 as indexes 0, 2 and 3.
inline std::uint64_t processor_cache_bytes(int level) {
  std::ifstream in("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(level) + "/size");
  std::uint64_t size = 0;
  char unit = ' ';
  in >> size >> unit;
  return unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : size;
}

/// What the transactions of some sessions did. What was aborted and done again counts as often as it was done.
struct AccessCounts {
  std::uint64_t transactions = 0;
  std::uint64_t first_reads = 0;     ///< of an object in a transaction
  std::uint64_t repeated_reads = 0;  ///< of one that the transaction has read before
  std::uint64_t writing = 0;         ///< transactions that committed changes
  std::uint64_t changed = 0;         ///< objects in them that were there before
  std::uint64_t created = 0;
  std::uint64_t written_bytes = 0;  ///< of both, in memory

  AccessCounts& operator+=(const AccessCounts& other) {
    transactions += other.transactions;
    first_reads += other.first_reads;
    repeated_reads += other.repeated_reads;
    writing += other.writing;
    changed += other.changed;
    created += other.created;
    written_bytes += other.written_bytes;
    return *this;
  }
};

/// What became of one object.
struct ObjectCounts {
  std::uint64_t reads = 0;    ///< first ones of transactions
  std::uint64_t writes = 0;   ///< commits that changed it
  std::uint64_t bytes = 0;    ///< of its state
  std::uint64_t readers = 0;  ///< sessions
};

/// Objects that are used alike are told of together: those of a quarter of an octave of reads, and of half of one of writes.
class WorkloadProfile {
 public:
  explicit WorkloadProfile(const AccessCounts& counts) : counts_(counts) {}

  void add(const ObjectCounts& object) {
    if (object.reads == 0) return;
    Group& group = groups_[{octave(object.reads, 4), octave(object.writes, 2), object.readers}];
    ++group.objects;
    group.sums.reads += object.reads;
    group.sums.writes += object.writes;
    group.sums.bytes += object.bytes;
  }

  nlohmann::json as_json() const {
    nlohmann::json groups = nlohmann::json::array();
    for (const auto& [alike, group] : groups_) {
      groups.push_back({group.objects, group.sums.reads, group.sums.writes, group.sums.bytes, std::get<2>(alike)});
    }
    return {{"transactions", counts_.transactions},
            {"first_reads", counts_.first_reads},
            {"repeated_reads", counts_.repeated_reads},
            {"writing", counts_.writing},
            {"changed", counts_.changed},
            {"created", counts_.created},
            {"written_bytes", counts_.written_bytes},
            {"l2_bytes", processor_cache_bytes(2)},
            {"l3_bytes", processor_cache_bytes(3)},
            {"groups", groups}};  // objects, and over all of them: reads, writes, bytes; sessions that read each
  }

 private:
  struct Group {
    std::uint64_t objects = 0;
    ObjectCounts sums;
  };

  static int octave(std::uint64_t count, int steps) {
    return count == 0 ? -1 : static_cast<int>(std::log2(static_cast<double>(count)) * steps);
  }

  AccessCounts counts_;
  std::map<std::tuple<int, int, std::uint64_t>, Group> groups_;
};

}  // namespace cow::bench
