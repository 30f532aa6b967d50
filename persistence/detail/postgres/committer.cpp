#include "committer.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
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

void give_tids(const Layout& layout, std::vector<Outcome>& outcomes, Tid base) {
  for (std::size_t i = 0; i < layout.accepted.size(); ++i) outcomes[layout.accepted[i]].tid = Tid{base.value + 1 + i};
}

std::string text_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "an unknown error";
  }
}

}  // namespace

Committer::Sent::Sent(Tid tid) : asked(tid) {
  // Made here, for make_exception_ptr would hold what this throws without memory.
  OutcomeUnknownError error(tid, "memory ran out while it was committed");
  unknown = std::make_exception_ptr(std::move(error));
}

std::vector<Outcome> Committer::propose(std::span<const Proposal> group) {
  require_valid(group);
  if (group.empty()) return {};
  return attempt_until_done(group, Backoff::Clock::now() + pool_.options().retry_for);
}

std::vector<Outcome> Committer::attempt_until_done(std::span<const Proposal> group, Backoff::Clock::time_point end) {
  Backoff backoff(end);
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
      if (group.size() > 1 && backoff.attempts() >= kAttemptsTogether) return split(group, end);
      if (!backoff.wait()) throw;
      pool_.counters().retries.fetch_add(1, std::memory_order_relaxed);
    } catch (const ConnectionLost&) {  // before anything was sent that commits
      if (!backoff.wait()) throw;
    }
  }
}

std::vector<Outcome> Committer::split(std::span<const Proposal> group, Backoff::Clock::time_point end) {
  std::vector<Outcome> outcomes(group.size());  // before any is committed
  const std::size_t half = group.size() / 2;
  std::ranges::move(attempt_until_done(group.first(half), end), outcomes.begin());
  const auto rest = outcomes.begin() + static_cast<std::ptrdiff_t>(half);
  try {
    std::ranges::move(attempt_until_done(group.subspan(half), end), rest);
  } catch (...) {  // the first half is committed
    const std::exception_ptr error = std::current_exception();
    std::for_each(rest, outcomes.end(), [&](Outcome& outcome) { outcome.error = error; });
  }
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
  Sent sent(Tid{});
  {
    const Pool::Lease connection = pool_.take();
    try {
      const std::vector<Result> answers =
          connection->run({{statements_.begin, kNone}, {statements_.propose, parameters}, {statements_.commit, kNone}});
      if (answers[1].rows() != 1) return std::nullopt;
      base = answers[1].tid(0, 0);
    } catch (const ServerError& error) {
      if (error.sqlstate == kDivisionByZero || error.sqlstate == kUniqueViolation) return std::nullopt;
      throw;
    } catch (...) {
      sent.why = std::current_exception();
    }
  }
  if (!base) base = settle(layout, outcomes, sent);
  if (!base) return outcomes;
  try {
    // Those that were refused for the sake of others of the group name the tids of these, which are known now.
    outcomes = judge(group, {.newest = {}, .tokens = {}, .frontier = *base, .oldest = {}});
  } catch (...) {  // no memory to say so
    for (Outcome& outcome : outcomes) {
      if (outcome.kind == Outcome::Kind::conflict) outcome = {Outcome::Kind::failed, {}, {}, std::current_exception()};
    }
  }
  give_tids(layout, outcomes, *base);
  remember(layout, outcomes);
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
  Sent sent(Tid{});
  append_and_commit(**connection, parameters, sent);
  if (sent.why != nullptr) {
    connection.reset();  // its place may be the only one
    if (!settle(layout, outcomes, sent)) return outcomes;
  }
  give_tids(layout, outcomes, known.frontier);
  remember(layout, outcomes);
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

/// The last one of a group that is committed, of those that have a token: the first one has.
void Committer::remember(const Layout& layout, const std::vector<Outcome>& outcomes) const noexcept {
  std::size_t last = layout.tokens.size() - 1;
  while (!layout.tokens[last]) --last;
  try {
    lineage_.note(outcomes[layout.accepted[last]].tid, *layout.tokens[last]);
  } catch (...) {  // no memory: the next question tells
  }
}

/// Throws what the server has said: then nothing is committed.
void Committer::append_and_commit(Connection& connection, Parameters& parameters, Sent& sent) const {
  if (pool_.options().notify) parameters.text(channel_of(pool_.options().schema));
  try {
    connection.run({{statements_.append, parameters}, {statements_.commit, kNone}});
  } catch (const ServerError&) {
    throw;
  } catch (...) {
    sent.why = std::current_exception();
  }
}

/// There is no answer to a commit: its token tells. Returns the tid of its transaction. Throws StoreConnectionError if it was not committed,
/// OutcomeUnknownError if that could not be found out.
Tid Committer::settle(std::string_view token, Tid snapshot, const Sent& sent) const {
  std::string why;
  try {
    why = text_of(sent.why);
    if (const std::optional<Tid> found = settle_token(pool_, statements_, token, snapshot)) return *found;
  } catch (const StoreError& unsettled) {
    throw OutcomeUnknownError(sent.asked, why + "; then, when asked what became of it: " + unsettled.what());
  } catch (...) {
    std::rethrow_exception(sent.unknown);
  }
  throw StoreConnectionError("PostgresStore: not committed: " + why);
}

/// The same of a group. Returns the tid before the group's first, or nothing: all have failed.
std::optional<Tid> Committer::settle(const Layout& layout, std::vector<Outcome>& outcomes,
                                     const Sent& sent) const noexcept {
  std::exception_ptr error;
  try {
    return Tid{settle(layout.named_by, layout.least, sent).value - 1};
  } catch (const StoreError&) {
    error = std::current_exception();
  } catch (...) {
    error = sent.unknown;
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
  Sent sent(group.front().tid);
  pool_.repeat([&](Connection& connection) {
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
    append_and_commit(connection, parameters, sent);
  });
  if (sent.why != nullptr) (void)settle(bytes_of(token), last, sent);
}

}  // namespace cow::detail::postgres
