// The cache simulator: its references, its traces, and that no policy beats the limit.
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/simulator/further_policies.hpp"
#include "bench/simulator/key_sequences.hpp"
#include "bench/simulator/session_split.hpp"
#include "bench/simulator/simulation.hpp"
#include "bench/support/scratch_directory.hpp"

namespace cow::bench {
namespace {

std::vector<SimulatedPolicy> all_policies() {
  std::vector<SimulatedPolicy> all(kSimulatedPolicies.begin(), kSimulatedPolicies.end());
  all.insert(all.end(), kFurtherPolicies.begin(), kFurtherPolicies.end());
  return all;
}

TEST(SimulationTest, ReferencesMissWhatTheyShould) {
  Accesses accesses = number_units({1, 2, 3, 1, 4, 1, 2, 3});
  EXPECT_EQ(accesses.distinct, 4u);
  EXPECT_EQ(count_lru_misses(accesses, 3), 6u);  // 1 2 3 - 4 - 2 3
  EXPECT_EQ(count_min_misses(accesses, 3), 5u);  // 4 replaces 3
  for (const SimulatedPolicy& policy : all_policies()) EXPECT_EQ(policy.misses(accesses, 4), 4u) << policy.name;
}

TEST(SimulationTest, AdjacentKeysComeTogether) {
  Accesses accesses = number_units({16, 17, 23, 24, 16, 31}, 8);
  EXPECT_EQ(accesses.distinct, 2u);
  EXPECT_EQ(accesses.units, (std::vector<std::uint32_t>{0, 0, 0, 1, 0, 1}));
}

TEST(SimulationTest, NothingBeatsTheLimitAndEveryPolicyBeatsAnEmptyCache) {
  Accesses accesses =
      number_units(zipf_keys({.objects = 1000, .accesses = 50'000, .scan_every = 5000, .scan_objects = 200}));
  for (double share : {0.001, 0.1, 0.5}) {
    std::size_t capacity = capacity_of(accesses, share);
    std::uint64_t limit = count_min_misses(accesses, capacity);
    for (const SimulatedPolicy& policy : all_policies()) {
      std::uint64_t misses = policy.misses(accesses, capacity);
      EXPECT_GE(misses, limit) << policy.name << " at " << share;
      EXPECT_LT(misses, accesses.units.size()) << policy.name << " at " << share;
    }
  }
}

TEST(SessionSplitTest, DealsOutEveryAccessOnce) {
  Accesses accesses = number_units(zipf_keys({.objects = 1000, .accesses = 20'000}));
  for (SessionObjects objects : {SessionObjects::same, SessionObjects::disjoint, SessionObjects::scanned}) {
    SessionSplit dealt = split(accesses, 7, objects, 3);
    ASSERT_EQ(dealt.sessions.size(), 7u);
    std::size_t dealt_out = 0, distinct = 0;
    for (const Accesses& own : dealt.sessions) {
      EXPECT_FALSE(own.units.empty());
      dealt_out += own.units.size();
      distinct += own.distinct;
    }
    EXPECT_EQ(dealt_out, accesses.units.size());
    EXPECT_EQ(dealt.shared.units.size(), accesses.units.size());
    if (objects == SessionObjects::same) {
      EXPECT_EQ(dealt.shared.units, accesses.units);
      EXPECT_GT(distinct, dealt.shared.distinct);
    } else {
      EXPECT_EQ(distinct, dealt.shared.distinct);  // nobody reads another's
    }
  }
}

TEST(SessionSplitTest, OneSessionIsTheSharedCacheAndMoreHitLessOnTheSameObjects) {
  Accesses accesses = number_units(zipf_keys({.objects = 1000, .accesses = 20'000}));
  for (const SimulatedPolicy& policy : all_policies()) {
    std::uint64_t shared = policy.misses(accesses, 200);
    EXPECT_EQ(count_private_misses(split(accesses, 1, SessionObjects::same, 3), 200, policy), shared) << policy.name;
    EXPECT_GT(count_private_misses(split(accesses, 8, SessionObjects::same, 3), 200, policy), shared) << policy.name;
  }
  // 3 sessions and room for 2: one of them never hits.
  SessionSplit dealt = split(accesses, 3, SessionObjects::same, 3);
  std::uint64_t misses = count_private_misses(dealt, 2, kSimulatedPolicies[0]);
  EXPECT_GE(misses, dealt.sessions[2].units.size());
  EXPECT_LT(misses, accesses.units.size());
}

class TraceTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_.path() / name, std::ios::binary) << bytes;
    return directory_.path() / name;
  }
  ScratchDirectory directory_;
};

TEST_F(TraceTest, KeysAreBigEndian) {
  EXPECT_EQ(read_trace(write("a.trace", std::string("\0\0\1\2\x80\0\0\xff", 8))), (Keys{0x102, 0x800000ff}));
}

TEST_F(TraceTest, PackedOrNot) {
  // printf '\0\0\0\1\0\0\0\2' | xz --check=crc32
  const std::string packed(
      "\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3"
      "\x01\x00\x07\x00\x00\x00\x01\x00\x00\x00\x02\x00\xf5\x97\x4c\xb6\x00\x01\x1c\x08\x44\x60\x2a\xc8"
      "\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a",
      60);
  EXPECT_EQ(read_trace(write("whole.trace.xz", packed)), (Keys{1, 2}));
  EXPECT_THROW(read_trace(write("cut.trace.xz", packed.substr(0, 50))), std::runtime_error);
}

TEST_F(TraceTest, BadFilesAreRefused) {
  EXPECT_THROW(read_trace("/nonexistent/trace"), std::runtime_error);
  EXPECT_THROW(read_trace(write("odd.trace", "12345")), std::runtime_error);
  EXPECT_THROW(read_trace(write("plain.trace.xz", "not packed")), std::runtime_error);
}

TEST(KeySequencesTest, T1ReadsEveryPartWithItsConnections) {
  Keys keys = oo7_keys();
  EXPECT_EQ(keys.size() % 3, 0u);
  // Module, assemblies, composites and their root parts, and for every part its connections and where they lead.
  EXPECT_EQ(keys.size() / 3, 1u + 364 + 729 + 2 * 2187 + 2 * 3 * 43'740u);
}

}  // namespace
}  // namespace cow::bench
