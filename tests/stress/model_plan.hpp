// What a run of the model fuzzer does: drawn from a seed, replayed, made smaller.
//
// Thread safety: plain values and functions.
//
// Invariants:
//  1. An operation is a code and two numbers that choose among what there is at the time. So any part of a list of
//     operations is a valid list, which is what lets a failing one shrink.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "cow_cache/cow_cache.hpp"

namespace cow::testing {

enum class Action : std::uint8_t {
  begin,
  begin_at,
  undo,
  pack,
  read,
  read_by_all,
  try_read,
  follow,
  write,
  erase,
  create,
  root_get,
  root_set,
  root_erase,
  refresh_reference,
  read_wrong_type,
  commit,
  abort,
  park,
  verify_held,
  evict_all,
  pressure,
  neighbour,
  reopen,
  refused_commit,
  failed_load,
  use_after_end,
  use_while_made,
  statistics,
  flood,
  sync,  // with peers
  let_poll,
  count
};

struct Operation {
  Action action;
  std::uint32_t what, how;
};

/// All that a run depends on but the store.
struct Plan {
  std::uint64_t seed = 0;
  CacheOptions options;
  std::size_t most_transactions = 4;
  std::size_t hot_objects = 6;  ///< most operations meet one of as many, the youngest
  std::vector<Operation> operations;
};

/// What a store is like, as far as plans depend on it.
struct StoreTraits {
  bool reopens_are_dear = false;  ///< of stores on a device: one in some thousand operations
  bool has_peers = false;
};

inline Plan make_plan(std::uint64_t seed, StoreTraits store) {
  const bool reopens_are_dear = store.reopens_are_dear;
  std::mt19937_64 random(seed);
  auto one_of = [&](const auto& values) { return values[random() % values.size()]; };
  Plan plan;
  plan.seed = seed;
  plan.options.cache_bytes = one_of(std::array<std::size_t, 6>{1, 8 << 10, 32 << 10, 128 << 10, 1 << 20, 64 << 20});
  plan.options.limbo_bytes = one_of(std::array<std::size_t, 3>{1, 16 << 10, 512 << 10});
  plan.options.replacement = one_of(std::array{Replacement::adaptive, Replacement::adaptive, Replacement::clock,
                                               Replacement::s3_fifo, Replacement::sieve});
  plan.most_transactions = one_of(std::array<std::size_t, 4>{2, 4, 8, 24});
  plan.hot_objects = one_of(std::array<std::size_t, 3>{2, 6, 20});

  std::array<unsigned, static_cast<std::size_t>(Action::count)> weights{};
  auto weigh = [&](Action action, unsigned weight) { weights[static_cast<std::size_t>(action)] = weight; };
  weigh(Action::begin, 400);
  weigh(Action::begin_at, one_of(std::array<unsigned, 3>{0, 60, 300}));
  weigh(Action::undo, one_of(std::array<unsigned, 3>{0, 30, 150}));
  weigh(Action::pack, one_of(std::array<unsigned, 3>{0, reopens_are_dear ? 2u : 10u, reopens_are_dear ? 4u : 80u}));
  weigh(Action::read, 2000);
  weigh(Action::read_by_all, 400);
  weigh(Action::try_read, 200);
  weigh(Action::follow, 300);
  weigh(Action::write, 700);
  weigh(Action::erase, 40);
  weigh(Action::create, one_of(std::array<unsigned, 3>{20, 60, 250}));
  weigh(Action::root_get, 150);
  weigh(Action::root_set, 80);
  weigh(Action::root_erase, 30);
  weigh(Action::refresh_reference, 200);
  weigh(Action::read_wrong_type, 40);
  weigh(Action::commit, 250);
  weigh(Action::abort, 50);
  weigh(Action::park, 150);
  weigh(Action::verify_held, 150);
  weigh(Action::evict_all, one_of(std::array<unsigned, 3>{0, 50, 400}));
  weigh(Action::pressure, one_of(std::array<unsigned, 3>{0, 20, 100}));
  weigh(Action::neighbour, one_of(std::array<unsigned, 3>{0, 20, 100}));
  weigh(Action::reopen, reopens_are_dear ? 2 : 10);
  weigh(Action::refused_commit, 30);
  weigh(Action::failed_load, 60);
  weigh(Action::use_after_end, 20);
  weigh(Action::use_while_made, 200);
  weigh(Action::statistics, 60);
  weigh(Action::flood, random() % 32 == 0 ? 2 : 0);
  if (store.has_peers) {
    weigh(Action::sync, one_of(std::array<unsigned, 3>{10, 60, 200}));
    weigh(Action::let_poll, 4);  // which takes some milliseconds
  }

  std::discrete_distribution<int> draw(weights.begin(), weights.end());
  std::size_t length = one_of(std::array<std::size_t, 3>{200, 1000, 3000});
  for (std::size_t i = 0; i < length; ++i) {
    plan.operations.push_back({static_cast<Action>(draw(random)), static_cast<std::uint32_t>(random()),
                               static_cast<std::uint32_t>(random())});
  }
  return plan;
}

/// Leaves out what is not needed for `fails` to stay true: halves, quarters and so on, then single operations, as long as
/// `may_go_on`. (Delta debugging: Zeller and Hildebrandt, TSE 2002.)
template <class Fails, class MayGoOn>
void shrink(Plan& plan, Fails&& fails, MayGoOn&& may_go_on) {
  for (std::size_t chunk = plan.operations.size() / 2; chunk > 0;) {
    bool smaller = false;
    for (std::size_t start = 0; start < plan.operations.size() && may_go_on();) {
      Plan tried = plan;
      auto first = tried.operations.begin() + static_cast<std::ptrdiff_t>(start);
      auto count = static_cast<std::ptrdiff_t>(std::min(chunk, plan.operations.size() - start));
      tried.operations.erase(first, first + count);
      if (fails(tried)) {
        plan = std::move(tried);
        smaller = true;
      } else {
        start += chunk;
      }
    }
    if (!may_go_on()) return;
    if (chunk > 1 || !smaller) chunk /= 2;
  }
}

}  // namespace cow::testing
