// The reclaimer without memory: nothing that retires, scans, parks or ends may fail or end the program; what cannot be done
// is done later, and nothing is freed too early for that.
#include <cstdlib>
#include <new>
#include <vector>

#include "reclaimer_testing.hpp"

namespace {

/// How many allocations of this thread succeed; negative: all.
thread_local long allocations_left = -1;

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return alignment <= alignof(std::max_align_t)
             ? std::malloc(bytes)
             : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* memory = allocate(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // all of them are malloc and free

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, std::size_t(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate(bytes, std::size_t(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace cow {

using cow::detail::handle_of;
using cow::detail::StateHeader;
using cow::detail::value_of;

namespace {

using testing::kBudget;
using testing::make_probe;
using testing::Probe;
using testing::Sleeper;

using ReclaimerMemoryTest = testing::ReclaimerTest;

/// Only so many allocations succeed while this lives.
struct Scarcity {
  explicit Scarcity(long left) { allocations_left = left; }
  ~Scarcity() { allocations_left = -1; }
  bool was_felt() const { return allocations_left == 0; }
};

TEST_F(ReclaimerMemoryTest, RetiringNeedsNone) {
  const std::uint64_t states = 20'000;
  std::vector<StateHeader*> all;
  for (std::uint64_t i = 1; i <= states; ++i) all.push_back(&make_probe(i));
  {
    Scarcity none(0);
    for (StateHeader* state : all) retire(*state);
    reclaimer_->reclaim_all();
  }
  retire(make_probe(1));
  reclaimer_->reclaim_all();
  EXPECT_EQ(Probe::alive.load(), 0);
  EXPECT_EQ(reclaimer_->limbo_bytes(), 0u);
}

// Each allocation in turn is the last that succeeds, while states are retired behind transactions awake and asleep.
TEST_F(ReclaimerMemoryTest, AnyAllocationMayFail) {
  constexpr std::uint64_t kStates = 400, kHeld = 100;
  bool was_felt = true;
  long failing = 0;
  for (; was_felt && failing < 3000; ++failing) {
    std::vector<StateHeader*> states;
    auto awake = std::make_unique<Sleeper>(registry_), asleep = std::make_unique<Sleeper>(registry_);
    for (std::uint64_t i = 0; i < kStates; ++i) {
      states.push_back(&make_probe(i + 1));
      if (i < kHeld) awake->log.add(handle_of(states.back()));
      if (i < 2 * kHeld && i % 2 == 0) asleep->log.add(handle_of(states.back()));
    }
    registry_.will_sleep(asleep->participant);
    auto held_are_intact = [&](std::uint64_t first, std::uint64_t last, std::uint64_t step) {
      bool intact = true;
      for (std::uint64_t i = first; i < last; i += step) intact = intact && value_of<Probe>(*states[i]).intact();
      return intact;
    };
    {
      Scarcity scarcity(failing);
      for (StateHeader* state : states) retire(*state);
      reclaimer_->reclaim_all();
      EXPECT_TRUE(held_are_intact(0, kHeld, 1));
      EXPECT_TRUE(held_are_intact(0, 2 * kHeld, 2));
      awake.reset();
      EXPECT_TRUE(held_are_intact(0, 2 * kHeld, 2));
      reclaimer_->reclaim_all();
      EXPECT_TRUE(held_are_intact(0, 2 * kHeld, 2));
      asleep.reset();
      was_felt = scarcity.was_felt();
    }
    reclaimer_->reclaim_all();
    ASSERT_EQ(Probe::alive.load(), 0) << "after " << failing << " allocations";
    ASSERT_EQ(reclaimer_->limbo_bytes(), 0u) << "after " << failing << " allocations";
  }
  EXPECT_FALSE(was_felt) << "the test has not come to its end";
  EXPECT_GT(failing, 10);
}

}  // namespace
}  // namespace cow
