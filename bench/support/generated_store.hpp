// A store that makes its records up, so that nothing but the cache takes memory or time.
//
// Thread safety: all functions may be called from any thread, if the generator may.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "cow_cache/store.hpp"

namespace cow::bench {

/// Any number of objects, of which it remembers only the last tid: what is read back is the first revision. For programs
/// that ask for no value that they wrote.
class GeneratedStore : public Store {
 public:
  /// `record_of` makes the record of any object but the root, which nobody can ask for.
  explicit GeneratedStore(std::function<std::string(Oid)> record_of) : record_of_(std::move(record_of)) {}

  std::optional<Revision> load(Oid oid, Tid) override { return Revision{.begin = Tid{1}, .record = record_of_(oid)}; }
  Tid last_tid() override { return Tid{last_.load()}; }
  OidBlock allocate_oids(std::uint64_t count) override { return {Oid{next_oid_.fetch_add(count)}, count}; }
  void commit(std::span<const TransactionWrite> group) override { last_ = group.back().tid.value; }

 private:
  const std::function<std::string(Oid)> record_of_;
  std::atomic<std::uint64_t> last_{1}, next_oid_{std::uint64_t{1} << 39};
};

}  // namespace cow::bench
