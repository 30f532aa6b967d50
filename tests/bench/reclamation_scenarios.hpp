// Scenarios that a safe scheme passes, whatever its class; one that was broken on purpose fails at one of them. Each returns what went
// wrong, or nothing. What a scheme has aborted it may free.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "reclamation_testing.hpp"

namespace cow::testing::scenarios {

/// How many states are more than the budget, and than what any bag holds.
inline constexpr int kMany = detail::kSmallBatches ? 3000 : 8000;

/// A state, and its number.
struct Watched {
  explicit Watched(World& world) : Watched(world.make()) {}
  explicit Watched(detail::StateHeader& state) : state(state), number(detail::value_of<Tracked>(state).number) {}
  bool is_alive() const { return Tracked::alive[number]; }
  detail::StateHeader& state;
  std::uint64_t number;
};

/// What a transaction has read stays, whether it was retired at once, with all else, or much later.
inline std::string what_was_read_stays(World& world) {
  std::vector<Watched> states;
  for (int i = 0; i < 60; ++i) states.emplace_back(world);
  Reader even(world), third(world);
  for (int i = 0; i < 60; ++i) {
    if (i % 2 == 0) even.read(states[i].state);
    if (i % 3 == 0) third.read(states[i].state);
  }
  auto check = [&](std::string_view when) -> std::string {
    bool even_goes_on = even.may_go_on(), third_goes_on = third.may_go_on();
    for (int i = 0; i < 60; ++i) {
      if (i % 2 == 0 && even_goes_on && !states[i].is_alive())
        return "a state read by one was freed " + std::string(when);
      if (i % 3 == 0 && third_goes_on && !states[i].is_alive())
        return "a state read by the other was freed " + std::string(when);
    }
    return "";
  };
  for (int i = 0; i < 5; ++i) world.retire(states[i].state);
  world.reclaimer().reclaim_all();
  std::string wrong = check("at once");
  for (int i = 5; i < 60; ++i) {
    world.retire(states[i].state);
    if (i % 7 == 0) world.reclaimer().reclaim_all();
  }
  if (wrong.empty()) wrong = check("among others");
  world.retire_garbage(kMany);
  world.reclaimer().reclaim_all();
  return wrong.empty() ? check("among much else") : wrong;
}

/// So does what it is reading just now.
inline std::string a_read_is_not_interrupted(World& world) {
  Watched state(world);
  Reader reader(world);
  if (!reader.start_read(state.state)) return "a live state was not to be used";
  world.retire(state.state);
  world.reclaimer().reclaim_all();
  world.retire_garbage(kMany);
  world.reclaimer().reclaim_all();
  std::string wrong = state.is_alive() ? "" : "a state was freed while it was read";
  reader.finish_read();
  world.retire_garbage(10);
  world.reclaimer().reclaim_all();
  if (wrong.empty() && reader.may_go_on() && !state.is_alive()) wrong = "a state was freed after it was read";
  return wrong;
}

/// What a session's earlier transactions have done is not held against the next one.
inline std::string the_next_transaction_is_another(World& world) {
  Reader reader(world);
  for (int round = 0; round < 3; ++round) {
    Watched state(world);
    try {
      if (!reader.read(state.state)) return "a live state was not to be used";
    } catch (const bench::SnapshotTooOldError&) {
      world.retire(state.state);
      return "a transaction was aborted that was in nobody's way";
    }
    world.retire(state.state);
    world.retire_garbage(kMany);  // more than the budget: it may be aborted now
    if (reader.may_go_on() && !state.is_alive()) return "what it has read was freed";
    reader.end();
    world.reclaimer().reclaim_all();
    if (state.is_alive()) return "what nobody uses was not freed";
    reader.begin();
  }
  return "";
}

/// A state that several have read stays until the last of them ends, and then goes.
inline std::string the_last_one_frees(World& world) {
  Watched state(world);
  Reader first(world), second(world);
  first.read(state.state);
  second.read(state.state);
  world.retire(state.state);
  world.retire_garbage(100);
  first.end();
  world.reclaimer().reclaim_all();
  if (second.may_go_on() && !state.is_alive()) return "a state was freed with the first of its readers";
  second.end();
  world.reclaimer().reclaim_all();
  return state.is_alive() ? "a state outlived its readers" : "";
}

/// Transactions that began after a state was retired do not hide those that have read it.
inline std::string later_ones_do_not_hide_earlier_ones(World& world) {
  Watched state(world);
  Reader early(world);
  early.read(state.state);
  world.retire(state.state);
  world.reclaimer().reclaim_all();
  world.commit();
  Reader late(world), later(world);
  world.retire_garbage(100);
  world.reclaimer().reclaim_all();
  return early.may_go_on() && !state.is_alive() ? "a state was freed although an old transaction uses it" : "";
}

/// A commit still needs what its transaction has read.
inline std::string a_commit_is_not_interrupted(World& world) {
  Watched state(world);
  Reader reader(world);
  reader.read(state.state);
  reader.start_commit();
  world.retire(state.state);
  world.retire_garbage(kMany);
  world.reclaimer().reclaim_all();
  std::string wrong = state.is_alive() ? "" : "a state was freed while the transaction that has read it commits";
  reader.finish_commit();
  return wrong;
}

/// A transaction that has slept goes on with what it had, and with more.
inline std::string who_has_slept_goes_on(World& world) {
  Watched before(world), after(world);
  Reader reader(world);
  reader.read(before.state);
  reader.will_sleep();
  world.retire(before.state);
  world.commit();
  world.retire_garbage(kMany);
  world.reclaimer().reclaim_all();
  reader.wake();
  bool read = false;
  try {
    read = reader.read(after.state);
  } catch (const bench::SnapshotTooOldError&) {
  }
  world.retire(after.state);
  world.retire_garbage(100);
  world.reclaimer().reclaim_all();
  if (!reader.may_go_on()) return "";
  if (!before.is_alive()) return "what a sleeper had read was freed";
  return read && after.is_alive() ? "" : "what it has read since was freed";
}

/// The base of a private clone is read, too.
inline std::string a_diverted_base_stays(World& world) {
  Watched state(world);
  Reader reader(world);
  reader.read(state.state);
  reader.mark_diverted(state.state);
  world.retire(state.state);
  world.retire_garbage(100);
  world.reclaimer().reclaim_all();
  return reader.may_go_on() && !state.is_alive() ? "the base of a clone was freed" : "";
}

/// More than a table of the log, or a copy of it, holds at first.
inline std::string a_long_log_is_whole(World& world) {
  std::vector<Watched> states;
  for (int i = 0; i < 1500; ++i) states.emplace_back(world);
  Reader reader(world);
  for (Watched& one : states) reader.read(one.state);
  for (Watched& one : states) world.retire(one.state);
  world.reclaimer().reclaim_all();
  if (!reader.may_go_on()) return "";
  for (const Watched& one : states) {
    if (!one.is_alive()) return "a state of a long log was freed";
  }
  return "";
}

struct Scenario {
  std::string_view name;
  std::string (*run)(World& world);
};

inline constexpr std::array kAll{
    Scenario{"WhatWasReadStays", what_was_read_stays},
    Scenario{"AReadIsNotInterrupted", a_read_is_not_interrupted},
    Scenario{"TheNextTransactionIsAnother", the_next_transaction_is_another},
    Scenario{"TheLastOneFrees", the_last_one_frees},
    Scenario{"LaterOnesDoNotHideEarlierOnes", later_ones_do_not_hide_earlier_ones},
    Scenario{"ACommitIsNotInterrupted", a_commit_is_not_interrupted},
    Scenario{"WhoHasSleptGoesOn", who_has_slept_goes_on},
    Scenario{"ADivertedBaseStays", a_diverted_base_stays},
    Scenario{"ALongLogIsWhole", a_long_log_is_whole},
};

}  // namespace cow::testing::scenarios
