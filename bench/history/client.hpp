// One client of a history: a thread that keeps several transactions open, which read lists and append to them.
//
// Thread safety: a client is used by one thread; what it shares with others is its host, and the board.
//
// A list is made by the first transaction that appends to it, and others know its oid before that commits. So they meet
// objects that do not exist yet, and must see the empty list. Lists are left behind as they grow.
#pragma once

#include <tsl/robin_map.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "board.hpp"
#include "cow_cache/cow_cache.hpp"
#include "history.hpp"

namespace cow::bench::history {

struct AppendList {
  static constexpr std::string_view cow_type_name = "history.List";
  std::vector<std::uint64_t> values;
  MSGPACK_DEFINE_MAP(values);
};

/// Nanoseconds of a clock that is the same for all processes of a machine.
inline std::int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

/// A transaction that is under way, and what becomes of it.
struct OpenTransaction {
  Transaction txn;
  HistoryTransaction record;
  std::uint64_t id;                  ///< no other transaction has it
  unsigned left;                     ///< operations to come
  bool sleeps;                       ///< for longer than most
  std::vector<std::uint32_t> makes;  ///< lists
  bool failed = false;               ///< the store could not be reached: it will not commit
  Tid tid{};                         ///< of its commit
  bool is_unseen = false;  ///< committed, but its database could not learn of those before (CommittedUnseenError)
  Tid snapshot{};
  std::int64_t began = 0, asked = 0;  ///< for its host
};

/// Where a client gets its transactions from, and what it tells of them.
class ClientHost {
 public:
  virtual Board& board() = 0;
  /// Sets `record.begin`. Throws StoreError.
  virtual Transaction begin(std::mt19937_64& random, HistoryTransaction& record) = 0;
  /// It was the last one of this client that `begin` has made.
  virtual void began(OpenTransaction& /*open*/) {}
  virtual Database& any_database(std::mt19937_64& random) = 0;
  /// It has written something and is about to commit.
  virtual void before_commit(OpenTransaction& /*open*/) {}
  virtual void ended(OpenTransaction& open) = 0;
  /// Whether a store that cannot be reached ends a transaction, or the client.
  virtual bool expects_failures() const { return false; }
  /// Whether an error of a commit says that it was not done, and is to be expected.
  virtual bool is_refusal(const StoreError& /*error*/) const { return false; }

 protected:
  ~ClientHost() = default;
};

class Client {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::uint32_t number =
        1;              ///< of this client, from 1 on: no other one has it. Values and transactions are named by it
    unsigned open = 4;  ///< transactions at a time
  };

  Client(ClientHost& host, const Options& options)
      : host_(host),
        options_(options),
        random_(options.seed),
        next_value_(std::uint64_t{options.number} << 40),
        next_id_(next_value_) {}

  /// Until no more transaction may begin.
  void run() {
    while (may_begin_ || !open_.empty()) {
      if (may_begin_ && (open_.empty() || (open_.size() < options_.open && random_() % 2 == 0))) {
        may_begin_ = host_.board().take_one();
        if (may_begin_) begin();
        if (open_.empty()) continue;
      }
      const std::size_t index = random_() % open_.size();
      OpenTransaction& open = open_[index];
      if (open.sleeps && may_begin_ && random_() % 64 != 0) continue;
      if (open.left > 0 && !open.failed) {
        --open.left;
        operate(open);
        if (random_() % 8 == 0) open.txn.will_sleep();
        continue;
      }
      finish(open);
      if (index + 1 < open_.size()) open_[index] = std::move(open_.back());
      open_.pop_back();
      if (random_() % 256 == 0) host_.any_database(random_).evict_all();
    }
  }

 private:
  void begin() {
    HistoryTransaction record;
    const unsigned operations = 1 + static_cast<unsigned>(random_() % 5);
    for (;;) {
      try {
        Transaction txn = host_.begin(random_, record);
        open_.push_back({std::move(txn), std::move(record), ++next_id_, operations, random_() % 16 == 0, {}});
        open_.back().snapshot = open_.back().txn.snapshot();
        host_.began(open_.back());
        return;
      } catch (const StoreConnectionError&) {
        if (!host_.expects_failures()) throw;
      } catch (const StaleFrontierError&) {
        if (!host_.expects_failures()) throw;
      }
    }
  }

  void finish(OpenTransaction& open) {
    open.record.outcome = Outcome::aborted;
    host_.board().note_seen(open.snapshot);
    if (!open.failed && random_() % 32 != 0) {
      commit(open);
    } else {
      open.txn.abort();
    }
    open.record.end = now();
    const bool is_made = open.record.outcome == Outcome::committed;
    for (const std::uint32_t key : open.makes) {
      Board::List& list = host_.board().list(key);
      (is_made ? list.is_made : list.is_dead).store(true, std::memory_order_relaxed);
    }
    host_.ended(open);
    host_.board().note_ended();
  }

  void commit(OpenTransaction& open) {
    bool writes = false;
    for (const HistoryOperation& operation : open.record.operations) writes = writes || operation.appended != 0;
    if (writes) host_.before_commit(open);
    try {
      open.tid = open.txn.commit();
      open.record.outcome = Outcome::committed;
    } catch (const ConflictError&) {
      // Aborted.
    } catch (const CommittedUnseenError& error) {
      if (!host_.expects_failures()) throw;
      open.tid = error.tid;
      open.is_unseen = true;
      open.record.outcome = Outcome::committed;
    } catch (const OutcomeUnknownError&) {
      if (!host_.expects_failures()) throw;
      open.record.outcome = Outcome::unknown;
    } catch (const StoreError& error) {
      if (!host_.is_refusal(error)) throw;
    }
    if (open.record.outcome == Outcome::committed) host_.board().note_seen(open.tid);
  }

  void operate(OpenTransaction& open) {
    const std::uint32_t key = host_.board().pick(random_);
    Board::List& list = host_.board().list(key);
    try {
      const std::uint64_t oid = list.oid.load(std::memory_order_acquire);
      if (oid != 0) return use(open, key, Oid{oid});
      std::uint32_t nobody = 0;
      if (list.maker.compare_exchange_strong(nobody, options_.number, std::memory_order_relaxed)) make(open, key, list);
    } catch (const StoreConnectionError&) {
      if (!host_.expects_failures()) throw;
      open.failed = true;
    }
  }

  void use(OpenTransaction& open, std::uint32_t key, Oid oid) {
    Ref<AppendList>& known = references_[key];
    if (!known) known = Ref<AppendList>(oid);
    Ref<AppendList> fresh(oid);
    Ref<AppendList>& reference = random_() % 4 == 0 ? fresh : known;
    try {
      if (random_() % 2 == 0) {
        note_read(open, key, open.txn.read(reference).values);
      } else {
        AppendList& mine = open.txn.write(reference);
        if (random_() % 2 == 0) note_read(open, key, mine.values);
        mine.values.push_back(++next_value_);
        open.record.operations.push_back({key, next_value_, {}});
      }
    } catch (const DanglingReferenceError&) {
      note_read(open, key, {});
    }
  }

  void make(OpenTransaction& open, std::uint32_t key, Board::List& list) {
    open.makes.push_back(key);
    const Ref<AppendList> made = open.txn.create(AppendList{{++next_value_}});
    open.record.operations.push_back({key, next_value_, {}});
    list.oid.store(made.oid().value, std::memory_order_release);
  }

  void note_read(OpenTransaction& open, std::uint32_t key, const std::vector<std::uint64_t>& values) {
    open.record.operations.push_back({key, 0, values});
    host_.board().leave_behind(key, values.size());
  }

  ClientHost& host_;
  const Options options_;
  std::mt19937_64 random_;
  std::uint64_t next_value_, next_id_;
  bool may_begin_ = true;
  std::vector<OpenTransaction> open_;
  tsl::robin_map<std::uint32_t, Ref<AppendList>> references_;  ///< with hints of their own
};

}  // namespace cow::bench::history
