// Small commits where the store costs nothing, so that the caches are what differs: small-commit.
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/baselines/blocking_cache.hpp"
#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/session.hpp"
#include "bench/support/generated_store.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/thread_time.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"

namespace cow::bench {
namespace {

struct Counter {
  static constexpr std::string_view cow_type_name = "claims.Counter";
  std::int64_t value = 0;
  MSGPACK_DEFINE(value);
};

std::string record_of_counter(Oid) {
  std::string record;
  cow::detail::encode_record(Counter{}, record);
  return record;
}

/// Threads that change one object each, over and over. None meets a conflict, unless the cache itself invents one.
///
/// The store remembers no value, so no object may be loaded anew: sessions stay as they are, and all of them take part in
/// every run, or a private one would fall behind the log of changes and drop its object.
template <class Cache>
class Counting {
 public:
  using Database = BasicDatabase<Cache>;

  explicit Counting(std::size_t threads) {
    for (std::size_t i = 0; i < threads; ++i) clients_.push_back({open_session(database_), counter(i)});
    for (Client& client : clients_) client.count(1);
  }

  /// For `commits` transactions of each thread: begin, one write, commit. One thread waits for nothing, so its processor
  /// time counts; of several it is the time from the first one's start to the last one's end. The clients look at the clock
  /// themselves: a thread that only measured would get a processor late, where all are taken.
  double seconds(int commits) {
    if (clients_.size() == 1) return processor_seconds_of([&] { clients_.front().count(commits); });
    constexpr int kWarmUp = 100;  // what a new thread needs of the cache, once
    std::barrier ready(static_cast<std::ptrdiff_t>(clients_.size()));
    std::vector<std::jthread> threads;
    for (Client& client : clients_) {
      threads.emplace_back([&] {
        client.count(kWarmUp);
        ready.arrive_and_wait();
        client.start = seconds_now();
        client.count(commits);
        client.end = seconds_now();
      });
    }
    threads.clear();
    auto earlier = [](const Client& a, const Client& b) { return a.start < b.start; };
    auto ends_earlier = [](const Client& a, const Client& b) { return a.end < b.end; };
    return std::ranges::max_element(clients_, ends_earlier)->end - std::ranges::min_element(clients_, earlier)->start;
  }

 private:
  static constexpr std::size_t kApart = 128;  // bytes: two lines, for processors that fetch them in pairs

  struct alignas(kApart) Client {
    Session<Database> session;
    Ref<Counter> counter;
    double start = 0, end = 0;  ///< of its last run

    void count(int commits) {
      for (int i = 0; i < commits; ++i) {
        session.transact([&](typename Database::Transaction& txn) { ++txn.write(counter).value; });
      }
    }
  };

  /// Far apart: neighbours would be guarded by one lock of a table, which objects of different clients seldom are.
  static Ref<Counter> counter(std::uint64_t number) { return Ref<Counter>(Oid{kRootOid.value + 1 + 1'000 * number}); }

  GeneratedStore store_{record_of_counter};
  Database database_{store_, kAmple};
  std::vector<Client> clients_;
};

/// The shared cache against the fastest of the others, which is the one with the lowest median.
Measured measure_with(std::size_t threads) {
  constexpr int kCommits = 20'000;  // of each thread
  Counting<cow::detail::SharedCache> shared(threads);
  Counting<PrivateCache> separate(threads);
  Counting<LockedCache> locked(threads);
  Counting<BlockingCache> blocking(threads);
  const std::vector<std::string_view> names{"shared", "private", "locked", "blocking"};
  std::vector<std::function<double()>> sides{
      [&] { return shared.seconds(kCommits); }, [&] { return separate.seconds(kCommits); },
      [&] { return locked.seconds(kCommits); }, [&] { return blocking.seconds(kCommits); }};
  const std::vector<std::vector<double>> measured = measure_interleaved(repetitions(31), sides, 42);
  Measured result{.detail = fmt::format("{} thread{}, us a commit:", threads, threads == 1 ? "" : "s")};
  std::size_t best = 1;
  for (std::size_t side = 0; side < sides.size(); ++side) {
    if (side > 0 && median(measured[side]) < median(measured[best])) best = side;
    const double commits = static_cast<double>(kCommits) * static_cast<double>(threads);
    result.detail += fmt::format(" {} {:.3f},", names[side], median(measured[side]) * 1e6 / commits);
  }
  result.value = median_ratio(measured[0], measured[best]);
  result.detail += fmt::format(" {:.3f}x of {}", result.value, names[best]);
  return result;
}

Measured measure_small_commit() {
  const Measured alone = measure_with(1), two = measure_with(2);
  return {std::max(alone.value, two.value), alone.detail + "; " + two.detail};
}

}  // namespace

std::vector<Claim> commit_claims() {
  return {{"small-commit",
           "transactions that change one object, on a store that does nothing, shared cache against the best of "
           "private, locked and blocking ones; 1 and 2 threads, the worse",
           Claim::Comparison::at_most, 1.15, "x", measure_small_commit}};
}

}  // namespace cow::bench
