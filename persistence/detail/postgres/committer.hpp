// How proposals are committed: all of a group in one statement, or with the tid row locked first (statements.hpp).
//
// Thread safety: one thread at a time calls `propose` or `commit`.
//
// Invariants:
//  1. A group is one transaction of the server: it is committed as a whole, or nothing of it.
//  2. An outcome is `committed` only after the server has said so, by its answer or by a token.
//  3. [sent-is-settled] What was sent and not answered by the server itself is settled by its token, whatever went wrong, want of memory
//     included. What cannot be settled is unknown: that exception is made before anything is sent.
#pragma once

#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "cow_cache/store.hpp"
#include "cow_cache/store/shared.hpp"
#include "lineage.hpp"
#include "persistence/detail/group_check.hpp"
#include "pool.hpp"
#include "proposal_group.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Committer {
 public:
  Committer(Pool& pool, const Statements& statements, Lineage& lineage)
      : pool_(pool), statements_(statements), lineage_(lineage) {}

  std::vector<Outcome> propose(std::span<const Proposal> group);
  /// With the caller's tids.
  void commit(std::span<const TransactionWrite> group);

 private:
  /// A commit that is sent, and what becomes of it unless the server answers.
  struct Sent {
    explicit Sent(Tid tid);
    Tid asked;                   ///< that an OutcomeUnknownError names
    std::exception_ptr unknown;  ///< one that needs no memory any more
    std::exception_ptr why{};    ///< there was no answer; null: there was one
  };

  std::vector<Outcome> attempt_until_done(std::span<const Proposal> group, Backoff::Clock::time_point end);
  std::vector<Outcome> split(std::span<const Proposal> group, Backoff::Clock::time_point end);
  std::optional<std::vector<Outcome>> attempt_at_once(std::span<const Proposal> group);
  std::vector<Outcome> attempt_carefully(std::span<const Proposal> group);
  Tid settle(std::string_view token, Tid snapshot, const Sent& sent) const;
  std::optional<Tid> settle(const Layout& layout, std::vector<Outcome>& outcomes, const Sent& sent) const noexcept;
  Judgement look(Connection& connection, std::span<const Proposal> group) const;
  void remember(const Layout& layout, const std::vector<Outcome>& outcomes) const noexcept;
  void append_and_commit(Connection& connection, Parameters& parameters, Sent& sent) const;

  Pool& pool_;
  const Statements& statements_;
  Lineage& lineage_;
  GroupCheck check_;
};

}  // namespace cow::detail::postgres
