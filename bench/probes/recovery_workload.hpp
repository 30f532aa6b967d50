// The bank of the recovery probe: what its clients do before the process is killed, and after the store was reopened.
//
// Each client has accounts of its own and a ledger. Its n-th write moves money between two of its accounts and puts n into
// both and into the ledger, so three objects show whether it is there, absent or half there. Which accounts and how much
// depends on seed, client and n alone: who knows n of each client knows every byte of the bank. Reads are of all accounts,
// by true Zipf with theta 0.99.
//
// Thread safety: `Bank` is read by any thread; a `Client` belongs to one; counters may be read by others.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/baselines/locked_cache.hpp"
#include "bench/baselines/private_cache.hpp"
#include "bench/baselines/two_level.hpp"
#include "bench/workloads/random.hpp"
#include "bench/workloads/until_committed.hpp"
#include "bench/workloads/workload_error.hpp"
#include "cow_cache/cow_cache.hpp"
#include "probe.hpp"

namespace cow::bench::recovery {

using cow::detail::State;
namespace size_classes = cow::detail::size_classes;

inline constexpr std::int64_t kOpeningBalance = 1'000'000;
inline constexpr double kZipfTheta = 0.99;
inline constexpr double kWriteShare = 0.2;
inline constexpr int kReads = 10;  // a transaction

struct Account {
  static constexpr std::string_view cow_type_name = "recovery.Account";
  std::uint32_t number = 0;
  std::int64_t balance = kOpeningBalance;
  std::uint64_t write = 0;  ///< the last one of its client that changed it
  std::array<char, 160> note{};
  MSGPACK_DEFINE(number, balance, write, note);
};

struct Ledger {
  static constexpr std::string_view cow_type_name = "recovery.Ledger";
  std::uint32_t client = 0;
  std::uint64_t write = 0;  ///< the client's last one
  MSGPACK_DEFINE(client, write);
};

/// Where everything is: the ledgers follow each other, and then the accounts do.
struct Directory {
  static constexpr std::string_view cow_type_name = "recovery.Directory";
  std::uint64_t first_ledger = 0, first_account = 0;
  MSGPACK_DEFINE(first_ledger, first_account);
};

/// What a client's write does.
struct Write {
  std::uint32_t from = 0, to = 0;  ///< accounts
  std::int64_t amount = 0;
};

class Bank {
 public:
  explicit Bank(const RecoveryOptions& options)
      : accounts(options.accounts), clients(options.clients), seed_(options.seed), zipf_(options.accounts, kZipfTheta) {
    Random random(options.seed);
    placement_ = random_permutation(options.accounts, random);  // the hot ones lie anywhere
  }

  const std::uint32_t accounts, clients;
  Directory directory;  ///< once it was filled, or opened

  std::uint32_t draw(Random& random) const { return placement_[zipf_.draw(random)]; }

  Ref<Account> account(std::uint32_t number) const { return Ref<Account>(Oid{directory.first_account + number}); }
  Ref<Ledger> ledger(std::uint32_t client) const { return Ref<Ledger>(Oid{directory.first_ledger + client}); }

  /// Makes it. Throws std::logic_error if the oids do not follow each other.
  template <class Database>
  void fill(Database& database) {
    constexpr std::uint32_t kBatch = 5'000;
    auto session = open_session(database);
    directory = session.transact([&](auto& txn) {
      Directory made;
      for (std::uint32_t client = 0; client < clients; ++client) {
        Oid oid = txn.create(Ledger{.client = client}).oid();
        if (client == 0) made.first_ledger = oid.value;
      }
      made.first_account = made.first_ledger + clients;
      txn.root().emplace("bank", made);
      return made;
    });
    bool has_first = false;
    for (std::uint32_t from = 0; from < accounts; from += kBatch) {
      session.transact([&](auto& txn) {
        for (std::uint32_t number = from; number < std::min(accounts, from + kBatch); ++number) {
          Oid oid = txn.create(Account{.number = number}).oid();
          if (!has_first) directory.first_account = oid.value;  // the directory itself lies between
          has_first = true;
          if (oid != account(number).oid()) throw std::logic_error("oids do not follow each other");
        }
      });
    }
    session.transact([&](auto& txn) { txn.write(txn.root().template get<Directory>("bank")) = directory; });
  }

  template <class Transaction>
  void open(Transaction& txn) {
    directory = txn.read(txn.root().template get<Directory>("bank"));
  }

  /// The writes of a client, in order.
  class Writes {
   public:
    Writes(const Bank& bank, std::uint32_t client)
        : bank_(bank), client_(client), random_(bank.seed_ * 0x10001 + client) {}

    Write next() {
      Write write{own(), own(), random_.between(1, 100)};
      if (write.to == write.from) write.to = (write.from + bank_.clients) % bank_.whole_rounds();
      return write;
    }

   private:
    /// An account of the client, hot ones more often.
    std::uint32_t own() {
      std::uint32_t round = bank_.draw(random_) / bank_.clients;
      return std::min(round, bank_.whole_rounds() / bank_.clients - 1) * bank_.clients + client_;
    }

    const Bank& bank_;
    const std::uint32_t client_;
    Random random_;
  };

 private:
  /// Accounts that are shared out evenly. The few beyond belong to nobody.
  std::uint32_t whole_rounds() const { return accounts / clients * clients; }

  const std::uint64_t seed_;
  const Zipf zipf_;
  std::vector<std::uint32_t> placement_;
};

/// A bank as it must be after so many writes of each client.
class Model {
 public:
  explicit Model(const Bank& bank) : accounts_(bank.accounts), done_(bank.clients, 0) {
    for (std::uint32_t i = 0; i < bank.accounts; ++i) accounts_[i].number = i;
    for (std::uint32_t client = 0; client < bank.clients; ++client) writes_.emplace_back(bank, client);
  }

  /// REQUIRES: `writes` is not below what the client has been advanced to.
  void advance(std::uint32_t client, std::uint64_t writes) {
    while (done_[client] < writes) {
      Write write = writes_[client].next();
      apply(accounts_[write.from], -write.amount, ++done_[client]);
      apply(accounts_[write.to], write.amount, done_[client]);
    }
  }

  static void apply(Account& account, std::int64_t amount, std::uint64_t number) {
    account.balance += amount;
    account.write = number;
    account.note.fill(static_cast<char>('a' + number % 26));
  }

  /// Throws WrongAnswerError unless `found` is that account, to the last byte.
  void check(std::uint32_t number, const Account& found) const {
    const Account& expected = accounts_[number];
    if (found.number == expected.number && found.balance == expected.balance && found.write == expected.write &&
        found.note == expected.note) {
      return;
    }
    throw WrongAnswerError("account " + std::to_string(number) + " has " + std::to_string(found.balance) +
                           " of write " + std::to_string(found.write) + ", expected " +
                           std::to_string(expected.balance) + " of write " + std::to_string(expected.write));
  }

 private:
  std::vector<Account> accounts_;
  std::vector<Bank::Writes> writes_;
  std::vector<std::uint64_t> done_;
};

/// One client: reads, and from time to time writes, in transactions of its session.
template <class Database>
class Client {
 public:
  /// Goes on after `written` writes.
  Client(Database& database, const Bank& bank, std::uint32_t number, std::uint64_t written)
      : bank_(bank),
        session_(open_session(database)),
        number_(number),
        written_(written),
        writes_(bank, number),
        random_(~(std::uint64_t{number} << 32 | written)) {
    for (std::uint64_t i = 0; i < written; ++i) (void)writes_.next();
  }

  /// One transaction. True: it has written, as `written()` says.
  bool step() {
    std::array<std::uint32_t, kReads> chosen;
    for (std::uint32_t& account : chosen) account = bank_.draw(random_);
    const bool writes = random_.chance(kWriteShare);
    const Write write = writes ? writes_.next() : Write{};
    std::uint64_t attempts = 0;
    until_committed(session_, attempts, [&](auto& txn) {
      for (std::uint32_t account : chosen)
        check_count("the number of an account", account, txn.read(bank_.account(account)).number);
      if (!writes) return;
      Ledger& ledger = txn.write(bank_.ledger(number_));
      check_count("the last write in a ledger", written_, ledger.write);
      ledger.write = written_ + 1;
      Model::apply(txn.write(bank_.account(write.from)), -write.amount, ledger.write);
      Model::apply(txn.write(bank_.account(write.to)), write.amount, ledger.write);
    });
    written_ += writes;
    // Relaxed: statistics.
    reads_.fetch_add(attempts * (kReads + (writes ? 3 : 0)), std::memory_order_relaxed);
    return writes;
  }

  std::uint64_t written() const noexcept { return written_; }
  std::uint64_t reads() const noexcept { return reads_.load(std::memory_order_relaxed); }

 private:
  const Bank& bank_;
  Session<Database> session_;
  const std::uint32_t number_;
  std::uint64_t written_;
  Bank::Writes writes_;
  Random random_;
  alignas(64) std::atomic<std::uint64_t> reads_{0};
};

/// Calls `use(std::type_identity<Database>)`. REQUIRES: one of the names that the command line allows.
template <class Use>
void with_database(const std::string& cache, Use&& use) {
  if (cache == "shared") return use(std::type_identity<Database>{});
  if (cache == "private") return use(std::type_identity<BasicDatabase<PrivateCache>>{});
  if (cache == "two-level") return use(std::type_identity<TwoLevelDatabase>{});
  if (cache == "locked") return use(std::type_identity<BasicDatabase<LockedCache>>{});
  throw std::invalid_argument("no cache '" + cache + "'");
}

/// The same memory for all objects of all sessions, whatever the cache is.
template <class Database>
CacheOptions cache_options(const RecoveryOptions& options) {
  // What an account costs: its slot, and its place in the table and in the policy's queue.
  const std::size_t account = size_classes::bytes_of(size_classes::class_of(sizeof(State<Account>))) + 32;
  const auto all = static_cast<std::size_t>(options.cached * options.accounts * static_cast<double>(account));
  std::size_t caches = Session<Database>::kOwnsObjects ? options.clients : 1;
  if (std::is_same_v<Database, TwoLevelDatabase>) ++caches;  // the one of records
  return {.cache_bytes = all / caches};
}

/// Hit ratios of the clients' reads over windows of some thousand reads each.
class HitRatio {
 public:
  static constexpr std::uint64_t kWindowReads = 2'000;

  /// Told the totals so far; true: a window has ended, and `last()` is its hit ratio.
  bool add(std::uint64_t reads, std::uint64_t loads) {
    if (reads - reads_ < kWindowReads) return false;
    last_ = 1 - static_cast<double>(loads - loads_) / static_cast<double>(reads - reads_);
    reads_ = reads;
    loads_ = loads;
    return true;
  }
  double last() const noexcept { return last_; }

 private:
  std::uint64_t reads_ = 0, loads_ = 0;
  double last_ = 0;
};

/// What the victim says to the process that watches it. Shorter than PIPE_BUF, so that none is torn.
struct Message {
  enum class Kind : std::uint32_t { started, committed, hit_ratio };
  Kind kind;
  std::uint32_t client;
  std::uint64_t write;  ///< that was committed
  double ratio;
};

}  // namespace cow::bench::recovery
