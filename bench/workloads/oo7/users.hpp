// Multi-user OO7 (Carey, DeWitt, Kant, Naughton: "A Status Report on the OO7 OODBMS Benchmarking Effort", OOPSLA 1994):
// every client has a module of its own, and all share one more. A transaction works on one of the two and reads or
// writes, in given shares.
//
// The mixes are the published ones; what one transaction does is this project's choice, because whole traversals of the
// shared module would conflict always: it goes down a random path from the design root to a base assembly and does
// there what T1 does, or T2b if it writes: 3 composite parts, 60 atomic parts in a small module. Other work can be had
// by running the traversals themselves.
//
// Thread safety: a User belongs to one thread; any number of them may run on one database.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/baselines/session.hpp"
#include "bench/workloads/random.hpp"
#include "traversals.hpp"

namespace cow::bench::oo7 {

/// Shares of the transactions, in percent.
struct UserMix {
  std::uint32_t private_read = 80;
  std::uint32_t shared_read = 20;
  std::uint32_t private_write = 0;
  std::uint32_t shared_write = 0;

  /// "80/20/0/0", "60/20/15/5" or "20/20/30/30". Throws std::invalid_argument.
  static UserMix named(std::string_view name) {
    if (name == "80/20/0/0") return {80, 20, 0, 0};
    if (name == "60/20/15/5") return {60, 20, 15, 5};
    if (name == "20/20/30/30") return {20, 20, 30, 30};
    throw std::invalid_argument("no OO7 mix '" + std::string(name) + "'");
  }
};

inline constexpr std::uint32_t kSharedModule = 1;
inline std::uint32_t private_module(std::uint32_t client) { return client + 2; }

/// One client.
template <ObjectDatabase Database>
class User {
 public:
  using Transaction = typename Database::Transaction;

  /// How many transactions were committed, by kind.
  struct Done {
    std::uint64_t private_reads = 0, shared_reads = 0, private_writes = 0, shared_writes = 0;
    std::uint64_t attempts = 0;  ///< executions, conflicts included

    std::uint64_t writes() const { return private_writes + shared_writes; }
    std::uint64_t transactions() const { return private_reads + shared_reads + writes(); }
    Done& operator+=(const Done& other) {
      private_reads += other.private_reads;
      shared_reads += other.shared_reads;
      private_writes += other.private_writes;
      shared_writes += other.shared_writes;
      attempts += other.attempts;
      return *this;
    }
  };

  User(const Parameters& parameters, const UserMix& mix, std::uint32_t client, std::uint64_t seed)
      : parameters_(parameters), mix_(mix), client_(client), random_(seed * 0x10001 + client), traverser_(parameters) {}

  /// One transaction of the mix; throws WrongAnswerError if it visited a wrong number of parts.
  void step(Session<Database>& session) {
    const std::uint64_t draw = random_.below(100);
    std::uint64_t& kind = draw < mix_.private_read                                           ? done_.private_reads
                          : draw < mix_.private_read + mix_.shared_read                      ? done_.shared_reads
                          : draw < mix_.private_read + mix_.shared_read + mix_.private_write ? done_.private_writes
                                                                                             : done_.shared_writes;
    const bool write = &kind == &done_.private_writes || &kind == &done_.shared_writes;
    const bool shared = &kind == &done_.shared_reads || &kind == &done_.shared_writes;
    const std::uint32_t number = shared ? kSharedModule : private_module(client_);
    const Random before = random_;
    const Result result = until_committed(session, done_.attempts, [&](Transaction& txn) {
      random_ = before;  // a retry takes the same way
      const auto& assembly = random_base_assembly(txn, number);
      return write ? traverser_.template traverse_base<Operation::t2b>(txn, assembly)
                   : traverser_.template traverse_base<Operation::t1>(txn, assembly);
    });
    const std::uint64_t parts = std::uint64_t{parameters_.composites_per_assembly} * parameters_.atomic_per_composite;
    check_count("atomic parts visited", parts, result.atomic_parts);
    check_count("swaps", write ? parts : 0, result.swaps);
    ++kind;
  }

  const Done& done() const { return done_; }

 private:
  const auto& random_base_assembly(Transaction& txn, std::uint32_t number) {
    const auto* assembly = &txn.read(module_of<Database>(txn, number).design_root);
    while (!assembly->complex_assemblies.empty()) assembly = &txn.read(one_of(assembly->complex_assemblies));
    return txn.read(one_of(assembly->base_assemblies));
  }

  template <class List>
  const auto& one_of(const List& list) {
    return list[random_.below(list.size())];
  }

  const Parameters parameters_;
  const UserMix mix_;
  const std::uint32_t client_;
  Random random_;
  Traverser<Database> traverser_;
  Done done_;
};

}  // namespace cow::bench::oo7
