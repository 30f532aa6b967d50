// What the children of store_faults_test do: work on a store while its file system fails, and look at what is left.
//
// Thread safety: none; each child has one thread of its own.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cow_cache/errors.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {

inline constexpr const char* kWorkChild = "--store-faults-work";
inline constexpr const char* kCheckChild = "--store-faults-check";

// Exit codes of the children.
inline constexpr int kAllDone = 0;
inline constexpr int kTypedError = 3;  // the file system went on failing
inline constexpr int kWrong = 4;

inline constexpr std::uint64_t kFaultObjects = 12;
inline constexpr std::uint64_t kFaultTransactions = 60;  // in all, over kFaultSessions
inline constexpr std::uint64_t kFaultSessions = 3;
inline constexpr std::uint64_t kFaultGroup = 2;
inline constexpr std::uint64_t kFaultKept = 12;  // transactions that a pack leaves

/// What the first child tells the second one, by appending it to a file that no fault concerns.
struct Acknowledgement {
  std::uint64_t created = 0;
  std::uint64_t last_tid = 0;
  std::uint64_t last_oid = 0;
  std::uint64_t packed = 0;    // the oldest tid after the last pack that has returned
  std::uint64_t packs_to = 0;  // of the last one that has begun
};

/// Something happened that must never happen.
class Wrong : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void require(bool right, const std::string& what) {
  if (!right) throw Wrong(what);
}

inline RocksDbOptions fault_options() {
  RocksDbOptions options;
  options.write_buffer_bytes = 64 << 10;  // so that there are flushes and compactions
  options.max_log_bytes = 128 << 10;
  options.reserve_bytes = 1 << 20;
  options.oid_block = 8;
  options.max_open_files = 20;
  options.verify_at_open = 40;
  return options;
}

// What a transaction writes follows from its tid.
inline std::vector<std::uint64_t> fault_oids(std::uint64_t tid) {
  std::vector<std::uint64_t> oids;
  for (std::uint64_t oid = 1; oid <= kFaultObjects; ++oid) {
    if ((oid + tid) % 3 != 0) oids.push_back(oid);
  }
  return oids;
}

inline std::string fault_record(std::uint64_t oid, std::uint64_t tid) {
  std::mt19937_64 random(oid * 1000 + tid);
  std::string record = std::to_string(oid) + "@" + std::to_string(tid);
  while (record.size() < 1200) record.push_back(static_cast<char>(random()));
  return record;
}

inline void commit_group(Store& store, std::uint64_t first, std::uint64_t count) {
  std::vector<std::vector<std::string>> records(count);
  std::vector<std::vector<ObjectWrite>> objects(count);
  std::vector<TransactionWrite> group;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::vector<std::uint64_t> oids = fault_oids(first + i);
    records[i].reserve(oids.size());
    for (std::uint64_t oid : oids)
      objects[i].push_back(put(oid, records[i].emplace_back(fault_record(oid, first + i))));
    group.push_back({Tid{first + i}, objects[i]});
  }
  store.commit(group);
}

/// The revision of `oid` at `at` must be what was written; what cannot be read throws StoreError.
inline void check_object(Store& store, std::uint64_t oid, std::uint64_t at) {
  std::uint64_t begin = at;
  while (begin > 0 && (oid + begin) % 3 == 0) --begin;
  const std::optional<Revision> revision = store.load(Oid{oid}, Tid{at});
  const std::string name = "oid " + std::to_string(oid) + " at tid " + std::to_string(at);
  require(revision.has_value() == (begin > 0), name + (begin > 0 ? " is gone" : " should not exist"));
  if (begin == 0) return;
  require(revision->begin == Tid{begin}, name + " is of tid " + std::to_string(revision->begin.value));
  require(revision->record == fault_record(oid, begin), name + " has another content");
}

/// How many transactions `verify` finds: those above the oldest tid, and the one at which the chain begins.
inline std::uint64_t fault_transactions(RocksDbStore& store) {
  const std::uint64_t oldest = store.oldest_tid().value;
  return store.last_tid().value - oldest + (oldest > 0 ? 1 : 0);
}

/// The child whose file system fails.
class Worker {
 public:
  /// `strict`: a failed write that closes the store for writing is wrong. `packs`: it packs now and then, too.
  Worker(std::filesystem::path path, const std::filesystem::path& acknowledgements, bool strict, bool packs)
      : path_(std::move(path)),
        strict_(strict),
        packs_(packs),
        acknowledgements_(::open(acknowledgements.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)) {}

  void run() {
    for (std::uint64_t session = 1; session <= kFaultSessions; ++session) {
      const std::uint64_t goal = kFaultTransactions * session / kFaultSessions;
      while (done_.last_tid < goal) {
        const std::unique_ptr<RocksDbStore> store = open();
        done_.created = 1;
        acknowledge();
        require(store->last_tid().value >= done_.last_tid, "a commit that was acknowledged is lost");
        work(*store, goal);
      }
    }
    const std::unique_ptr<RocksDbStore> store = open();
    again([&] { require(store->verify() == fault_transactions(*store), "the history is not whole"); });
  }

 private:
  // More than twice is too often for a fault that strikes once; the rest is for what RocksDB does in the background.
  int attempts() const { return strict_ ? 100 : 4; }

  template <class Action>
  std::invoke_result_t<Action> again(Action action) {
    for (int attempt = 1;; ++attempt) {
      try {
        return action();
      } catch (const StoreError& error) {
        std::printf("%s\n", error.what());
        if (attempt == attempts()) throw;
      } catch (const CorruptRecordError& error) {
        std::printf("%s\n", error.what());
        if (attempt == attempts()) throw;
      }
    }
  }

  std::unique_ptr<RocksDbStore> open() {
    return again([&] { return std::make_unique<RocksDbStore>(path_, creating(fault_options())); });
  }

  // Until the goal, or until the store is closed for writing and must be reopened.
  void work(RocksDbStore& store, std::uint64_t goal) {
    std::mt19937_64 random(store.last_tid().value);
    int failures = 0;
    for (std::uint64_t last = store.last_tid().value; last < goal; last = store.last_tid().value) {
      try {
        const OidBlock oids = store.allocate_oids(3);
        require(oids.first.value > done_.last_oid, "an oid was given out twice");
        done_.last_oid = oids.first.value + 2;
        commit_group(store, last + 1, std::min(kFaultGroup, goal - last));
        done_.last_tid = store.last_tid().value;
        acknowledge();
      } catch (const StoreFullError& error) {
        std::printf("%s\n", error.what());
        require(store.writable(), "closed for writing for want of room");
        if (++failures == attempts()) throw;
      } catch (const StoreError& error) {
        std::printf("%s\n", error.what());
        require(!strict_, "closed for writing for want of room");
        require(!store.writable(), "a write failed, and the store goes on");
        require(!store.trouble().empty(), "a write failed, and nothing is the matter");
        check_closed(store, last);
        if (++reopened_ == attempts()) throw;
        return;
      }
      if (packs_ && done_.last_tid % 5 == 0 && !pack(store)) {
        check_closed(store, done_.last_tid);
        if (++reopened_ == attempts()) throw StoreError("closed for writing again and again");
        return;
      }
      for (int i = 0; i < 3; ++i) {
        again([&] { check_object(store, 1 + random() % kFaultObjects, from_oldest(store, random())); });
      }
    }
  }

  // What a pack that fails has dropped nobody sees; and the next one goes on with it. False: the store is closed for writing.
  bool pack(RocksDbStore& store) {
    if (done_.last_tid <= kFaultKept) return true;
    done_.packs_to = done_.last_tid - kFaultKept;
    acknowledge();
    try {
      again([&] {
        if (!store.writable()) return;
        const PackResult result = store.pack({.before = Tid{done_.packs_to}, .is_garbage = {}, .progress = {}});
        require(result.complete && result.oldest.value == done_.packs_to, "a pack has ended before its end");
      });
    } catch (const StoreFullError&) {
      require(store.writable(), "the store is not only full, it is closed");
      throw;
    }
    if (!store.writable()) return false;
    done_.packed = done_.packs_to;
    acknowledge();
    return true;
  }

  std::uint64_t from_oldest(RocksDbStore& store, std::uint64_t random) const {
    const std::uint64_t oldest = store.oldest_tid().value;
    return oldest + random % (done_.last_tid + 1 - oldest);
  }

  // Reads go on, writes do not.
  void check_closed(RocksDbStore& store, std::uint64_t last) {
    require(store.last_tid().value == last, "a commit has failed and is visible");
    for (std::uint64_t oid = 1; oid <= kFaultObjects; ++oid) again([&] { check_object(store, oid, last); });
    try {
      commit_group(store, last + 1, 1);
    } catch (const StoreReadOnlyError&) {
      return;
    }
    throw Wrong("a commit after one of unknown outcome");
  }

  void acknowledge() const {
    if (::write(acknowledgements_, &done_, sizeof done_) != sizeof done_) throw Wrong("cannot acknowledge");
  }

  const std::filesystem::path path_;
  const bool strict_, packs_;
  const int acknowledgements_;
  Acknowledgement done_;
  int reopened_ = 0;
};

/// Exit code of a child that does `action`.
template <class Action>
int exit_code_of(Action action) {
  ::alarm(120);  // a hang is a death by SIGALRM, which the parent reports with the fault
  int code = kAllDone;
  try {
    action();
  } catch (const Error& error) {
    std::printf("gave up: %s\n", error.what());
    code = kTypedError;
  } catch (const std::exception& error) {
    std::printf("WRONG: %s\n", error.what());
    code = kWrong;
  }
  std::fflush(stdout);
  return code;
}

inline int work(const char* path, const char* acknowledgements, std::string_view how) {
  const auto says = [&](std::string_view word) { return how.find(word) != how.npos; };
  return exit_code_of([&] { Worker(path, acknowledgements, says("strict"), says("packs")).run(); });
}

/// The child that looks at what is left.
inline int check(const char* path, const char* acknowledgements) {
  return exit_code_of([&] {
    Acknowledgement done;
    std::ifstream in(acknowledgements, std::ios::binary);
    for (Acknowledgement next; in.read(reinterpret_cast<char*>(&next), sizeof next);) done = next;
    std::printf("acknowledged: %s, tid %llu\n", done.created ? "created" : "nothing",
                static_cast<unsigned long long>(done.last_tid));
    RocksDbOptions options = fault_options();
    options.create_if_missing = done.created == 0;
    RocksDbStore store(path, options);
    const std::uint64_t last = store.last_tid().value;
    require(last >= done.last_tid, "tid " + std::to_string(done.last_tid) + " was acknowledged, and is lost");
    require(last <= done.last_tid + kFaultGroup, "more than was ever written");
    const std::uint64_t oldest = store.oldest_tid().value;
    require(oldest >= done.packed, "a pack was acknowledged, and is lost");
    require(oldest <= done.packs_to, "packed further than was ever asked for");
    require(store.verify() == fault_transactions(store), "the history is not whole");
    for (std::uint64_t tid = oldest; tid <= last; ++tid) {
      for (std::uint64_t oid = 1; oid <= kFaultObjects; ++oid) check_object(store, oid, tid);
    }
    require(store.allocate_oids(1).first.value > done.last_oid, "an oid is given out again");
    commit_group(store, last + 1, 1);
  });
}

}  // namespace cow::testing
