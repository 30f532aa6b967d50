// The oid table: cells that stay where they are, for every oid that a cache accepts.
#include "cow_cache/oid_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "cow_cache/load_ticket.hpp"

namespace cow {
namespace {

TEST(OidTable, AnOidThatNobodyTouchedIsEmptyAndCostsNothing) {
  OidTable table;
  for (std::uint64_t oid : {std::uint64_t{1}, std::uint64_t{511}, std::uint64_t{512}, kMaxOid.value}) {
    CellContent content = table.find(Oid{oid});
    EXPECT_TRUE(content.is_empty());
    EXPECT_EQ(content.state(), nullptr);
    EXPECT_EQ(content.ticket(), nullptr);
  }
  EXPECT_EQ(table.bytes(), 0u);
}

TEST(OidTable, RefusesOidsThatItCannotAddress) {
  OidTable table;
  EXPECT_THROW(table.find(Oid{}), OidRangeError);
  EXPECT_THROW(table.cell(Oid{}), OidRangeError);
  EXPECT_THROW(table.find(Oid{kMaxOid.value + 1}), OidRangeError);
  EXPECT_THROW(table.cell(Oid{~std::uint64_t{0}}), OidRangeError);
  EXPECT_NO_THROW(table.cell(kMaxOid));
  EXPECT_NO_THROW(table.cell(Oid{1}));
}

TEST(OidTable, AStateAndATicketAreToldApart) {
  OidTable table;
  StateHeader state;
  LoadTicket ticket;
  table.cell(Oid{7}).store(CellContent(state).bits());
  EXPECT_EQ(table.find(Oid{7}).state(), &state);
  EXPECT_EQ(table.find(Oid{7}).ticket(), nullptr);
  EXPECT_FALSE(table.find(Oid{7}).is_empty());
  table.cell(Oid{7}).store(CellContent(ticket).bits());
  EXPECT_EQ(table.find(Oid{7}).state(), nullptr);
  EXPECT_EQ(table.find(Oid{7}).ticket(), &ticket);
  EXPECT_FALSE(table.find(Oid{7}).is_empty());
}

TEST(OidTable, EveryOidHasACellOfItsOwnThatNeverMoves) {
  OidTable table;
  std::set<OidTable::Cell*> cells;
  std::vector<std::uint64_t> oids;
  for (std::uint64_t oid = 1; oid <= 5000; ++oid) oids.push_back(oid);
  for (std::uint64_t oid = 1u << 20; oid < kMaxOid.value; oid *= 2) {
    for (std::uint64_t near : {oid - 1, oid, oid + 1}) oids.push_back(near);
  }
  for (std::uint64_t oid : oids) cells.insert(&table.cell(Oid{oid}));
  EXPECT_EQ(cells.size(), oids.size());
  StateHeader states[3];
  for (std::uint64_t oid : oids) table.cell(Oid{oid}).store(CellContent(states[oid % 3]).bits());
  for (std::uint64_t oid : oids) {
    ASSERT_EQ(table.find(Oid{oid}).state(), &states[oid % 3]);
    ASSERT_TRUE(cells.contains(&table.cell(Oid{oid})));
  }
}

TEST(OidTable, DenseOidsCostLittleMoreThanTheirCells) {
  OidTable table;
  constexpr std::uint64_t kObjects = 100'000;
  for (std::uint64_t oid = 1; oid <= kObjects; ++oid) table.cell(Oid{oid});
  EXPECT_GE(table.bytes(), kObjects * 8);
  EXPECT_LE(table.bytes(), kObjects * 8 * 105 / 100);
}

TEST(OidTable, ThreadsThatMeetOnAFreshPageAgreeOnIt) {
  constexpr std::uint64_t kPages = 2000, kThreads = 4;
  OidTable table;
  std::vector<std::vector<OidTable::Cell*>> seen(kThreads);
  std::atomic<std::uint64_t> at_start = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ++at_start;
      while (at_start.load() < kThreads) std::this_thread::yield();
      for (std::uint64_t page = 0; page < kPages; ++page) {
        OidTable::Cell& mine = table.cell(Oid{page * 512 + 1 + t});
        mine.fetch_add(2 * (page + 1));
        seen[t].push_back(&table.cell(Oid{page * 512 + 100}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    EXPECT_EQ(seen[t], seen[0]);
    for (std::uint64_t page = 0; page < kPages; ++page) {
      ASSERT_EQ(table.find(Oid{page * 512 + 1 + t}).bits(), 2 * (page + 1)) << "a page was made twice";
    }
  }
}

}  // namespace
}  // namespace cow
