// What a database says that it takes is what the process takes. This program links jemalloc, which counts heap members.
#include "bench/support/accounting.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "cow_cache/cow_cache.hpp"

namespace cow {
namespace {

TEST(Accounting, StatisticsAgreeWithTheProcessWithinATenth) {
  ASSERT_TRUE(detail::HeapMeter::counts()) << "this program must be linked with jemalloc";
  for (const bench::Account& account : bench::take_accounts(std::size_t{32} << 20)) {
    std::printf(
        "%-10s %-13s said %6.1f MiB (heap %5.1f, free slots %4.1f), used %6.1f MiB (allocator %5.1f): %4.1f%%\n",
        account.shape.c_str(), account.phase.c_str(), account.said / 1048576, account.heap / 1048576,
        account.free / 1048576, account.used / 1048576, account.allocator / 1048576, account.deviation());
    EXPECT_LE(account.deviation(), 10) << account.shape << " " << account.phase;
  }
}

}  // namespace
}  // namespace cow
