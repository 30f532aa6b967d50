// The sides of the chunk check: each way to read, on each traversal of OO7, by passes that any meter can measure.
//
// Thread safety: one thread.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/workloads/workload_error.hpp"
#include "chunk_bench.hpp"
#include "hit_cost_reader.hpp"

namespace cow::bench {

/// Of the chunks that were written to, and how a traversal is measured.
inline constexpr std::array kShares = {0.0, 0.01, 0.05, 0.10, 0.25, 0.50};
inline constexpr std::array<std::string_view, 2> kModes = {"hot", "fresh"};

/// How passes are measured.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual void prepare() {}  ///< before one more pass that does not count
  virtual void start() = 0;
  virtual void stop(std::uint64_t passes) = 0;
};

/// One side on one traversal. A function of its own makes the pass, as in hit_cost.cpp: the same machine code whatever is around it.
using Runs = std::function<void(std::string_view mode, std::uint64_t passes, Meter& meter)>;

template <class Transaction, class Pass>
[[gnu::noinline]] void run_pass(Transaction& txn, Pass& pass) {
  pass(txn);
}

template <class Begin, class Pass>
Runs runs_of(Begin begin, Pass pass) {
  return [begin, pass](std::string_view mode, std::uint64_t passes, Meter& meter) mutable {
    if (mode == "hot") {
      auto&& txn = begin();
      run_pass(txn, pass);
      meter.prepare();
      run_pass(txn, pass);
      meter.start();
      for (std::uint64_t i = 0; i < passes; ++i) run_pass(txn, pass);
      meter.stop(passes);
    } else {
      auto one = [&] {
        auto&& txn = begin();
        run_pass(txn, pass);
      };
      one();
      meter.prepare();
      one();
      meter.start();
      for (std::uint64_t i = 0; i < passes; ++i) one();
      meter.stop(passes);
    }
  };
}

struct Side {
  std::string system, operation;
  Runs runs;
  Holdings holdings{};  ///< after one pass
};

inline std::string label_of(std::string_view system, std::string_view operation, std::string_view mode, unsigned shift,
                            double share) {
  return fmt::format("{}/{}/{}/{}/{}", system, operation, mode, 1u << shift, share);
}

/// All sides on one module, at a share of chunks that were written to.
template <class Features>
class Sides {
 public:
  static constexpr unsigned kShift = Features::kShift;

  Sides(ChunkedModule<kShift>& module, RawInMemory& raw, bool with_bounds) : module_(module), raw_(raw) {
    add_all<oo7::Operation::t1>("T1", with_bounds);
    add_all<oo7::Operation::t6>("T6", with_bounds);
    add_all<oo7::Operation::t2b>("T2b", with_bounds);
    reads_["T2b"] = reads_["T1"];  // beside its writes it reads what T1 does
  }

  std::vector<Side>& all() noexcept { return sides_; }
  /// Of one pass.
  std::uint64_t reads_of(const std::string& operation) const { return reads_.at(operation); }

 private:
  template <oo7::Operation kOperation>
  void add_all(const std::string& operation, bool with_bounds) {
    const oo7::Parameters& parameters = module_.parameters();
    sides_.push_back({"raw", operation,
                      runs_of([this] { return raw_.database.begin(); }, Pass<RawDatabase, kOperation>(parameters))});
    sides_.push_back(
        {"shared", operation,
         runs_of([this] { return module_.system().database.begin(); }, Pass<Database, kOperation>(parameters)),
         holdings<kOperation, Features>(module_.no_headers())});
    add<kOperation, Features>("chunks", operation);
    if constexpr (kOperation != oo7::Operation::t2b) {
      ProbeTransaction<Counting> counting(module_.residents());
      Pass<ProbeDatabase<Counting>, kOperation>{parameters}(counting);
      reads_[operation] = counting.reads();
      if (!with_bounds) return;
      if constexpr (std::is_same_v<Features, ByChunk>) {
        add<kOperation, ByChunkShortKey>("chunks-short-key", operation);
        add<kOperation, ByChunkBlindly>("chunks-blindly", operation);
        sides_.push_back({"hint-only", operation,
                          runs_of([this] { return ProbeTransaction<HintOnly>(module_.residents()); },
                                  Pass<ProbeDatabase<HintOnly>, kOperation>(parameters))});
      }
    }
  }

  template <oo7::Operation kOperation, class Chosen>
  void add(const std::string& system, const std::string& operation) {
    sides_.push_back({system, operation,
                      runs_of([this] { return ChunkTransaction<Chosen>(module_.residents(), module_.headers()); },
                              Pass<ChunkDatabase<Chosen>, kOperation>(module_.parameters())),
                      holdings<kOperation, Chosen>(module_.headers())});
  }

  /// After one pass, which must have read what the cache's own reader reads.
  template <oo7::Operation kOperation, class Chosen>
  Holdings holdings(ChunkHeaders<kShift>& headers) {
    Transaction by_cache = module_.system().database.begin();
    const std::int64_t checksum = Pass<Database, kOperation>{module_.parameters()}(by_cache);
    ChunkTransaction<Chosen> txn(module_.residents(), headers);
    check_count("checksum of a traversal", static_cast<std::uint64_t>(checksum),
                static_cast<std::uint64_t>(Pass<ChunkDatabase<Chosen>, kOperation>{module_.parameters()}(txn)));
    return holdings_of(txn, module_.residents(), kShift);
  }

  ChunkedModule<kShift>& module_;
  RawInMemory& raw_;
  std::vector<Side> sides_;
  std::map<std::string, std::uint64_t> reads_;
};

}  // namespace cow::bench
