// What logical threads cost: async-hit, coroutines-memory, littles-law, sleepers-10k-limbo.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <deque>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/support/process_memory.hpp"
#include "claim.hpp"
#include "cow_cache/async.hpp"

namespace cow::bench {
namespace {

using namespace std::chrono_literals;

/// 256 bytes, as in the claims about sleepers.
struct Item {
  static constexpr std::string_view cow_type_name = "claims.AsyncItem";
  std::int64_t value = 0;
  std::string text;
  std::array<char, 216> padding{};
  MSGPACK_DEFINE(value, text, padding);
};

constexpr std::size_t kItems = 20'000;
constexpr int kCrowd = 10'000, kReads = 100;
constexpr auto kWait = 100ms;

template <class Database>
std::vector<Ref<Item>> make_items(Database& database) {
  std::vector<Ref<Item>> items;
  auto session = open_session(database);
  while (items.size() < kItems) {
    auto batch = session.transact([&](typename Database::Transaction& txn) {
      std::vector<Ref<Item>> made;
      for (int i = 0; i < 1000; ++i) made.push_back(txn.create(Item{i, std::string(40, 'x'), {}}));
      return made;
    });
    items.insert(items.end(), batch.begin(), batch.end());
  }
  return items;
}

struct Items : InMemory<cow::detail::SharedCache> {
  std::vector<Ref<Item>> items = make_items(database);
  AsyncDatabase async{database, {.most_waiting = kCrowd}};
};

// ---- async-hit

/// Bytes that this thread has ever allocated, as jemalloc counts them.
std::uint64_t allocated_bytes() {
  std::uint64_t bytes = 0;
  std::size_t size = sizeof bytes;
  if (mallctl == nullptr || mallctl("thread.allocated", &bytes, &size, nullptr, 0) != 0)
    throw std::runtime_error("allocations are counted by jemalloc, which this build does not have");
  return bytes;
}

constexpr int kRounds = 1000;
constexpr std::size_t kHot = 1000;

Task<double> nanoseconds_of_awaited_hits(AsyncTransaction& txn, const std::vector<Ref<Item>>& items) {
  std::int64_t sum = 0;
  double start = seconds_now();
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kHot; ++i) sum += (co_await async_read(txn, items[i])).value;
  }
  keep(sum);
  co_return (seconds_now() - start) * 1e9 / (kRounds * kHot);
}

Task<double> nanoseconds_of_plain_hits(AsyncTransaction& txn, const std::vector<Ref<Item>>& items) {
  std::int64_t sum = 0;
  double start = seconds_now();
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kHot; ++i) sum += txn->read(items[i]).value;
  }
  keep(sum);
  co_return (seconds_now() - start) * 1e9 / (kRounds * kHot);
}

Measured measure_async_hit() {
  Items hot;
  boost::asio::io_context loop;
  std::vector<double> beyond, awaited, plain;
  std::uint64_t allocated = 0;
  spawn(
      loop.get_executor(),
      [](Items& all, AnyExecutor executor, auto& differences, auto& async_ns, auto& sync_ns,
         std::uint64_t& bytes) -> Task<> {
        AsyncTransaction txn = co_await async_begin(all.async, executor);
        for (const Ref<Item>& item : all.items) (void)txn->read(item);
        for (int i = 0; i < 31; ++i) {
          std::uint64_t before = allocated_bytes();
          Task<double> hits = nanoseconds_of_awaited_hits(txn, all.items);
          std::uint64_t frame = allocated_bytes() - before;  // the measuring coroutine's own
          double first = co_await std::move(hits);
          bytes += allocated_bytes() - before - frame;
          double second = co_await nanoseconds_of_plain_hits(txn, all.items);
          async_ns.push_back(first);
          sync_ns.push_back(second);
          differences.push_back(first - second);
        }
      }(hot, loop.get_executor(), beyond, awaited, plain, allocated),
      [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
      });
  loop.run();
  double value = allocated == 0 ? median(beyond) : std::numeric_limits<double>::infinity();
  return {value, fmt::format("{:.2f} ns awaited, {:.2f} ns plain, over {} hot objects; {} bytes allocated by {} hits",
                             median(awaited), median(plain), kHot, allocated, 31 * kRounds * kHot)};
}

// ---- crowds

/// Coroutines on a few loops, each of which runs transactions of kReads reads and a wait, one after another, until the
/// crowd is stopped.
class CoroutineCrowd {
 public:
  CoroutineCrowd(Items& all, int coroutines, int threads, Cancellation::Clock::duration wait) : all_(all), wait_(wait) {
    for (int i = 0; i < threads; ++i) loops_.emplace_back(1);
    for (int i = 0; i < coroutines; ++i) {
      AnyExecutor executor = loops_[static_cast<std::size_t>(i % threads)].get_executor();
      spawn(executor, live(executor, static_cast<unsigned>(i)), [this](std::exception_ptr error) {
        if (error) ++failures_;
      });
    }
    for (boost::asio::io_context& loop : loops_) threads_.emplace_back([&loop] { loop.run(); });
  }
  ~CoroutineCrowd() { stop(); }

  void stop() {
    source_.request_stop();
    threads_.clear();
    if (failures_.exchange(0) > 0) std::terminate();  // nothing here can fail
  }
  std::uint64_t done() const { return done_; }
  int most_asleep() const { return most_asleep_; }

 private:
  Task<> live(AnyExecutor executor, unsigned seed) {
    std::minstd_rand dice(seed + 1);
    Cancellation cancellation(source_.get_token());
    auto body = [this, &dice](AsyncTransaction& txn) -> Task<> {
      for (int i = 0; i < kReads; ++i) keep((co_await async_read(txn, all_.items[dice() % kItems])).value);
      int asleep = ++asleep_;
      if (int most = most_asleep_; asleep > most) most_asleep_.compare_exchange_strong(most, asleep);
      co_await async_sleep(txn, wait_);
      --asleep_;
    };
    try {
      for (;;) {
        co_await async_transact(all_.async, executor, body, cancellation);
        done_.fetch_add(1, std::memory_order_relaxed);
      }
    } catch (const CancelledError&) {
    }
  }

  Items& all_;
  const Cancellation::Clock::duration wait_;
  std::stop_source source_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<int> asleep_{0}, most_asleep_{0}, failures_{0};
  std::deque<boost::asio::io_context> loops_;
  std::vector<std::jthread> threads_;
};

double anonymous() { return static_cast<double>(process_memory().anonymous); }

/// What each session with a private cache costs that has read as much.
double bytes_of_a_private_session() {
  constexpr int kSessions = 300;
  InMemory<PrivateCache> system;
  std::vector<Ref<Item>> items = make_items(system.database);
  std::minstd_rand dice(1);
  std::deque<Session<InMemory<PrivateCache>::Database>> sessions;
  std::vector<InMemory<PrivateCache>::Database::Transaction> open;
  double before = anonymous();
  for (int i = 0; i < kSessions; ++i) {
    sessions.push_back(open_session(system.database));
    open.push_back(sessions.back().begin());
    for (int k = 0; k < kReads; ++k) (void)open.back().read(items[dice() % kItems]);
  }
  double each = (anonymous() - before) / kSessions;
  open.clear();
  return each;
}

Measured measure_coroutines_memory() {
  double private_each = bytes_of_a_private_session();
  Items all;
  {
    Transaction txn = all.database.begin();
    for (const Ref<Item>& item : all.items) (void)txn.read(item);
  }
  give_back_freed_memory();
  double before = anonymous(), most = 0;
  CoroutineCrowd crowd(all, kCrowd, 2, kWait);
  for (double start = seconds_now(); seconds_now() - start < 3;) {
    std::this_thread::sleep_for(20ms);
    most = std::max(most, anonymous() - before);
  }
  int asleep = crowd.most_asleep();
  crowd.stop();
  return {mebibytes(most),
          fmt::format("{} coroutines, {} of them asleep at once, {} objects each: {:.0f} bytes each; private caches: "
                      "{:.0f} bytes each of 300, so {:.0f} MiB for as many",
                      kCrowd, asleep, kReads, most / kCrowd, private_each, mebibytes(private_each * kCrowd))};
}

double transactions_per_second(CoroutineCrowd& crowd, double seconds) {
  std::this_thread::sleep_for(500ms);  // all have begun
  std::uint64_t before = crowd.done();
  double start = seconds_now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return static_cast<double>(crowd.done() - before) / (seconds_now() - start);
}

/// The same requests with a thread for each that is under way, to compare: no more than threads / wait.
double requests_per_second_of_pool(Items& all, unsigned threads) {
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stopped{false};
  std::optional<WorkerPool> pool(std::in_place, "requests", PoolLimits{.threads = threads});
  // Every request that ends sends the next one.
  auto request = [&](auto& again, unsigned seed) -> void {
    std::minstd_rand dice(seed + 1);
    Transaction txn = all.database.begin();
    for (int i = 0; i < kReads; ++i) keep(txn.read(all.items[dice() % kItems]).value);
    std::this_thread::sleep_for(kWait);
    txn.commit();
    ++done;
    if (!stopped) pool->post([&again, seed] { again(again, seed + kCrowd); });
  };
  for (unsigned i = 0; i < 2 * threads; ++i) pool->post([&request, i] { request(request, i); });
  std::this_thread::sleep_for(500ms);
  std::uint64_t before = done;
  double start = seconds_now();
  std::this_thread::sleep_for(3s);
  double measured = static_cast<double>(done - before) / (seconds_now() - start);
  stopped = true;
  pool.reset();
  return measured;
}

Measured measure_littles_law() {
  constexpr int kThreads = 2;
  constexpr unsigned kPool = 8;
  Items all;
  double service = 0;
  {
    CoroutineCrowd one(all, 1, 1, 0ms);
    service = 1 / transactions_per_second(one, 0.5);
  }
  double wait = std::chrono::duration<double>(kWait).count();
  double of_pool = requests_per_second_of_pool(all, kPool);
  CoroutineCrowd crowd(all, kCrowd, kThreads, kWait);
  double measured = transactions_per_second(crowd, 3), law = kCrowd / (wait + service);
  return {measured / law,
          fmt::format(
              "{:.0f} transactions/s of {} reads and a wait of {:.0f} ms, on {} loops; {} / ({:.0f} ms + {:.1f} us) "
              "= {:.0f}; a pool of {} threads: {:.1f}/s",
              measured, kReads, wait * 1e3, kThreads, kCrowd, wait * 1e3, service * 1e6, law, kPool, of_pool)};
}

Measured measure_sleepers_limbo() {
  Items all;
  double bytes_each = 0;
  {
    Transaction txn = all.database.begin();
    for (const Ref<Item>& item : all.items) (void)txn.read(item);
    bytes_each = static_cast<double>(all.database.statistics().cache_bytes) / kItems;
  }
  CoroutineCrowd sleepers(all, kCrowd, 1, 1h);
  while (sleepers.most_asleep() < kCrowd) std::this_thread::sleep_for(10ms);
  // A state that several sleepers have read is in limbo once. All have begun before the first write, so what they hold
  // are the first revisions, and no more than there are.
  double logged = bytes_each * kItems;
  std::atomic<std::uint64_t> commits{0};
  std::jthread writer([&](std::stop_token stop) {
    std::minstd_rand dice(1);
    for (; !stop.stop_requested(); ++commits) {
      Transaction txn = all.database.begin();
      for (int i = 0; i < 20; ++i) ++txn.write(all.items[dice() % kItems]).value;
      txn.commit();
    }
  });
  double most = 0, late_most = 0;
  double start = seconds_now();
  for (double now = 0; now < 10; now = seconds_now() - start) {
    auto bytes = static_cast<double>(all.database.statistics().limbo_bytes);
    most = std::max(most, bytes);
    if (now > 5) late_most = std::max(late_most, bytes);
    std::this_thread::sleep_for(5ms);
  }
  writer.request_stop();
  writer.join();
  sleepers.stop();
  return {
      mebibytes(most - logged),
      fmt::format("{} sleepers of {} objects; limbo at most {:.1f} MiB, in the second half {:.1f}; the distinct states "
                  "that they hold: {:.1f} MiB; {} commits of 20 objects in 10 s",
                  kCrowd, kReads, mebibytes(most), mebibytes(late_most), mebibytes(logged), commits.load())};
}

}  // namespace

std::vector<Claim> async_claims() {
  using enum Claim::Comparison;
  return {
      {"async-hit", "a hit of async_read beyond a synchronous hit; infinite if it allocates", at_most, 5, "ns",
       measure_async_hit},
      {"coroutines-memory", "memory of 10,000 coroutines asleep in transactions of 100 objects, beyond the cache",
       at_most, 64, "MiB", measure_coroutines_memory},
      {"littles-law", "throughput of 10,000 coroutines that wait 100 ms in each transaction, against Little's law",
       at_least, 0.9, "x", measure_littles_law},
      {"sleepers-10k-limbo", "limbo beyond what 10,000 sleeping coroutines hold, writes at full speed", at_most, 4,
       "MiB", measure_sleepers_limbo},
  };
}

}  // namespace cow::bench
