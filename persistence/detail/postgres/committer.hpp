// How proposals are committed: all of a group in one statement, or with the tid row locked first (statements.hpp).
//
// Thread safety: one thread at a time calls `propose` or `commit`.
//
// Invariants:
//  1. A group is one transaction of the server: it is committed as a whole, or nothing of it.
//  2. An outcome is `committed` only after the server has said so, by its answer or by a token.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/store.hpp"
#include "cow_cache/store/shared.hpp"
#include "persistence/detail/group_check.hpp"
#include "pool.hpp"
#include "proposal_group.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Committer {
 public:
  Committer(Pool& pool, const Statements& statements) : pool_(pool), statements_(statements) {}

  std::vector<Outcome> propose(std::span<const Proposal> group);
  /// With the caller's tids.
  void commit(std::span<const TransactionWrite> group);

 private:
  std::vector<Outcome> attempt_until_done(std::span<const Proposal> group);
  std::vector<Outcome> split(std::span<const Proposal> group);
  std::optional<std::vector<Outcome>> attempt_at_once(std::span<const Proposal> group);
  std::vector<Outcome> attempt_carefully(std::span<const Proposal> group);
  Tid settle(std::string_view token, Tid snapshot, Tid asked, const std::string& why) const;
  std::optional<Tid> settle(const Layout& layout, std::vector<Outcome>& outcomes, const std::string& why) const;
  Judgement look(Connection& connection, std::span<const Proposal> group) const;
  std::vector<Result> append_and_commit(Connection& connection, Parameters& parameters) const;

  Pool& pool_;
  const Statements& statements_;
  GroupCheck check_;
};

}  // namespace cow::detail::postgres
