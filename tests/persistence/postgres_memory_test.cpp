// A PostgresStore whose process runs out of memory at every point of a commit.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cow_cache/errors.hpp"
#include "persistence/detail/postgres/proposal_group.hpp"
#include "persistence/postgres_store.hpp"
#include "tests/support/failing_memory.hpp"
#include "tests/support/postgres_session.hpp"
#include "tests/support/store_kinds.hpp"

namespace cow::testing {
namespace {

using failing_memory::Fails;
using Kind = Outcome::Kind;

bool is_unknown(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const OutcomeUnknownError&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// What a store has said of an attempt that wrote `text`.
struct Attempt {
  CommitToken token;
  std::string text;
  std::optional<Outcome> outcome;  ///< nothing: it has thrown
  bool has_failed;                 ///< memory has
};

// What is said to be committed is there, what is said to have failed is not, and never will be.
TEST(PostgresMemory, WhatIsSaidOfACommitThatRanOutOfItIsTrue) {
  if (!has_postgres()) GTEST_SKIP() << "PostgreSQL is not installed";
  const PostgresOptions options = in_fresh_schema();
  PostgresStore direct(options);
  std::vector<Attempt> attempts;
  for (const bool has_absent_reads : {false, true}) {  // in one statement, or in two steps
    for (const Fails fails : {Fails::once, Fails::from_then_on}) {
      for (int n = 1;; ++n) {
        PostgresStore store(options);  // each with fresh connections, and with nothing prepared
        const Tid snapshot = store.last_tid();
        Attempt attempt{detail::postgres::draw_token(), "attempt " + std::to_string(attempts.size()), {}, false};
        const std::vector<ProposedWrite> writes{{put(1, attempt.text), {}}};
        std::vector<ProposedRead> reads;
        if (has_absent_reads) reads.push_back({Oid{77}, Tid{}});
        const Proposal proposal{snapshot, writes, reads, nullptr, attempt.token};
        failing_memory::arm(n, fails);
        try {
          std::vector<Outcome> outcomes = store.propose({&proposal, 1});
          attempt.outcome = std::move(outcomes.at(0));
        } catch (...) {  // nothing is kept
        }
        attempt.has_failed = failing_memory::disarm();
        attempts.push_back(std::move(attempt));
        if (!attempts.back().has_failed) break;
      }
    }
  }
  PostgresSession session(options.connection, options.schema);
  std::size_t committed = 0, denied = 0, unknown = 0;
  for (const Attempt& attempt : attempts) {
    std::string token;
    for (const std::byte byte : attempt.token) {
      constexpr const char* kDigits = "0123456789abcdef";
      token += kDigits[static_cast<unsigned>(byte) >> 4];
      token += kDigits[static_cast<unsigned>(byte) & 15];
    }
    const std::string kept = session.value("SELECT count(*) FROM txn WHERE tid > 0 AND token = '\\x" + token + "'");
    if (attempt.outcome && attempt.outcome->kind == Kind::committed) {
      ++committed;
      EXPECT_EQ(kept, "1") << attempt.text;
      EXPECT_EQ(direct.load(Oid{1}, attempt.outcome->tid)->record, attempt.text);
    } else if (attempt.outcome && is_unknown(attempt.outcome->error)) {
      ++unknown;
    } else {
      ++denied;
      EXPECT_EQ(kept, "0") << attempt.text;
    }
  }
  EXPECT_GE(committed, 4u);
  EXPECT_GT(denied, 0u);
  EXPECT_GT(unknown, 0u) << "no memory at all, and nobody can be asked";
  EXPECT_FALSE(attempts.back().has_failed);
}

}  // namespace
}  // namespace cow::testing
