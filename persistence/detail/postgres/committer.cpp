#include "committer.hpp"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "errors.hpp"
#include "persistence/detail/note_record.hpp"
#include "tokens.hpp"

namespace cow::detail::postgres {

namespace {

/// How often a group is tried as a whole before it is split.
constexpr int kAttemptsTogether = 4;

std::vector<Outcome> all_failed(std::size_t size, const std::exception_ptr& error) {
  std::vector<Outcome> outcomes(size);
  for (Outcome& outcome : outcomes) outcome.error = error;
  return outcomes;
}

void give_tids(const Layout& layout, std::vector<Outcome>& outcomes, Tid base) {
  for (std::size_t i = 0; i < layout.accepted.size(); ++i) outcomes[layout.accepted[i]].tid = Tid{base.value + 1 + i};
}

}  // namespace

std::vector<Outcome> Committer::propose(std::span<const Proposal> group) {
  require_valid(group);
  if (group.empty()) return {};
  return attempt_until_done(group);
}

std::vector<Outcome> Committer::attempt_until_done(std::span<const Proposal> group) {
  Backoff backoff(pool_.options().retry_for);
  bool carefully = false;
  for (;;) {
    try {
      if (!carefully) {
        if (auto outcomes = attempt_at_once(group)) return std::move(*outcomes);
        carefully = true;
      }
      return attempt_carefully(group);
    } catch (const ServerError& error) {
      if (!error.is_passing()) throw;
      if (group.size() > 1 && backoff.attempts() >= kAttemptsTogether) return split(group);
      if (!backoff.wait()) throw;
      pool_.counters().retries.fetch_add(1, std::memory_order_relaxed);
    } catch (const ConnectionLost&) {  // before anything was sent that commits
      if (!backoff.wait()) throw;
    }
  }
}

std::vector<Outcome> Committer::split(std::span<const Proposal> group) {
  std::vector<Outcome> outcomes = attempt_until_done(group.first(group.size() / 2));
  const std::span<const Proposal> rest = group.subspan(group.size() / 2);
  std::vector<Outcome> others;
  try {
    others = attempt_until_done(rest);
  } catch (...) {  // the first half is committed
    others = all_failed(rest.size(), std::current_exception());
  }
  std::ranges::move(others, std::back_inserter(outcomes));
  return outcomes;
}

/// Nothing: it must be done carefully, and nothing was done.
std::optional<std::vector<Outcome>> Committer::attempt_at_once(std::span<const Proposal> group) {
  std::vector<Outcome> outcomes = judge(group, {});
  const Layout layout(group, outcomes);
  if (layout.has_absent_reads || layout.greatest > tid_of(kMaxInteger)) return std::nullopt;
  Parameters parameters;
  parameters.integer(static_cast<std::int64_t>(layout.accepted.size()))
      .integer(stored(layout.least))
      .integer(stored(layout.greatest))
      .integers(layout.oids)
      .integers(layout.places)
      .byte_strings(layout.states)
      .integers(layout.snapshots)
      .integers(layout.read_oids)
      .integers(layout.read_snapshots)
      .integers(layout.transaction_places)
      .byte_strings(layout.tokens)
      .byte_strings(layout.notes);
  if (pool_.options().notify) parameters.text(channel_of(pool_.options().schema));
  std::optional<Tid> base;
  std::string lost;
  {
    const Pool::Lease connection = pool_.take();
    try {
      const std::vector<Result> answers =
          connection->run({{statements_.begin, kNone}, {statements_.propose, parameters}, {statements_.commit, kNone}});
      if (answers[1].rows() != 1) return std::nullopt;
      base = answers[1].tid(0, 0);
    } catch (const ConnectionLost& error) {
      lost = error.what();
    } catch (const ServerError& error) {
      if (error.sqlstate == kDivisionByZero || error.sqlstate == kUniqueViolation) return std::nullopt;
      throw;
    }
  }
  if (!base) base = settle(layout, outcomes, lost);
  if (!base) return outcomes;
  // Those that were refused for the sake of others of the group name the tids of these, which are known now.
  outcomes = judge(group, {.newest = {}, .tokens = {}, .frontier = *base, .oldest = {}});
  give_tids(layout, outcomes, *base);
  pool_.counters().groups.fetch_add(1, std::memory_order_relaxed);
  return outcomes;
}

std::vector<Outcome> Committer::attempt_carefully(std::span<const Proposal> group) {
  std::optional<Pool::Lease> connection(pool_.take());
  const Judgement known = look(**connection, group);
  std::vector<Outcome> outcomes = judge(group, known);
  const Layout layout(group, outcomes);
  if (layout.accepted.empty()) {
    (*connection)->run(statements_.rollback);
    return outcomes;
  }
  const std::int64_t base = stored(known.frontier);
  std::vector<std::int64_t> tids, places, before;
  for (const std::int64_t place : layout.places) places.push_back(base + place);
  for (const std::int64_t place : layout.transaction_places) {
    tids.push_back(base + place);
    before.push_back(tids.back() - 1);
  }
  Parameters parameters;
  parameters.integer(tids.back())
      .integers(layout.oids)
      .integers(places)
      .integers(layout.oids)
      .integers(places)
      .byte_strings(layout.states)
      .integers(tids)
      .integers(before)
      .byte_strings(layout.tokens)
      .byte_strings(layout.notes);
  try {
    append_and_commit(**connection, parameters);
  } catch (const ConnectionLost& error) {
    connection.reset();  // its place may be the only one
    if (!settle(layout, outcomes, error.what())) return outcomes;
  }
  give_tids(layout, outcomes, known.frontier);
  pool_.counters().groups.fetch_add(1, std::memory_order_relaxed);
  pool_.counters().careful.fetch_add(1, std::memory_order_relaxed);
  return outcomes;
}

/// Locks the tid row, then looks. The transaction stays open.
Judgement Committer::look(Connection& connection, std::span<const Proposal> group) const {
  std::unordered_set<std::int64_t> oids;
  std::vector<std::optional<std::string_view>> tokens;
  for (const Proposal& proposal : group) {
    for (const ProposedWrite& write : proposal.writes) oids.insert(stored(write.write.oid));
    for (const ProposedRead& read : proposal.reads) oids.insert(stored(read.oid));
    if (proposal.token != CommitToken{}) tokens.emplace_back(bytes_of(proposal.token));
  }
  const std::vector<std::int64_t> list(oids.begin(), oids.end());
  const Parameters asked_oids = std::move(Parameters().integers(list));
  const Parameters asked_tokens = std::move(Parameters().byte_strings(tokens));
  const std::vector<Result> answers = connection.run({{statements_.begin, kNone},
                                                      {statements_.idle_for_a_while, kNone},
                                                      {statements_.lock, kNone},
                                                      {statements_.newest, asked_oids},
                                                      {statements_.tokens, asked_tokens}});
  if (answers[2].rows() != 1) throw StoreCorruptError("PostgresStore: the row of the tid counter is missing");
  Judgement known;
  known.frontier = answers[2].tid(0, 0);
  known.oldest = answers[2].tid(0, 1);
  for (int row = 0; row < answers[3].rows(); ++row)
    known.newest.emplace(answers[3].oid(row, 0), answers[3].tid(row, 1));
  for (int row = 0; row < answers[4].rows(); ++row)
    known.tokens.emplace(std::string(answers[4].bytes(row, 0)), answers[4].integer(row, 1));
  return known;
}

std::vector<Result> Committer::append_and_commit(Connection& connection, Parameters& parameters) const {
  if (pool_.options().notify) parameters.text(channel_of(pool_.options().schema));
  return connection.run({{statements_.append, parameters}, {statements_.commit, kNone}});
}

/// The answer to a commit is lost: its token tells. Returns the tid of its transaction. Throws StoreConnectionError if it was not committed,
/// OutcomeUnknownError, which names `asked`, if that could not be found out.
Tid Committer::settle(std::string_view token, Tid snapshot, Tid asked, const std::string& why) const {
  std::optional<Tid> found;
  try {
    found = settle_token(pool_, statements_, token, snapshot);
  } catch (const StoreError& unsettled) {
    throw OutcomeUnknownError(asked, why + "; then, when asked what became of it: " + unsettled.what());
  }
  if (!found) throw StoreConnectionError("PostgresStore: not committed: " + why);
  return *found;
}

/// The same of a group. Returns the tid before the group's first, or nothing: all have failed.
std::optional<Tid> Committer::settle(const Layout& layout, std::vector<Outcome>& outcomes,
                                     const std::string& why) const {
  std::exception_ptr error;
  try {
    return Tid{settle(layout.named_by, layout.least, Tid{}, why).value - 1};
  } catch (const StoreError&) {
    error = std::current_exception();
  }
  for (Outcome& outcome : outcomes) {
    const bool is_earlier = outcome.kind == Outcome::Kind::committed && outcome.tid != Tid{};
    if (!is_earlier && outcome.kind != Outcome::Kind::failed) outcome = {Outcome::Kind::failed, {}, {}, error};
  }
  return std::nullopt;
}

void Committer::commit(std::span<const TransactionWrite> group) {
  if (group.empty()) return;
  check_.require_valid(group, Tid{});
  if (group.back().tid > tid_of(kMaxInteger))
    throw std::invalid_argument("commit: tid " + std::to_string(group.back().tid.value) + " is not below 2^63");
  std::vector<std::int64_t> oids, tids, transactions, before;
  std::vector<std::optional<std::string_view>> states, tokens, notes;
  std::unordered_map<std::int64_t, std::int64_t> newest;
  std::vector<std::string> encoded;
  encoded.reserve(group.size());
  const CommitToken token = draw_token();
  for (const TransactionWrite& transaction : group) {
    before.push_back(transactions.empty() ? 0 : transactions.back());
    transactions.push_back(stored(transaction.tid));
    tokens.push_back(tokens.empty() ? std::optional(bytes_of(token)) : std::nullopt);
    notes.push_back(transaction.note == nullptr || transaction.note->empty()
                        ? std::nullopt
                        : std::optional<std::string_view>(encoded.emplace_back(encode_note(*transaction.note))));
    for (const ObjectWrite& object : transaction.objects) {
      oids.push_back(stored(object.oid));
      tids.push_back(stored(transaction.tid));
      states.push_back(object.erase ? std::nullopt : std::optional(object.record));
      newest[stored(object.oid)] = stored(transaction.tid);
    }
  }
  std::vector<std::int64_t> newest_oids, newest_tids;
  for (const auto& [oid, tid] : newest) {
    newest_oids.push_back(oid);
    newest_tids.push_back(tid);
  }
  Tid last{};
  const std::string lost = pool_.repeat([&](Connection& connection) -> std::string {
    const std::vector<Result> answers =
        connection.run({{statements_.begin, kNone}, {statements_.idle_for_a_while, kNone}, {statements_.lock, kNone}});
    last = answers[2].tid(0, 0);
    if (group.front().tid <= last) {
      connection.run(statements_.rollback);
      check_.require_valid(group, last);
    }
    before.front() = stored(last);
    Parameters parameters;
    parameters.integer(transactions.back())
        .integers(newest_oids)
        .integers(newest_tids)
        .integers(oids)
        .integers(tids)
        .byte_strings(states)
        .integers(transactions)
        .integers(before)
        .byte_strings(tokens)
        .byte_strings(notes);
    try {
      append_and_commit(connection, parameters);
    } catch (const ConnectionLost& error) {
      return error.what();
    }
    return "";
  });
  if (lost.empty()) return;
  (void)settle(bytes_of(token), last, group.front().tid, lost);
}

}  // namespace cow::detail::postgres
