#include "proposal_group.hpp"

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <utility>

#include "persistence/detail/group_check.hpp"
#include "persistence/detail/note_record.hpp"

namespace cow::detail::postgres {

CommitToken draw_token() {
  thread_local std::random_device random;
  CommitToken token;
  for (std::byte& byte : token) byte = static_cast<std::byte>(random());
  return token;
}

void require_valid(std::span<const Proposal> group) {
  GroupCheck check;
  std::vector<ObjectWrite> writes;
  for (std::size_t i = 0; i < group.size(); ++i) {
    writes.clear();
    for (const ProposedWrite& write : group[i].writes) writes.push_back(write.write);
    const TransactionWrite transaction{Tid{i + 1}, writes, group[i].note};
    check.require_valid({&transaction, 1}, Tid{i});
  }
}

std::vector<Outcome> judge(std::span<const Proposal> group, const Judgement& known) {
  std::vector<Outcome> outcomes(group.size());
  std::unordered_map<Oid, Tid> written;  // by this group; the tids count from the frontier on
  std::set<CommitToken> tokens;
  std::uint64_t next = known.frontier == kInfinity ? kInfinity.value : known.frontier.value + 1;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Proposal& proposal = group[i];
    Outcome& outcome = outcomes[i];
    outcome.kind = Outcome::Kind::committed;
    const std::string token(bytes_of(proposal.token));
    if (proposal.token != CommitToken{}) {
      if (const auto found = known.tokens.find(token); found != known.tokens.end()) {
        if (found->second > 0) {
          outcome.tid = tid_of(found->second);
        } else {
          outcome.kind = Outcome::Kind::failed;
          outcome.error = std::make_exception_ptr(StoreConnectionError(
              "PostgresStore: not committed: the connection was lost while the commit was under way"));
        }
        continue;
      }
    }
    const auto fail = [&](auto error) {
      outcome.kind = Outcome::Kind::failed;
      outcome.error = std::make_exception_ptr(std::move(error));
    };
    if (proposal.snapshot < known.oldest) {
      fail(SnapshotTooOldError(Oid{}, proposal.snapshot, known.oldest));
      continue;
    }
    if (proposal.snapshot > known.frontier) {
      fail(StoreBehindError(proposal.snapshot, known.frontier));
      continue;
    }
    if (proposal.token != CommitToken{} && !tokens.insert(proposal.token).second)
      throw std::invalid_argument("propose: a token occurs twice in a group");
    const auto look = [&](Oid oid, Tid base, bool changed) {
      Tid newest{};
      if (const auto found = written.find(oid); found != written.end()) {
        newest = found->second;
      } else if (const auto stored = known.newest.find(oid); stored != known.newest.end()) {
        newest = stored->second;
      }
      if (newest > proposal.snapshot) outcome.conflicts.push_back({oid, base, newest, changed});
    };
    for (const ProposedWrite& write : proposal.writes) look(write.write.oid, write.base, true);
    for (const ProposedRead& read : proposal.reads) look(read.oid, read.revision, false);
    if (!outcome.conflicts.empty()) {
      outcome.kind = Outcome::Kind::conflict;
      continue;
    }
    for (const ProposedWrite& write : proposal.writes) written[write.write.oid] = Tid{next};
    if (next != kInfinity.value) ++next;
  }
  return outcomes;
}

Layout::Layout(std::span<const Proposal> group, const std::vector<Outcome>& outcomes) {
  std::unordered_map<std::int64_t, std::size_t> writers;  // oid: index of its place
  encoded_.reserve(group.size());
  for (std::size_t i = 0; i < group.size(); ++i) {
    const Proposal& proposal = group[i];
    if (outcomes[i].kind != Outcome::Kind::committed || outcomes[i].tid != Tid{}) continue;
    accepted.push_back(i);
    const auto place = static_cast<std::int64_t>(accepted.size());
    for (const ProposedWrite& write : proposal.writes) {
      oids.push_back(stored(write.write.oid));
      places.push_back(place);
      states.push_back(write.write.erase ? std::nullopt : std::optional(write.write.record));
      writers.emplace(stored(write.write.oid), accepted.size() - 1);
    }
    snapshots.push_back(stored(proposal.snapshot));
    transaction_places.push_back(place);
    if (proposal.token != CommitToken{}) {
      tokens.emplace_back(bytes_of(proposal.token));
    } else if (accepted.size() == 1) {
      drawn_ = draw_token();
      tokens.emplace_back(bytes_of(drawn_));
    } else {
      tokens.emplace_back();
    }
    if (proposal.note != nullptr && !proposal.note->empty()) {
      notes.emplace_back(encoded_.emplace_back(encode_note(*proposal.note)));
    } else {
      notes.emplace_back();
    }
    least = std::min(least, proposal.snapshot);
    greatest = std::max(greatest, proposal.snapshot);
  }
  if (accepted.empty()) return;
  named_by = *tokens.front();
  // A row that the statement upserts is skipped by its FOR SHARE. So what the group writes after somebody of it has read it is looked at by
  // the upsert, as of the older one of the two snapshots.
  std::unordered_map<std::int64_t, std::int64_t> reads;
  for (const std::size_t i : accepted) {
    for (const ProposedRead& read : group[i].reads) {
      has_absent_reads = has_absent_reads || read.revision == Tid{};
      const std::int64_t snapshot = stored(group[i].snapshot);
      if (const auto writer = writers.find(stored(read.oid)); writer != writers.end()) {
        snapshots[writer->second] = std::min(snapshots[writer->second], snapshot);
      } else {
        const auto [known, is_new] = reads.emplace(stored(read.oid), snapshot);
        known->second = std::min(known->second, snapshot);
      }
    }
  }
  for (const auto& [oid, snapshot] : reads) {
    read_oids.push_back(oid);
    read_snapshots.push_back(snapshot);
  }
}

}  // namespace cow::detail::postgres
