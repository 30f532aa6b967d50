// One of the processes of the probe `postgres-peers`: a database over the PostgreSQL that all share, and some sessions.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/baselines/peer_two_level.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/random.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/postgres_store.hpp"
#include "postgres_peers_probe.hpp"

namespace cow::bench {
namespace postgres_peers {
namespace {

template <class Pointers>
struct Document {
  static constexpr std::string_view cow_type_name = "peers.Document";
  std::uint64_t number = 0, version = 0, check = 0;
  std::string text;
  MSGPACK_DEFINE(number, version, check, text);
};

template <class Pointers>
struct Documents {
  static constexpr std::string_view cow_type_name = "peers.Documents";
  std::vector<typename Pointers::template Ref<Document<Pointers>>> all;
  MSGPACK_DEFINE(all);
};

constexpr const char* kEntry = "documents";

std::uint64_t check_of(std::uint64_t number, std::uint64_t version) {
  return (number + 1) * 0x9E3779B97F4A7C15u ^ version * 0xBF58476D1CE4E5B9u;
}

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// When something happened at a tid, by the clock that all processes of the machine share.
struct Event {
  std::uint64_t tid;
  double at;
};

/// What all sessions of a run have done.
struct Done {
  std::uint64_t transactions = 0, commits = 0, aborts = 0;
  std::vector<Event> committed;  // when the commit had returned
  std::vector<Event> seen;       // when a transaction first had this snapshot

  void add(const Done& other) {
    transactions += other.transactions;
    commits += other.commits;
    aborts += other.aborts;
    committed.insert(committed.end(), other.committed.begin(), other.committed.end());
    seen.insert(seen.end(), other.seen.begin(), other.seen.end());
  }
};

template <class Database>
class Peer {
  using Pointers = typename Database::Pointers;
  using Directory = Documents<Pointers>;
  using Item = Document<Pointers>;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

 public:
  explicit Peer(const PostgresPeersOptions& options)
      : options_(options),
        store_({.connection = options.connection,
                .schema = options.schema,
                .create_if_missing = true,
                .pool_size = kPoolSize}),
        database_(store_, cache_options(options)) {
    for (std::uint32_t i = 0; i < options.sessions; ++i) {
      sessions_.push_back(std::make_unique<Session<Database>>(database_));
      directories_.emplace_back();
    }
  }

  nlohmann::json answer(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "open") return {{"memory", memory()}};
    if (command == "fill") return fill();
    if (command == "warm") {
      std::uint32_t first = 0, count = 0;
      words >> first >> count;
      return warm(first, count);
    }
    if (command == "run") {
      Plan plan;
      words >> plan.start >> plan.seconds >> plan.write_share >> plan.sessions >> std::ws;
      std::getline(words, plan.events);
      return run(plan);
    }
    if (command == "weigh") return {{"memory", memory()}, {"cache_bytes", database_.statistics().total_bytes()}};
    if (command == "sum") {
      std::uint64_t tid = 0;
      words >> tid;
      return sum(Tid{tid});
    }
    throw std::invalid_argument("a process does not know the word " + line);
  }

 private:
  struct Plan {
    double start = 0, seconds = 0, write_share = 0;
    std::uint32_t sessions = 0;
    std::string events;  // the file that they go to; -: nowhere
  };

  // Each session may load, one may commit, and one learns of others.
  static constexpr std::size_t kPoolSize = 6;
  static constexpr std::chrono::seconds kLongestSync{60};
  static constexpr std::size_t kKeys = std::size_t{1} << 16;

  /// Everything fits, twice over.
  static CacheOptions cache_options(const PostgresPeersOptions& options) {
    return {.cache_bytes = (std::size_t{4} << 20) + 2 * options.objects * (options.bytes + 256)};
  }

  static nlohmann::json memory() {
    give_back_freed_memory();
    const ProcessMemory memory = process_memory();
    return {{"rss", memory.rss}, {"pss", memory.pss}, {"uss", memory.uss}};
  }

  nlohmann::json fill() {
    constexpr std::uint32_t kBatch = 500;
    Directory directory;
    while (directory.all.size() < options_.objects) {
      std::vector<Oid> made;
      sessions_[0]->transact([&](auto& txn) {
        made.clear();
        for (std::uint64_t i = directory.all.size(); i < options_.objects && made.size() < kBatch; ++i) {
          Item item{.number = i, .version = 0, .check = check_of(i, 0), .text = std::string(options_.bytes, 'a')};
          made.push_back(txn.create(std::move(item)).oid());
        }
      });
      for (const Oid oid : made) directory.all.emplace_back(oid);
    }
    auto txn = sessions_[0]->begin();
    txn.root().emplace(kEntry, directory);
    return {{"tid", txn.commit().value}};
  }

  /// Sessions `first` to `first + count - 1` read everything once, all at the same time.
  nlohmann::json warm(std::uint32_t first, std::uint32_t count) {
    const Before before(*this);
    const double begun = seconds_now();
    in_sessions(first, count, [&](std::uint32_t number) {
      Transaction txn = sessions_[number]->begin();
      directories_[number] = txn.root().template get<Directory>(kEntry);
      const Directory& directory = txn.read(directories_[number]);
      if (directory.all.size() != options_.objects) throw std::runtime_error("the directory is not whole");
      // From where the sessions before it are not: each object is loaded by a session that is the first to need it.
      for (std::size_t i = 0; i < directory.all.size(); ++i) {
        const std::size_t which = (i + number * directory.all.size() / options_.sessions) % directory.all.size();
        (void)checked(txn, directory, which);
      }
    });
    nlohmann::json found = before.since();
    found["seconds"] = seconds_now() - begun;
    return found;
  }

  nlohmann::json run(const Plan& plan) {
    std::vector<Done> done(plan.sessions);
    const std::vector<std::vector<std::uint32_t>> keys = draw_keys(plan.sessions);
    const Before before(*this);
    in_sessions(0, plan.sessions, [&](std::uint32_t number) { work(plan, number, keys[number], done[number]); });
    while (seconds_now() < plan.start + plan.seconds)  // without sessions it learns what others commit
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    nlohmann::json found = before.since();
    Done all;
    for (const Done& each : done) all.add(each);
    found["transactions"] = all.transactions;
    found["commits"] = all.commits;
    found["aborts"] = all.aborts;
    found["last"] = database_.last_tid().value;
    if (plan.events != "-") {
      std::ofstream out(plan.events);
      for (const Event& event : all.committed) out << fmt::format("c {} {:.9f}\n", event.tid, event.at);
      for (const Event& event : all.seen) out << fmt::format("s {} {:.9f}\n", event.tid, event.at);
      if (!out.flush()) throw std::runtime_error("cannot write " + plan.events);
    }
    return found;
  }

  /// As one session sees it that sees `tid`: changes so far, and a wrong value is an error.
  nlohmann::json sum(Tid tid) {
    if (!database_.sync(tid, kLongestSync)) throw std::runtime_error("a process does not follow");
    Transaction txn = sessions_[0]->begin();
    const Directory& directory = txn.read(directories_[0]);
    std::uint64_t versions = 0;
    for (std::size_t i = 0; i < directory.all.size(); ++i) versions += checked(txn, directory, i).version;
    return {{"versions", versions}};
  }

  using Transaction = typename Database::Transaction;

  static const Item& checked(Transaction& txn, const Directory& directory, std::size_t which) {
    const Item& item = txn.read(directory.all[which]);
    if (item.number != which || item.check != check_of(item.number, item.version))
      throw std::runtime_error(fmt::format("document {} says that it is {}", which, item.number));
    return item;
  }

  /// Of each session, drawn before the clock starts.
  std::vector<std::vector<std::uint32_t>> draw_keys(std::uint32_t sessions) {
    Random shuffle(1);  // in every process the same objects are hot
    const std::vector<std::uint32_t> object_of = random_permutation(options_.objects, shuffle);
    const Zipf zipf(options_.objects, kPeersTheta);
    std::vector<std::vector<std::uint32_t>> keys(sessions);
    for (std::uint32_t session = 0; session < sessions; ++session) {
      Random random(options_.seed * 1'000 + session + 1);
      for (std::size_t i = 0; i < kKeys; ++i) keys[session].push_back(object_of[zipf.draw(random)]);
    }
    return keys;
  }

  void work(const Plan& plan, std::uint32_t number, const std::vector<std::uint32_t>& keys, Done& done) {
    Random random(options_.seed * 7'919 + number + 1);
    std::size_t next = random.below(kKeys);
    std::uint64_t newest = 0;
    while (seconds_now() < plan.start) std::this_thread::sleep_for(std::chrono::microseconds(200));
    for (double now = plan.start; now < plan.start + plan.seconds; now = seconds_now()) {
      const bool writes = random.chance(plan.write_share);
      const std::uint64_t written = writes ? random.below(options_.objects) : 0;
      for (bool is_done = false; !is_done;) {
        Transaction txn = sessions_[number]->begin();
        if (const std::uint64_t snapshot = txn.snapshot().value; snapshot > newest) {
          newest = snapshot;
          done.seen.push_back({snapshot, seconds_now()});
        }
        const Directory& directory = txn.read(directories_[number]);
        for (std::uint32_t i = 0; i < options_.reads; ++i) keep(checked(txn, directory, keys[(next + i) % kKeys]));
        is_done = !writes || commits(txn, directory.all[written], done);
      }
      next += options_.reads;
      ++done.transactions;
    }
  }

  static bool commits(Transaction& txn, const Ref<Item>& reference, Done& done) {
    Item& item = txn.write(reference);
    item.check = check_of(item.number, ++item.version);
    try {
      const Tid tid = txn.commit();
      done.committed.push_back({tid.value, seconds_now()});
      ++done.commits;
      return true;
    } catch (const ConflictError&) {
      ++done.aborts;
      return false;
    }
  }

  template <class Work>
  void in_sessions(std::uint32_t first, std::uint32_t count, Work&& work) {
    if (first + count > sessions_.size()) throw std::invalid_argument("there are fewer sessions");
    std::vector<std::exception_ptr> errors(count);
    {
      std::vector<std::jthread> threads;
      for (std::uint32_t i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
          try {
            work(first + i);
          } catch (...) {
            errors[i] = std::current_exception();
          }
        });
      }
    }
    for (const std::exception_ptr& error : errors) {
      if (error) std::rethrow_exception(error);
    }
  }

  /// Counters, to be subtracted.
  class Before {
   public:
    explicit Before(Peer& peer)
        : peer_(peer),
          statistics_(peer.database_.statistics()),
          store_(peer.store_.statistics()),
          processor_(processor_seconds()) {}

    nlohmann::json since() const {
      const Statistics now = peer_.database_.statistics();
      const PostgresStatistics store = peer_.store_.statistics();
      return {{"loads", now.loads + now.old_loads - statistics_.loads - statistics_.old_loads},
              {"round_trips", store.round_trips - store_.round_trips},
              {"groups", store.groups - store_.groups},
              {"remote", now.remote_commits - statistics_.remote_commits},
              {"processor_s", processor_seconds() - processor_}};
    }

   private:
    Peer& peer_;
    const Statistics statistics_;
    const PostgresStatistics store_;
    const double processor_;
  };

  const PostgresPeersOptions options_;
  PostgresStore store_;
  Database database_;
  std::vector<std::unique_ptr<Session<Database>>> sessions_;
  std::vector<Ref<Directory>> directories_;  // each session's own, for the hint
};

template <class Database>
void serve(const PostgresPeersOptions& options) {
  Peer<Database> peer(options);
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json answer;
    try {
      answer = peer.answer(line);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace
}  // namespace postgres_peers

void run_postgres_peer(const PostgresPeersOptions& options) {
  using namespace postgres_peers;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  start_a_thread_once();
  if (options.cache == "shared") {
    serve<Database>(options);
  } else if (options.cache == "private") {
    serve<BasicDatabase<PrivateCache>>(options);
  } else if (options.cache == "two-level") {
    serve<PeerTwoLevelDatabase>(options);
  } else {
    throw std::invalid_argument("no such cache: " + options.cache);
  }
}

}  // namespace cow::bench
