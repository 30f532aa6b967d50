// The memory of states: what an address is once, it is for ever; nothing is lost, nothing is handed out twice.
#include "cow_cache/detail/state/state_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cow_cache/detail/cache/oid_table.hpp"
#include "cow_cache/detail/sanitizers.hpp"

namespace cow {

using cow::detail::Charge;
using cow::detail::handle_of;
using cow::detail::State;
using cow::detail::state_at;
using cow::detail::StateHandle;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::value_address;
namespace size_classes = cow::detail::size_classes;

namespace {

StateMemory& memory() { return StateMemory::instance(); }

std::uintptr_t address_of(const StateHeader* state) { return reinterpret_cast<std::uintptr_t>(state); }

std::vector<StateHeader*> allocate_many(std::uint8_t size_class, std::size_t count) {
  std::vector<StateHeader*> states;
  for (std::size_t i = 0; i < count; ++i) states.push_back(memory().allocate(size_class));
  return states;
}

void release_all(const std::vector<StateHeader*>& states) {
  for (StateHeader* state : states) memory().release(state);
}

TEST(SizeClasses, EverySizeMapsToTheSmallestClassThatFits) {
  for (std::size_t bytes = 1; bytes <= size_classes::kLargest; ++bytes) {
    std::size_t size_class = size_classes::class_of(bytes);
    ASSERT_LT(size_class, size_classes::kCount) << bytes << " bytes";
    ASSERT_GE(size_classes::bytes_of(size_class), bytes) << "class " << size_class;
    if (size_class > 0) {
      ASSERT_LT(size_classes::bytes_of(size_class - 1), bytes) << "a smaller class would do";
    }
  }
}

TEST(SizeClasses, SlotsAreMultiplesOf16AndLargeOnesOfLinesAndWasteAtMostAFifth) {
  EXPECT_GE(size_classes::bytes_of(0), 3u << detail::kStateAlignmentBits)
      << "handles of two states may not be neighbours";
  for (std::size_t size_class = 0; size_class < size_classes::kCount; ++size_class) {
    EXPECT_EQ(size_classes::bytes_of(size_class) % (1u << detail::kStateAlignmentBits), 0u);
    if (size_classes::bytes_of(size_class) > size_classes::kLargestFine) {  // the smallest size of a class in its slot
      EXPECT_EQ(size_classes::bytes_of(size_class) % 64, 0u);
      EXPECT_GE((size_classes::bytes_of(size_class - 1) + 1) * 5, size_classes::bytes_of(size_class) * 4);
    }
  }
}

TEST(Charges, AreRoundedUpByLittleAndNeverWrapAround) {
  for (std::size_t bytes = 0; bytes < 100'000; ++bytes) {
    ASSERT_EQ(Charge::bytes(Charge::packed(bytes)), (bytes + 15) / 16 * 16) << bytes;
  }
  for (std::size_t bytes = 1; bytes < std::size_t{64} << 30; bytes += 1 + bytes / 1000) {
    std::size_t charged = Charge::bytes(Charge::packed(bytes));
    ASSERT_GE(charged, bytes);
    ASSERT_LE(charged, bytes + std::max<std::size_t>(15, bytes / 10'000)) << bytes;
    ASSERT_EQ(Charge::packed(charged), Charge::packed(bytes)) << "charging again changes it";
    ASSERT_LT(Charge::packed(bytes), 1u << 24);
  }
  EXPECT_GE(Charge::bytes(Charge::packed(std::size_t{300} << 20)), std::size_t{300} << 20);
  EXPECT_GT(Charge::bytes(Charge::packed(~std::size_t{0})), std::size_t{60} << 30) << "as much as can be said";
}

TEST(StateHeader, ItsMarksKeepToThemselves) {
  StateHeader header;
  header.set_size_class(0x7F);
  header.set_charge(std::size_t{300} << 20);
  auto same = [&] { return header.size_class() == 0x7F && header.charge() == std::size_t{300} << 20; };
  EXPECT_FALSE(header.take_visited());
  header.mark_visited();
  EXPECT_TRUE(header.visited() && same());
  header.set_charge(std::size_t{300} << 20);
  EXPECT_TRUE(header.take_visited() && same());
  EXPECT_FALSE(header.visited());
  EXPECT_FALSE(header.is_superseded());
  for (unsigned commits : {0u, 1u, 7u, 65'535u}) {
    header.set_prune_after(commits);
    EXPECT_EQ(header.prune_after(), commits);
    EXPECT_FALSE(header.is_superseded());
  }
  header.end = 12;
  EXPECT_TRUE(header.is_superseded());
}

TEST(StateLink, LeadsFromAnyStateToAnyOther) {
  std::vector<StateHeader*> states;
  for (std::uint8_t size_class = 0; size_class < size_classes::kCount; ++size_class)
    states.push_back(memory().allocate(size_class));
  for (StateHeader* from : states) {
    for (StateHeader* to : states) {
      from->older.store(to, std::memory_order_relaxed);
      ASSERT_EQ(from->older.load(std::memory_order_relaxed), to);
    }
    from->older.store(nullptr, std::memory_order_relaxed);
    ASSERT_EQ(from->older.load(std::memory_order_relaxed), nullptr);
  }
  release_all(states);
}

TEST(StateLayout, TheValueBeginsWhereTheHeaderEnds) {
  // Hints and poisoning count on it; a small type could otherwise slip into the padding of the header.
  State<char> small;
  State<std::uint64_t> word;
  EXPECT_EQ(static_cast<void*>(value_address(small)), static_cast<void*>(&small.value));
  EXPECT_EQ(static_cast<void*>(value_address(word)), static_cast<void*>(&word.value));
  EXPECT_EQ(state_at(value_address(small)), &small);
}

TEST(StateMemory, ANewSlotIsDeadAndReadyForUse) {
  for (std::uint8_t size_class = 0; size_class < size_classes::kCount; ++size_class) {
    StateHeader* state = memory().allocate(size_class);
    // At a multiple of 16, and at the beginning of a line where the slot is of whole lines.
    EXPECT_EQ(address_of(state) % (size_classes::bytes_of(size_class) % 64 == 0 ? 64 : 16), 0u);
    EXPECT_EQ(state->key.load(), 0u);
    EXPECT_EQ(state->begin.load(), kInfinity.value);
    EXPECT_EQ(state->end.load(), kInfinity.value);
    EXPECT_EQ(state->older.load(std::memory_order_relaxed), nullptr);
    EXPECT_FALSE(state->visited());
    EXPECT_EQ(state->size_class(), size_class);
    // The whole slot belongs to the caller: its last byte too.
    std::memset(static_cast<void*>(state + 1), 0xAB, size_classes::bytes_of(size_class) - sizeof(StateHeader));
    memory().release(state);
  }
}

TEST(StateMemory, ARecycledSlotShowsNothingOfItsPast) {
  StateHeader* state = memory().allocate(3);
  state->begin.store(7);
  state->end.store(9);
  state->older.store(state, std::memory_order_relaxed);
  state->mark_visited();
  state->set_charge(99);
  memory().release(state);
  StateHeader* again = memory().allocate(3);
  EXPECT_EQ(again, state) << "the slot freed last is the one still in the processor's cache";
  EXPECT_EQ(again->begin.load(), kInfinity.value);
  EXPECT_EQ(again->end.load(), kInfinity.value);
  EXPECT_EQ(again->older.load(std::memory_order_relaxed), nullptr);
  EXPECT_EQ(again->charge(), 0u);
  EXPECT_FALSE(again->visited());
  memory().release(again);
}

TEST(StateMemory, AnAddressKeepsItsClassForEver) {
  std::mt19937 random(1);
  std::map<std::uintptr_t, std::uint8_t> class_at;  // every slot ever seen
  for (int round = 0; round < 20; ++round) {
    std::vector<StateHeader*> states;
    for (int i = 0; i < 2000; ++i) {
      auto size_class = static_cast<std::uint8_t>(random() % 20);
      StateHeader* state = memory().allocate(size_class);
      auto [known, fresh] = class_at.emplace(address_of(state), size_class);
      ASSERT_TRUE(fresh || known->second == size_class) << "one address, two classes";
      states.push_back(state);
    }
    std::shuffle(states.begin(), states.end(), random);
    release_all(states);
  }
  std::uintptr_t end = 0;
  for (auto [address, size_class] : class_at) {
    ASSERT_GE(address, end) << "slots overlap";
    end = address + size_classes::bytes_of(size_class);
  }
}

TEST(StateMemory, HandlesAreUniqueAndNoneIsAnothersMark) {
  std::vector<StateHeader*> states;
  for (std::uint8_t size_class = 0; size_class < size_classes::kCount; ++size_class) {
    for (StateHeader* state : allocate_many(size_class, size_class < 12 ? 20'000 : 100)) states.push_back(state);
  }
  std::unordered_set<StateHandle> handles;
  for (StateHeader* state : states) {
    StateHandle handle = handle_of(state);
    ASSERT_EQ(memory().state_of(handle), state);
    ASSERT_GT(handle, 1u) << "neither it nor its mark may be the empty entry";
    ASSERT_TRUE(handles.insert(handle).second);
    ASSERT_TRUE(memory().is_handle(handle)) << "class " << int{state->size_class()};
    ASSERT_FALSE(memory().is_handle(handle ^ 1)) << "class " << int{state->size_class()};
  }
  for (StateHandle handle : handles) ASSERT_FALSE(handles.contains(handle ^ 1)) << "that is the read log's mark";
  release_all(states);
}

TEST(StateMemory, ReleasedSlotsAreUsedAgainBeforeNewMemory) {
  constexpr std::uint8_t kClass = 14;
  release_all(allocate_many(kClass, 1000));
  std::size_t slots = memory().slot_count();
  for (int round = 0; round < 50; ++round) release_all(allocate_many(kClass, 1000));
  EXPECT_EQ(memory().slot_count(), slots);
}

TEST(StateMemory, AThreadThatEndsReturnsItsMagazines) {
  constexpr std::uint8_t kClass = 17;  // used by no other test here
  auto work = [] { release_all(allocate_many(kClass, 24)); };
  std::thread(work).join();
  std::size_t slots = memory().slot_count();
  for (int i = 0; i < 300; ++i) std::thread(work).join();
  EXPECT_EQ(memory().slot_count(), slots) << "slots were lost with their threads";
}

TEST(StateMemory, SlotsReleasedByAnotherThreadComeBack) {
  constexpr std::uint8_t kClass = 9;
  auto round = [] {
    std::vector<StateHeader*> states = allocate_many(kClass, 500);
    std::thread([&] { release_all(states); }).join();
  };
  round();
  std::size_t slots = memory().slot_count();
  for (int i = 0; i < 100; ++i) round();
  // The consumers' slots sit in the depot, not in magazines that the producer cannot reach.
  EXPECT_EQ(memory().slot_count(), slots);
}

TEST(StateMemory, AFullSweepVisitsEverySlotInUseOnce) {
  std::vector<StateHeader*> states;
  for (std::uint8_t size_class : {0, 7, 8, 13, 21, 33, 51}) {
    for (StateHeader* state : allocate_many(size_class, 70)) states.push_back(state);
  }
  std::unordered_map<const StateHeader*, int> visits;
  memory().sweep(0, memory().slot_count(), [&](StateHeader& state) {
    ++visits[&state];
    return true;
  });
  for (auto [state, count] : visits) ASSERT_EQ(count, 1);
  for (StateHeader* state : states) ASSERT_EQ(visits.count(state), 1u) << "class " << int{state->size_class()};
  release_all(states);
}

TEST(StateMemory, ASweepInStepsWithInterruptionsVisitsEverySlotInUseToo) {
  std::vector<StateHeader*> states;
  for (std::uint8_t size_class : {1, 4, 9, 22, 40}) {
    for (StateHeader* state : allocate_many(size_class, 70)) states.push_back(state);
  }
  std::unordered_set<const StateHeader*> visited;
  std::size_t hand = 0, passed = 0;
  for (std::size_t calls = 0; passed < memory().slot_count(); ++calls) {
    std::size_t step = 1 + calls % 97, stop_after = step / 2 + 1, seen = 0;
    hand = memory().sweep(hand, step, [&](StateHeader& state) {
      visited.insert(&state);
      return ++seen < stop_after;  // stops in the middle of chunks and at their ends
    });
    passed += seen == stop_after ? seen : step;
  }
  for (StateHeader* state : states) ASSERT_EQ(visited.count(state), 1u) << "class " << int{state->size_class()};
  release_all(states);
}

TEST(StateMemory, ASweepFromTheMiddleWrapsAround) {
  std::vector<StateHeader*> states = allocate_many(2, 2000);
  std::unordered_set<const StateHeader*> visited;
  std::size_t middle = memory().sweep(0, memory().slot_count() / 2, [](StateHeader&) { return true; });
  memory().sweep(middle, memory().slot_count(), [&](StateHeader& state) { return visited.insert(&state).second; });
  for (StateHeader* state : states) ASSERT_EQ(visited.count(state), 1u);
  release_all(states);
}

// Giving back.

/// Which of the pages that the states start in are resident.
std::size_t resident_pages(const std::vector<StateHeader*>& states) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  std::size_t resident = 0;
  for (StateHeader* state : states) {
    unsigned char answer = 0;
    EXPECT_EQ(::mincore(reinterpret_cast<void*>(address_of(state) / page * page), 1, &answer), 0);
    resident += answer & 1;
  }
  return resident;
}

/// As many slots of a class as there are in so many megabytes.
std::vector<StateHeader*> allocate_megabytes(std::uint8_t size_class, std::size_t megabytes) {
  return allocate_many(size_class, (megabytes << 20) / size_classes::bytes_of(size_class));
}

/// What a depot keeps of empty chunks, at most, and what magazines may pin.
constexpr std::size_t kKept = std::size_t{8} << 20;

TEST(StateMemory, EmptyChunksGoBackToTheSystemAndStayReadable) {
  for (std::uint8_t size_class : {4, 15, 30}) {
    std::size_t before = memory().usage().resident;
    std::vector<StateHeader*> states = allocate_megabytes(size_class, 64);
    for (StateHeader* state : states) std::memset(static_cast<void*>(state + 1), 0xAB, 16);
    EXPECT_EQ(resident_pages(states), states.size());
    EXPECT_GE(memory().usage().resident, before + (std::size_t{60} << 20));
    release_all(states);
    EXPECT_LE(memory().usage().resident, before + kKept);
    EXPECT_LE(resident_pages(states), states.size() / 8 + states.size() / 100);  // a chunk more than a depot keeps
    for (StateHeader* state : states) ASSERT_EQ(state->key.load(), 0u) << "what was given back must read as dead";
  }
}

TEST(StateMemory, WhatWasGivenBackServesItsClassAgain) {
  constexpr std::uint8_t kClass = 6;
  std::vector<StateHeader*> states = allocate_megabytes(kClass, 32);
  release_all(states);
  std::size_t slots = memory().slot_count();
  for (int round = 0; round < 3; ++round) {
    std::unordered_set<StateHeader*> again;
    for (StateHeader* state : allocate_megabytes(kClass, 32)) {
      ASSERT_EQ(state->size_class(), kClass);
      std::memset(static_cast<void*>(state + 1), 0xCD, size_classes::bytes_of(kClass) - sizeof(StateHeader));
      ASSERT_TRUE(again.insert(state).second);
    }
    EXPECT_EQ(memory().slot_count(), slots) << "new memory although there was some of this class";
    release_all({again.begin(), again.end()});
  }
}

TEST(StateMemory, ASweepLeavesAloneWhatWasGivenBack) {
  std::vector<StateHeader*> states = allocate_megabytes(5, 64);
  release_all(states);
  std::size_t resident = resident_pages(states);
  ASSERT_LT(resident, states.size() / 4);
  memory().sweep(0, 2 * memory().slot_count(), [](StateHeader& state) { return state.key.load() == 0; });
  EXPECT_EQ(resident_pages(states), resident);
}

TEST(StateMemory, AllocationFillsTheFullestChunksSoThatOthersEmpty) {
  constexpr std::uint8_t kClass = 10;
  constexpr std::size_t kChunk = size_classes::kHugePage;
  std::vector<StateHeader*> states = allocate_megabytes(kClass, 64);
  // Half of the chunks stay nearly full, of the others one slot in fifty stays.
  std::vector<StateHeader*> kept, released;
  for (std::size_t i = 0; i < states.size(); ++i) {
    bool full = address_of(states[i]) / kChunk % 2 == 0;
    (i % 50 == 0) != full ? kept.push_back(states[i]) : released.push_back(states[i]);
  }
  release_all(released);
  std::size_t resident = memory().usage().resident, in_full = 0;
  std::vector<StateHeader*> fresh = allocate_many(kClass, released.size() / 60);
  for (StateHeader* state : fresh) in_full += address_of(state) / kChunk % 2 == 0;
  EXPECT_GE(in_full, fresh.size() * 9 / 10) << "magazines apart";
  EXPECT_EQ(memory().usage().resident, resident);
  release_all(fresh);
  release_all(kept);
}

TEST(StateMemory, ACacheAtItsBudgetKeepsItsMemory) {
  std::vector<StateHeader*> states = allocate_megabytes(12, 64);
  std::size_t resident = memory().usage().resident, part = states.size() / 64;
  for (std::size_t from = 0; from + part <= states.size(); from += part) {
    for (std::size_t i = from; i < from + part; ++i) memory().release(states[i]);
    ASSERT_EQ(memory().usage().resident, resident) << "given back, to be taken again at once";
    for (std::size_t i = from; i < from + part; ++i) states[i] = memory().allocate(12);
    ASSERT_EQ(memory().usage().resident, resident);
  }
  release_all(states);
}

TEST(StateMemory, UsageKnowsWhatIsOutInMagazinesAndInDepots) {
  constexpr std::uint8_t kClass = 3;
  StateMemory::Usage before = memory().usage();
  std::vector<StateHeader*> states = allocate_many(kClass, 1000);
  StateMemory::Usage with = memory().usage();
  EXPECT_EQ(with.in_use(), before.in_use() + 1000 * size_classes::bytes_of(kClass));
  EXPECT_EQ(with.resident, with.in_use() + with.in_depots + with.in_magazines);
  std::thread([] {
    memory().release(memory().allocate(kClass));
    EXPECT_GT(memory().usage().in_magazines, 0u);
  }).join();
  EXPECT_EQ(memory().usage().in_magazines, with.in_magazines) << "a thread that has ended has none";
  release_all(states);
  EXPECT_EQ(memory().usage().in_use(), before.in_use());
}

// Whole chunks come and go while others allocate of the same class, sweep, and look at what was given back.
TEST(StateMemory, ChunksComeAndGoUnderManyThreads) {
  constexpr int kThreads = 3, kRounds = 30;
  constexpr std::uint8_t kClass = 25;  // 12 KiB: a chunk has 170 slots
  std::atomic<bool> done = false;
  std::atomic<int> broken = 0;
  std::atomic<StateHeader*> stale = nullptr;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        std::vector<StateHeader*> mine = allocate_megabytes(kClass, 6 + static_cast<std::size_t>(t));
        for (StateHeader* state : mine) ::new (state + 1) std::uintptr_t(address_of(state));
        stale.store(mine[mine.size() / 2], std::memory_order_relaxed);
        for (StateHeader* state : mine) {
          if (*reinterpret_cast<std::uintptr_t*>(state + 1) != address_of(state)) ++broken;
          memory().release(state);
        }
      }
    });
  }
  std::thread reader([&] {
    std::size_t hand = 0;
    auto look = [&](StateHeader& state) {
      if (state.key.load(std::memory_order_acquire) != 0) ++broken;  // nobody publishes here
      return true;
    };
    while (!done.load()) {
      if (StateHeader* state = stale.load(std::memory_order_relaxed)) look(*state);
      hand = memory().sweep(hand, 500, look);
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  EXPECT_EQ(broken.load(), 0);
}

// Threads allocate, fill, check and free (their own and each other's slots) while one sweeps over everything.
TEST(StateMemory, NoSlotHasTwoOwners) {
  constexpr int kThreads = 4, kRounds = 300, kHeld = 40;
  std::array<std::atomic<StateHeader*>, 64> exchange{};
  std::atomic<bool> done = false;
  std::atomic<int> broken = 0;
  auto stamp_of = [](StateHeader* state) { return reinterpret_cast<std::uint64_t*>(state + 1); };
  auto check_and_release = [&](StateHeader* state, std::uint64_t expected) {
    if (*stamp_of(state) != expected) ++broken;
    memory().release(state);
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int round = 0; round < kRounds; ++round) {
        std::vector<StateHeader*> mine;
        for (int i = 0; i < kHeld; ++i) {
          StateHeader* state = memory().allocate(static_cast<std::uint8_t>(random() % 6));
          *stamp_of(state) = address_of(state);
          mine.push_back(state);
        }
        for (StateHeader* state : mine) {
          // A third goes to whoever comes by.
          if (random() % 3 == 0)
            state = exchange[random() % exchange.size()].exchange(state, std::memory_order_acq_rel);
          if (state != nullptr) check_and_release(state, address_of(state));
        }
      }
    });
  }
  std::thread sweeper([&] {
    std::size_t hand = 0;
    while (!done.load()) {
      hand = memory().sweep(hand, 1000, [&](StateHeader& state) {
        if (state.key.load(std::memory_order_acquire) != 0) ++broken;  // nobody publishes here
        return true;
      });
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  sweeper.join();
  for (auto& left : exchange) {
    if (StateHeader* state = left.load()) memory().release(state);
  }
  EXPECT_EQ(broken.load(), 0);
}

/// Exits with 0 if a process of few addresses has some for states, and for the tables of a database after them.
[[noreturn]] void share_few_addresses() {
  rlimit limit{.rlim_cur = std::size_t{22} << 30, .rlim_max = RLIM_INFINITY};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) std::exit(1);
  memory().release(memory().allocate(0));
  cow::detail::OidTable table;
  std::exit(table.find(Oid{1}) == nullptr ? 0 : 2);
}

TEST(StateMemoryLimits, LeavesAddressesToTheRestOfAProcessThatHasFew) {
  if (cow::detail::kAddressSanitizer || cow::detail::kThreadSanitizer) GTEST_SKIP() << "its shadow needs more";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(share_few_addresses(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace cow
