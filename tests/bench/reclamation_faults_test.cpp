// Schemes of bench/ablation that were broken on purpose: the scenarios catch each of them. A scheme that merely seems safe, because no
// scenario looks where it is not, would go unnoticed otherwise.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "bench/ablation/own_schemes.hpp"
#include "reclamation_scenarios.hpp"

namespace cow::testing {
namespace {

using bench::Bound;
using bench::CountedFault;
using bench::CountedReclaimer;
using bench::IntervalFault;
using bench::IntervalReclaimer;
using bench::make_reclaimer;
using bench::NeutraliseFault;
using bench::NeutraliseReclaimer;
using bench::PingDomain;
using bench::PingFault;
using bench::PingReclaimer;
using bench::ScanFault;
using bench::ScanReclaimer;
using bench::Scheme;

/// What was broken, and the scenario that is there for it.
struct Broken {
  Scheme scheme;
  std::string_view caught_by;
};

template <class Made>
Broken broken(std::string_view name, std::string_view caught_by) {
  return {{.name = name, .about = "broken", .bound = Bound::none, .make = make_reclaimer<Made>}, caught_by};
}
template <PingFault kFault>
Broken broken_ping(std::string_view name, std::string_view caught_by) {
  Broken one = broken<PingReclaimer<kFault>>(name, caught_by);
  one.scheme.enter_thread = PingDomain::enter_thread;
  one.scheme.leave_thread = PingDomain::leave_thread;
  return one;
}

const Broken kBroken[] = {
    broken<ScanReclaimer<bench::PrivateFence, ScanFault::reads_no_log>>("ScanReadsNoLog", "WhatWasReadStays"),
    broken<ScanReclaimer<bench::GlobalFence, ScanFault::reads_no_log>>("ScanGlobalReadsNoLog", "WhatWasReadStays"),
    broken_ping<PingFault::does_not_ping>("PingDoesNotPing", "WhatWasReadStays"),
    broken_ping<PingFault::frees_in_its_epoch>("PingFreesInItsEpoch", "AReadIsNotInterrupted"),
    broken_ping<PingFault::forgets_commits>("PingForgetsCommits", "ACommitIsNotInterrupted"),
    broken<IntervalReclaimer<IntervalFault::birth_at_the_snapshot_is_later>>("IntervalBirthAtTheSnapshotIsLater",
                                                                             "WhatWasReadStays"),
    broken<IntervalReclaimer<IntervalFault::retired_in_its_epoch_is_earlier>>("IntervalRetiredInItsEpochIsEarlier",
                                                                              "AReadIsNotInterrupted"),
    broken<IntervalReclaimer<IntervalFault::last_session_only>>("IntervalLastSessionOnly",
                                                                "LaterOnesDoNotHideEarlierOnes"),
    broken<CountedReclaimer<CountedFault::ignores_reads_under_way>>("CountedIgnoresReadsUnderWay",
                                                                    "AReadIsNotInterrupted"),
    broken<CountedReclaimer<CountedFault::forgets_every_other_state>>("CountedForgetsEveryOtherState",
                                                                      "WhatWasReadStays"),
    broken<CountedReclaimer<CountedFault::lets_go_at_leave>>("CountedLetsGoAtLeave", "TheLastOneFrees"),
    broken<NeutraliseReclaimer<NeutraliseFault::aborts_within_a_read>>("NeutraliseAbortsWithinARead",
                                                                       "ACommitIsNotInterrupted"),
    broken<NeutraliseReclaimer<NeutraliseFault::does_not_tell>>("NeutraliseDoesNotTell", "WhoHasSleptGoesOn"),
    broken<NeutraliseReclaimer<NeutraliseFault::means_the_next_one>>("NeutraliseMeansTheNextOne",
                                                                     "TheNextTransactionIsAnother"),
};

class BrokenReclaimerTest : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenReclaimerTest, IsCaught) {
  bool known = false;
  for (const scenarios::Scenario& scenario : scenarios::kAll) {
    if (scenario.name != GetParam().caught_by) continue;
    known = true;
    World world(GetParam().scheme);
    EXPECT_NE(scenario.run(world), "") << "it does not notice what is wrong";
  }
  EXPECT_TRUE(known) << "no such scenario";
}

INSTANTIATE_TEST_SUITE_P(All, BrokenReclaimerTest, ::testing::ValuesIn(kBroken),
                         [](const auto& info) { return std::string(info.param.scheme.name); });

}  // namespace
}  // namespace cow::testing
