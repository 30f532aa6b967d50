// The oid table: every oid finds its state and no other, whatever comes and goes; as large as what it holds.
#include "cow_cache/detail/cache/oid_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cow_cache/detail/cache/load_ticket.hpp"

namespace cow {

using cow::detail::LoadTicket;
using cow::detail::LoadTickets;
using cow::detail::OidTable;
using cow::detail::StateHeader;

namespace {

/// States that live as long as the test, one per oid.
class States {
 public:
  StateHeader& of(Oid oid) {
    std::unique_ptr<StateHeader>& state = states_[oid.value];
    if (state == nullptr) {
      state = std::make_unique<StateHeader>();
      state->key.store(oid.value);
    }
    return *state;
  }

 private:
  std::unordered_map<std::uint64_t, std::unique_ptr<StateHeader>> states_;
};

void set(OidTable& table, Oid oid, StateHeader& state) {
  std::scoped_lock lock(table.mutex_of(oid));
  EXPECT_TRUE(table.set(oid, state));
}
void remove(OidTable& table, Oid oid) {
  std::scoped_lock lock(table.mutex_of(oid));
  table.remove(oid);
}

TEST(OidTable, AnOidThatNobodyTouchedIsAbsent) {
  OidTable table;
  for (std::uint64_t oid : {std::uint64_t{1}, std::uint64_t{511}, std::uint64_t{512}, kMaxOid.value}) {
    EXPECT_EQ(table.find(Oid{oid}), nullptr);
    remove(table, Oid{oid});  // harmless
  }
}

TEST(OidTable, RefusesOidsThatItCannotAddress) {
  OidTable table;
  States states;
  for (Oid oid : {Oid{}, Oid{kMaxOid.value + 1}, Oid{~std::uint64_t{0}}}) {
    EXPECT_THROW(table.find(oid), OidRangeError);
    EXPECT_THROW(table.set(oid, states.of(Oid{1})), OidRangeError);
    EXPECT_THROW(table.remove(oid), OidRangeError);
  }
}

// Against a map, over oids that are dense, strided and far apart.
TEST(OidTable, AgreesWithAMapWhateverComesAndGoes) {
  OidTable table;
  States states;
  std::unordered_map<std::uint64_t, StateHeader*> expected;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> oids;
  for (std::uint64_t oid = 1; oid <= 20'000; ++oid) oids.push_back(oid);
  for (std::uint64_t i = 1; i <= 5'000; ++i) oids.push_back(i << 20);
  for (std::uint64_t i = 1; i <= 5'000; ++i) oids.push_back(kMaxOid.value - i * 513);
  for (int round = 0; round < 400'000; ++round) {
    std::uint64_t oid = oids[random() % oids.size()];
    // Grows for a while, shrinks for a while.
    bool grows = round / 50'000 % 2 == 0;
    if (random() % 10 < (grows ? 7u : 3u)) {
      set(table, Oid{oid}, states.of(Oid{oid}));
      expected[oid] = &states.of(Oid{oid});
    } else {
      remove(table, Oid{oid});
      expected.erase(oid);
    }
    if (round % 20'000 != 0) continue;
    for (std::uint64_t each : oids) {
      auto found = expected.find(each);
      ASSERT_EQ(table.find(Oid{each}), found == expected.end() ? nullptr : found->second) << each;
    }
  }
}

TEST(OidTable, ANewerStateReplacesTheOlder) {
  OidTable table;
  States older, newer;
  set(table, Oid{7}, older.of(Oid{7}));
  set(table, Oid{7}, newer.of(Oid{7}));
  EXPECT_EQ(table.find(Oid{7}), &newer.of(Oid{7}));
  remove(table, Oid{7});
  EXPECT_EQ(table.find(Oid{7}), nullptr);
}

TEST(OidTable, IsAsLargeAsWhatItHolds) {
  OidTable table;
  States states;
  std::size_t empty = table.bytes();
  EXPECT_LE(empty, 256u << 10);
  constexpr std::uint64_t kObjects = 200'000;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) set(table, Oid{oid}, states.of(Oid{oid}));
  EXPECT_GE(table.bytes(), kObjects * 8);
  EXPECT_LE(table.bytes(), kObjects * 8 * 4);
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) remove(table, Oid{oid});
  EXPECT_EQ(table.bytes(), empty);
}

// A window of resident objects slides over a database fifty times as large.
TEST(OidTable, DoesNotGrowWithWhatHasBeenSeen) {
  OidTable table;
  constexpr std::uint64_t kWindow = 10'000;
  States states;
  std::size_t full = 0;
  for (std::uint64_t oid = 1; oid <= 50 * kWindow; ++oid) {
    set(table, Oid{oid}, states.of(Oid{oid}));
    if (oid > kWindow) remove(table, Oid{oid - kWindow});
    if (oid == 2 * kWindow) full = table.bytes();
  }
  EXPECT_LE(table.bytes(), full);
}

TEST(OidTable, ReadersNeverSeeAnotherObjectWhileItGrowsAndShrinks) {
  OidTable table;
  States states;
  constexpr std::uint64_t kObjects = 50'000, kPermanent = 64;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) states.of(Oid{oid});
  for (std::uint64_t oid = 1; oid <= kPermanent; ++oid) set(table, Oid{oid}, states.of(Oid{oid}));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0}, found{0}, missed{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&, i] {
      std::mt19937_64 random(static_cast<std::uint64_t>(i));
      while (!done.load()) {
        Oid oid{random() % kObjects + 1};
        if (StateHeader* state = table.find(oid)) {
          (state->oid() == oid ? found : wrong).fetch_add(1);
        }
        Oid permanent{random() % kPermanent + 1};
        if (table.find(permanent) != nullptr) continue;
        std::scoped_lock lock(table.mutex_of(permanent));  // invariant 3: under the lock it is there
        (table.find(permanent) != nullptr ? missed : wrong).fetch_add(1);
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t oid = kPermanent + 1; oid <= kObjects; ++oid) set(table, Oid{oid}, states.of(Oid{oid}));
    for (std::uint64_t oid = kPermanent + 1; oid <= kObjects; ++oid) remove(table, Oid{oid});
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(found.load(), 0u);
}

TEST(LoadTickets, ATicketStandsUntilItIsWithdrawn) {
  LoadTickets tickets;
  std::atomic<std::size_t> bytes{0};
  auto ticket = std::make_shared<LoadTicket>(Oid{5}, bytes);
  tickets.add(ticket);
  EXPECT_EQ(tickets.find(Oid{5}), ticket);
  EXPECT_EQ(tickets.find(Oid{6}), nullptr);
  EXPECT_TRUE(tickets.withdraw(*ticket));
  EXPECT_FALSE(tickets.withdraw(*ticket));
  EXPECT_EQ(tickets.find(Oid{5}), nullptr);
}

TEST(LoadTickets, ALoaderWhoseTicketWasReplacedLoses) {
  LoadTickets tickets;
  std::atomic<std::size_t> bytes{0};
  auto first = std::make_shared<LoadTicket>(Oid{5}, bytes), second = std::make_shared<LoadTicket>(Oid{5}, bytes);
  tickets.add(first);
  tickets.withdraw(Oid{5});  // a commit
  tickets.add(second);       // the next loader
  EXPECT_FALSE(tickets.withdraw(*first));
  EXPECT_EQ(tickets.find(Oid{5}), second);
  EXPECT_TRUE(tickets.withdraw(*second));
}

}  // namespace
}  // namespace cow
