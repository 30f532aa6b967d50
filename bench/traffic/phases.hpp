// What the threads do whose traffic between cores is counted, and timed: hits, transactions without work, first reads,
// commits, misses. One definition for both programs.
//
// Thread safety: a Prepared is made by one thread; then every thread has a Worker of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/baselines/blocking_cache.hpp"
#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/workloads/chase.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench::coherence {

enum class Phase { hit, begin_end, first_reads, commit, miss };
inline constexpr std::array<std::string_view, 5> kPhaseNames{"hit", "begin-end", "first-reads", "commit", "miss"};
inline constexpr std::array<Phase, 5> kPhases{Phase::hit, Phase::begin_end, Phase::first_reads, Phase::commit,
                                              Phase::miss};

/// What is committed and missed: a number and a text on the heap.
struct Entry {
  static constexpr std::string_view cow_type_name = "coherence.Entry";
  static constexpr std::size_t kTextBytes = 200;
  std::int64_t value = 0;
  std::string text = std::string(kTextBytes, 'x');
  MSGPACK_DEFINE(value, text);
};

inline constexpr std::size_t kHotObjects = 1'000;  ///< that all threads read
inline constexpr std::size_t kFirstReads = 100;    ///< of them in one transaction
inline constexpr std::size_t kOwnObjects = 64;     ///< that a thread commits, one in each transaction

/// The caches by name.
template <class Use>
void with_cache(const std::string& name, Use&& use) {
  if (name == "shared") return use(std::type_identity<cow::detail::SharedCache>{});
  if (name == "private") return use(std::type_identity<PrivateCache>{});
  if (name == "locked") return use(std::type_identity<LockedCache>{});
  if (name == "blocking") return use(std::type_identity<BlockingCache>{});
  throw std::invalid_argument("no cache '" + name + "'");
}
inline const std::vector<std::string> kCacheNames{"shared", "private", "locked", "blocking"};

/// A database over a store in memory, with nothing in its cache.
template <class Cache>
class Prepared {
 public:
  using Database = BasicDatabase<Cache>;
  using Node = chase::Node<typename Database::Pointers>;
  using Start = typename Node::template Ref<Node>;

  /// `cold`: objects that each thread may miss, each of them once.
  Prepared(std::size_t threads, std::size_t cold)
      : cold_(cold), oids_(fill(threads, cold)), database_(store_, {.cache_bytes = std::size_t{4} << 30}) {}

  Database& database() { return database_; }
  std::size_t cold() const { return cold_; }
  Oid start() const { return oids_.start; }
  Oid own(std::size_t thread, std::size_t i) const { return oids_.of_thread[thread][i]; }
  Oid cold(std::size_t thread, std::size_t i) const { return oids_.of_thread[thread][kOwnObjects + i]; }

 private:
  struct Oids {
    Oid start;
    std::vector<std::vector<Oid>> of_thread;
  };

  /// With a database of its own, which takes its cache with it when it closes.
  Oids fill(std::size_t threads, std::size_t cold) {
    constexpr std::size_t kBatch = 10'000;
    Database database(store_, {.cache_bytes = std::size_t{4} << 30});
    auto session = open_session(database);
    Oids oids{chase::build<Database>(session, kHotObjects).oid(), {}};
    for (std::size_t thread = 0; thread < threads; ++thread) {
      std::vector<Oid>& own = oids.of_thread.emplace_back();
      while (own.size() < kOwnObjects + cold) {
        session.transact([&](typename Database::Transaction& txn) {
          for (std::size_t i = 0; i < kBatch && own.size() < kOwnObjects + cold; ++i) {
            own.push_back(txn.create(Entry{}).oid());
          }
        });
      }
    }
    return oids;
  }

  const std::size_t cold_;
  MemoryStore store_;
  const Oids oids_;
  Database database_;
};

/// One thread's work. Made in that thread, and aligned, so that nothing of it lies on a line of another thread's.
template <class Cache>
class alignas(128) Worker {
 public:
  using Database = BasicDatabase<Cache>;

  Worker(Prepared<Cache>& prepared, std::size_t thread)
      : prepared_(prepared), thread_(thread), session_(open_session(prepared.database())), start_(prepared.start()) {
    for (std::size_t i = 0; i < kOwnObjects; ++i) own_.emplace_back(prepared.own(thread, i));
  }

  /// Before the first step of a phase.
  void enter(Phase phase) {
    if (phase != Phase::hit) return;
    open_.emplace(session_.begin());
    at_ = chase::follow(*open_, &start_, 2 * kHotObjects);
  }
  /// After its last step.
  void leave(Phase phase) {
    if (phase != Phase::hit) return;
    open_->commit();
    open_.reset();
  }

  void step(Phase phase, std::size_t steps) {
    switch (phase) {
      case Phase::hit:
        at_ = chase::follow(*open_, at_, steps);
        break;
      case Phase::begin_end:
        for (; steps > 0; --steps) session_.begin().commit();
        break;
      case Phase::first_reads:
        for (; steps > 0; --steps) {
          auto txn = session_.begin();
          checksum_ += chase::follow(txn, &start_, kFirstReads)->oid().value;
          txn.commit();
        }
        break;
      case Phase::commit:
        for (; steps > 0; --steps) {
          commit_one(own_[next_own_]);
          next_own_ = next_own_ + 1 == kOwnObjects ? 0 : next_own_ + 1;
        }
        break;
      case Phase::miss:
        for (; steps > 0; --steps) {
          auto txn = session_.begin();
          checksum_ += txn.read(EntryReference(prepared_.cold(thread_, next_cold_++))).text.size();
          txn.commit();
        }
        break;
    }
  }

  /// Objects that this thread has not missed yet.
  std::size_t cold_left() const { return prepared_.cold() - next_cold_; }

 private:
  using EntryReference = typename Database::Pointers::template Ref<Entry>;

  /// Nobody else writes this object, but a blocking cache takes two writers at once for a conflict, whatever they write.
  void commit_one(const EntryReference& reference) {
    for (;;) {
      try {
        auto txn = session_.begin();
        ++txn.write(reference).value;
        txn.commit();
        return;
      } catch (const ConflictError&) {
      }
    }
  }

  Prepared<Cache>& prepared_;
  const std::size_t thread_;
  Session<Database> session_;
  const typename Prepared<Cache>::Start start_;
  std::vector<EntryReference> own_;
  std::optional<typename Database::Transaction> open_;
  const typename Prepared<Cache>::Start* at_ = nullptr;
  std::size_t next_own_ = 0, next_cold_ = 0;
  std::uint64_t checksum_ = 0;
};

}  // namespace cow::bench::coherence
