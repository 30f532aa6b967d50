// What a seed decides about a round: sizes, bounds, and how often what fails.
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>

#include "cow_cache/async.hpp"
#include "tests/stress/async_stress/chance.hpp"
#include "tests/stress/async_stress/store.hpp"

namespace cow::testing {

struct StressPlan {
  std::uint64_t seed = 0;
  CacheOptions cache;
  AsyncOptions async;
  Isolation isolation = Isolation::snapshot;
  RetryPolicy retry;
  std::size_t accounts = 0;
  std::size_t coroutines = 0, strand_clients = 0, asio_clients = 0, fibers = 0, threads = 0, future_threads = 0;
  std::size_t transactions = 0;  ///< of each client
  std::size_t deadline_one_in = 0, stop_one_in = 0;
  std::size_t call_threads = 0, calls_waiting = 0;
  bool loops_go_first = false;  ///< the loops are destroyed before the AsyncDatabase
  FaultyStore::Delays delays;
  std::array<std::size_t, kFaults> faults{};
};

inline constexpr std::int64_t kFirstBalance = 1000;

inline StressPlan make_stress_plan(std::uint64_t seed) {
  Dice dice(seed * 0xD1342543DE82EF95);
  StressPlan plan;
  plan.seed = seed;
  // An account takes some 300 bytes: all of these budgets are below what the accounts take.
  plan.accounts = dice.one_of(std::array<std::size_t, 3>{40, 120, 300});
  plan.cache.cache_bytes = dice.one_of(std::array<std::size_t, 4>{1, 1, 2 << 10, 8 << 10});
  plan.cache.limbo_bytes = dice.one_of(std::array<std::size_t, 3>{1, 4 << 10, 64 << 10});
  plan.cache.replacement = dice.one_of(std::array{Replacement::adaptive, Replacement::adaptive, Replacement::clock,
                                                  Replacement::s3_fifo, Replacement::sieve});
  if (dice.one_in(3)) plan.isolation = Isolation::serializable;
  plan.async.load_threads = dice.one_of(std::array<std::size_t, 3>{1, 4, 8});
  plan.async.commit_threads = dice.one_of(std::array<std::size_t, 3>{1, 2, 6});
  plan.async.most_in_flight = dice.one_of(std::array<std::size_t, 5>{2, 20, 80, 1 << 16, 1 << 16});
  plan.async.most_waiting = dice.one_of(std::array<std::size_t, 3>{20, 1 << 16, 1 << 16});
  plan.retry.most_attempts = dice.one_of(std::array{1, 4, 32});
  plan.coroutines = 80 + dice.below(80);
  plan.strand_clients = 40 + dice.below(40);
  plan.asio_clients = 10;
  plan.fibers = 10 + dice.below(30);
  plan.threads = 1 + dice.below(4);
  plan.future_threads = 1 + dice.below(3);
  plan.transactions = 8;
  plan.deadline_one_in = dice.one_of(std::array<std::size_t, 3>{0, 4, 2});
  plan.stop_one_in = dice.one_of(std::array<std::size_t, 3>{0, 4, 2});
  plan.call_threads = 1 + dice.below(2);
  plan.calls_waiting = dice.one_of(std::array<std::size_t, 2>{2, 1000});
  plan.loops_go_first = dice.one_in(2);
  plan.delays = {.load_one_in = dice.one_of(std::array<std::size_t, 3>{20, 6, 2}),
                 .commit_one_in = dice.one_of(std::array<std::size_t, 3>{0, 20, 2}),
                 .longest_us = dice.one_of(std::array{50.0, 1000.0, 8000.0})};
  auto set = [&](Fault fault, std::size_t one_in) { plan.faults[static_cast<std::size_t>(fault)] = one_in; };
  const std::size_t often = dice.one_of(std::array<std::size_t, 4>{0, 60, 200, 600});  // 0: none
  set(Fault::load, often);
  set(Fault::commit, often / 10);
  set(Fault::oids, often == 0 ? 0 : 2);  // a block of them lasts long
  set(Fault::pack, often);
  set(Fault::unpack, often);
  set(Fault::copy, often);
  set(Fault::body, often / 10);
  set(Fault::call, often / 10);
  set(Fault::handler, often / 10);
  return plan;
}

inline std::ostream& operator<<(std::ostream& out, const StressPlan& plan) {
  return out << "cache_bytes " << plan.cache.cache_bytes << ", limbo_bytes " << plan.cache.limbo_bytes << ", accounts "
             << plan.accounts << ", in flight " << plan.async.most_in_flight << ", waiting " << plan.async.most_waiting
             << ", threads for loads " << plan.async.load_threads << ", for commits " << plan.async.commit_threads
             << (plan.isolation == Isolation::serializable ? ", serializable" : ", snapshots") << ", loads fail one in "
             << plan.faults[0];
}

}  // namespace cow::testing
