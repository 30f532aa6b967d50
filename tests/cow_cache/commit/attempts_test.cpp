// Which failures end a call of `transact`, and how long it pauses after the others.
#include "cow_cache/detail/commit/attempts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "cow_cache/errors.hpp"

namespace cow::testing {
namespace {

using detail::Attempts;
using std::chrono::microseconds;

/// Has it meet a conflict over object 7, of which `current` is the newest revision.
void meet(Attempts& attempts, const detail::TransactFrame& frame, Tid current) {
  try {
    throw ConflictError({{Oid{7}, Tid{1}, current}});
  } catch (const ConflictError& error) {
    attempts.met(error, frame);
  }
}

TEST(Attempts, TheErrorOfTheLastOneIsThrown) {
  detail::ThreadTransactFrame frame;
  Attempts attempts({.most_attempts = 3});
  EXPECT_NO_THROW(meet(attempts, frame, Tid{2}));
  EXPECT_NO_THROW(meet(attempts, frame, Tid{3}));
  try {
    meet(attempts, frame, Tid{4});
    FAIL() << "a fourth attempt";
  } catch (const ConflictError& last) {
    ASSERT_EQ(last.conflicts.size(), 1u);
    EXPECT_EQ(last.conflicts[0].current, Tid{4});
  }
}

TEST(Attempts, ThereIsAlwaysAFirst) {
  detail::ThreadTransactFrame frame;
  for (int most : {-1, 0, 1}) {
    Attempts attempts({.most_attempts = most});
    EXPECT_THROW(meet(attempts, frame, Tid{2}), ConflictError);
  }
}

TEST(Attempts, AConflictWithWhatCommittedInsideIsNotTriedAgain) {
  detail::ThreadTransactFrame frame;
  int database = 0, outer = 0, nested = 0;
  frame.enter(&database, &outer, [](void*, detail::WriteSet&) { return Oid{}; });
  frame.note_commit(&database, &nested, Tid{5});
  Attempts attempts({.most_attempts = 3});
  EXPECT_NO_THROW(meet(attempts, frame, Tid{4}));
  EXPECT_THROW(meet(attempts, frame, Tid{5}), NestedTransactionError);
}

TEST(Attempts, ASnapshotOfItsOwnThatIsTooOldIsTriedAgain) {
  constexpr Tid kSnapshot{5};
  Attempts attempts({.most_attempts = 3});
  const auto meet_pack = [&](Tid asked) {
    try {
      throw SnapshotTooOldError(Oid{7}, asked, Tid{9});
    } catch (const SnapshotTooOldError& error) {
      attempts.met(error, kSnapshot);
    }
  };
  EXPECT_NO_THROW(meet_pack(kSnapshot));
  EXPECT_THROW(meet_pack(Tid{4}), SnapshotTooOldError) << "the body has asked for the past";
  EXPECT_NO_THROW(meet_pack(kSnapshot));
  EXPECT_THROW(meet_pack(kSnapshot), SnapshotTooOldError) << "a fourth attempt";
}

TEST(Attempts, PausesDoubleUpToTheLongest) {
  detail::ThreadTransactFrame frame;
  constexpr microseconds kFirst(8), kLongest(100);
  constexpr int kSamples = 1000;  // of a uniform distribution: one at least is above its middle
  Attempts attempts({.most_attempts = 100, .first_pause = kFirst, .longest_pause = kLongest});
  microseconds most = kFirst;
  for (int conflict = 1; conflict < 100; ++conflict) {
    meet(attempts, frame, Tid{2});
    microseconds seen(0);
    for (int i = 0; i < kSamples; ++i) seen = std::max(seen, attempts.pause());
    EXPECT_LE(seen, most) << conflict;
    EXPECT_GE(seen, most / 2) << conflict;
    most = std::min(2 * most, kLongest);
  }
}

}  // namespace
}  // namespace cow::testing
