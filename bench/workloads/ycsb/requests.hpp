// YCSB's workloads A to F: the mixes of operations, and requests drawn before the clock starts.
//
// Thread safety: plain values.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/workloads/random.hpp"
#include "keys.hpp"

namespace cow::bench::ycsb {

inline constexpr std::uint32_t kFields = 10;
inline constexpr std::uint32_t kFieldBytes = 100;
inline constexpr std::uint32_t kLongestScan = 100;

enum class Operation : std::uint8_t { read, update, insert, scan, read_modify_write };
inline constexpr std::size_t kOperations = 5;

/// One of the core workloads.
struct Mix {
  char name = 'A';
  double read = 0, update = 0, insert = 0, scan = 0, read_modify_write = 0;  ///< shares
  bool latest = false;  ///< requests prefer records inserted last; otherwise Zipf

  /// "A" to "F". Throws std::invalid_argument.
  static Mix named(const std::string& name) {
    if (name == "A") return {.name = 'A', .read = 0.5, .update = 0.5};
    if (name == "B") return {.name = 'B', .read = 0.95, .update = 0.05};
    if (name == "C") return {.name = 'C', .read = 1};
    if (name == "D") return {.name = 'D', .read = 0.95, .insert = 0.05, .latest = true};
    if (name == "E") return {.name = 'E', .insert = 0.05, .scan = 0.95};
    if (name == "F") return {.name = 'F', .read = 0.5, .read_modify_write = 0.5};
    throw std::invalid_argument("YCSB has the workloads A to F, not '" + name + "'");
  }

  bool writes() const { return update > 0 || insert > 0 || read_modify_write > 0; }

  Operation draw(Random& random) const {
    double left = random.unit();
    if ((left -= read) < 0) return Operation::read;
    if ((left -= update) < 0) return Operation::update;
    if ((left -= insert) < 0) return Operation::insert;
    if ((left -= scan) < 0) return Operation::scan;
    if (read_modify_write > 0) return Operation::read_modify_write;
    return read > 0 ? Operation::read : Operation::scan;  // rounding
  }
};

struct Request {
  Operation operation = Operation::read;
  std::uint8_t field = 0;        ///< that an update or a read-modify-write changes
  std::uint8_t length = 1;       ///< of a scan, 1 to kLongestScan
  std::uint32_t record = 0;      ///< its number; with `latest`, how many records before the last one
  std::uint64_t value_seed = 0;  ///< of the bytes that are written
};

/// Draws the requests of workers. Drawing a Zipf key costs more than a hit, so it is done beforehand.
class RequestSource {
 public:
  RequestSource(const Mix& mix, Distribution distribution, std::uint32_t records, std::uint64_t seed)
      : mix_(mix), distribution_(distribution), scrambled_(records), true_(records, seed), latest_(records, kTheta) {}

  std::vector<Request> draw(std::size_t count, Random& random) const {
    std::vector<Request> requests(count);
    for (Request& request : requests) {
      request.operation = mix_.draw(random);
      request.field = static_cast<std::uint8_t>(random.below(kFields));
      request.length = static_cast<std::uint8_t>(random.between(1, kLongestScan));
      request.record = static_cast<std::uint32_t>(draw_record(random));
      request.value_seed = random.next();
    }
    return requests;
  }

  const Mix& mix() const { return mix_; }

 private:
  std::uint64_t draw_record(Random& random) const {
    if (mix_.latest) return latest_.draw(random);
    return distribution_ == Distribution::true_zipf ? true_.draw(random) : scrambled_.draw(random);
  }

  Mix mix_;
  Distribution distribution_;
  ScrambledZipf scrambled_;
  TrueZipf true_;
  Zipf latest_;  ///< YCSB's "skewed latest" is Zipf over the age of records, not scrambled
};

}  // namespace cow::bench::ycsb
