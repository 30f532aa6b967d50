// Beside another store: peers.
#include "claim.hpp"

#ifdef COW_BENCH_HAS_PEERS

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>

#include "bench/peers/contender.hpp"
#include "bench/peers/cow_cache_peer.hpp"
#include "bench/peers/lmdb_peer.hpp"
#include "bench/peers/rounds.hpp"
#include "bench/support/scratch_directory.hpp"

namespace cow::bench {
namespace {

/// The point at which LMDB comes closest, and every point beside it.
Measured measure_peers() {
  using namespace peers;
  constexpr double kSampleSeconds = 0.02;
  const int rounds = repetitions(21);
  Measured closest{.value = std::numeric_limits<double>::infinity(),
                   .detail = "LMDB / by reference (by oid), ns a read: "};
  for (std::size_t objects : {10'000, 1'000'000}) {
    ScratchDirectory folder;
    const Chain chain(objects, 42);
    auto cache = std::make_shared<CowCachePeer>(chain);
    std::vector<std::unique_ptr<Contender>> field;
    field.push_back(contender_of("by reference", chain, cache));
    field.push_back(contender("by oid", chain, [cache](std::size_t at) { return cache->open_reader_by_oid(at); }));
    field.push_back(contender_of("lmdb", chain, std::make_shared<LmdbPeer>(chain, folder.path())));
    for (const auto& one : field) one->verify();
    for (std::size_t threads : {1, 2}) {
      for (std::size_t reads : {10, 100, 1'000}) {
        const Rounds measured(field, {.reads = reads, .threads = threads}, rounds, kSampleSeconds, 42);
        const double ratio = measured.ratio(2, 0);
        closest.value = std::min(closest.value, ratio);
        closest.detail +=
            fmt::format("{} objects, {} reads, {} thread{}: {:.0f} / {:.1f} ({:.1f}) = {:.1f}x ({:.1f}x); ", objects,
                        reads, threads, threads == 1 ? "" : "s", measured.nanoseconds(2), measured.nanoseconds(0),
                        measured.nanoseconds(1), ratio, measured.ratio(2, 1));
      }
    }
  }
  closest.detail.resize(closest.detail.size() - 2);
  return closest;
}

}  // namespace
}  // namespace cow::bench

#else

namespace cow::bench {
namespace {

Measured measure_peers() {
  throw NotMeasurable("built without LMDB and WiredTiger (scripts/setup --peers, Meson's option peers)");
}

}  // namespace
}  // namespace cow::bench

#endif

namespace cow::bench {

std::vector<Claim> peer_claims() {
  return {
      {"peers",
       "a read by LMDB's zero-copy get against one by reference, the same chase in snapshots of 10 to 1,000 reads; the "
       "smallest ratio of 10,000 and 1,000,000 objects, 1 and 2 threads",
       Claim::Comparison::at_least, 3.5, "x", measure_peers}};
}

}  // namespace cow::bench
