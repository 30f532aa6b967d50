#include "packer.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace cow::detail::postgres {

namespace {
constexpr std::int64_t kPage = 512;
constexpr std::int64_t kTransactionsAtATime = 2048;
}  // namespace

PackResult Packer::run() {
  result_.oldest = raise_oldest();
  const std::int64_t total = std::max<std::int64_t>(1, pool_.ask(statements_.count).integer(0, 0));
  std::int64_t oid = INT64_MIN, tid = INT64_MIN;
  for (bool more = true; more;) {
    const Result page = pool_.ask(statements_.sweep_page, Parameters().integer(oid).integer(tid).integer(kPage));
    more = page.rows() == kPage;
    for (int row = 0; row < page.rows(); ++row) {
      const Row revision{page.oid(row, 0), page.tid(row, 1), page.boolean(row, 2)};
      if (!object_.empty() && object_.back().oid != revision.oid) end_object();
      if (object_.empty()) has_later_ = false;
      if (revision.tid <= result_.oldest) {
        object_.push_back(revision);
      } else {
        if (!object_.empty()) has_later_ = true, end_object();
        has_later_ = true;
      }
      oid = page.integer(row, 0);
      tid = page.integer(row, 1);
    }
    result_.dropped.revisions_seen += static_cast<std::uint64_t>(page.rows());
    if (!more) end_object();
    delete_marked();
    result_.dropped.done =
        std::min(0.99, static_cast<double>(result_.dropped.revisions_seen) / static_cast<double>(total));
    if (request_.progress && !request_.progress(result_.dropped)) return result_;
  }
  drop_transactions();
  result_.dropped.done = 1;
  result_.complete = true;
  if (request_.progress) request_.progress(result_.dropped);
  return result_;
}

/// The oldest tid by now.
Tid Packer::raise_oldest() {
  return pool_.repeat([&](Connection& connection) {
    // Commits lock the tid row first as well; leases only the other one.
    const std::vector<Result> answers = connection.run({{statements_.begin, kNone},
                                                        {statements_.idle_for_a_while, kNone},
                                                        {statements_.lock, kNone},
                                                        {statements_.lock_oldest, kNone},
                                                        {statements_.shorten_leases, kNone},
                                                        {statements_.end_leases, kNone},
                                                        {statements_.least_lease, kNone}});
    const Tid last = answers[2].tid(0, 0), before = answers[3].tid(0, 0);
    Tid oldest = std::min({request_.before, request_.oldest_pin, last});
    if (!answers[6].is_null(0, 0)) oldest = std::min(oldest, answers[6].tid(0, 0));
    oldest = std::max(oldest, before);
    const Parameters raised = std::move(Parameters().integer(stored(oldest)));
    connection.run({{statements_.raise_oldest, raised},
                    {statements_.raise_oldest_of_commits, raised},
                    {statements_.commit, kNone}});
    return oldest;
  });
}

/// Marks what goes of the object whose revisions up to the oldest tid were read.
void Packer::end_object() {
  if (object_.empty()) return;
  const Row& last = object_.back();
  const bool is_garbage = !has_later_ && request_.is_garbage && request_.is_garbage(last.oid);
  for (std::size_t i = 0; i + 1 < object_.size(); ++i) {
    oids_.push_back(stored(object_[i].oid));
    tids_.push_back(stored(object_[i].tid));
  }
  if (is_garbage || last.erased) {
    whole_oids_.push_back(stored(last.oid));
    whole_tids_.push_back(stored(last.tid));
  }
  object_.clear();
}

void Packer::delete_marked() {
  const auto count = [&](const Result& deleted) {
    for (int row = 0; row < deleted.rows(); ++row) {
      ++result_.dropped.revisions_dropped;
      result_.dropped.bytes_dropped += static_cast<std::uint64_t>(deleted.integer(row, 0));
    }
  };
  if (!oids_.empty()) {
    count(pool_.ask(statements_.drop, Parameters().integers(oids_).integers(tids_)));
    oids_.clear();
    tids_.clear();
  }
  if (whole_oids_.empty()) return;
  const Parameters all = std::move(Parameters().integers(whole_oids_));
  const Parameters newest = std::move(Parameters().integers(whole_oids_).integer(stored(result_.oldest)));
  count(pool_.repeat([&](Connection& connection) {
    const std::vector<Result> answers = connection.run({{statements_.begin, kNone},
                                                        {statements_.idle_for_a_while, kNone},
                                                        {statements_.lock, kNone},
                                                        {statements_.drop_newest, newest}});
    std::unordered_set<std::int64_t> unwritten;  // since
    for (int row = 0; row < answers[3].rows(); ++row) unwritten.insert(answers[3].integer(row, 0));
    const Result tombstones =
        connection.run(statements_.are_erased, Parameters().integers(whole_oids_).integers(whole_tids_));
    std::vector<std::int64_t> oids, tids;
    for (int row = 0; row < tombstones.rows(); ++row) {
      // A tombstone goes also where the object was written again; garbage that was written stays.
      if (!tombstones.boolean(row, 2) && !unwritten.contains(tombstones.integer(row, 0))) continue;
      oids.push_back(tombstones.integer(row, 0));
      tids.push_back(tombstones.integer(row, 1));
    }
    const Parameters gone = std::move(Parameters().integers(oids).integers(tids));
    std::vector<Result> deleted = connection.run({{statements_.drop, gone}, {statements_.commit, kNone}});
    return std::move(deleted.front());
  }));
  whole_oids_.clear();
  whole_tids_.clear();
}

void Packer::drop_transactions() {
  for (;;) {
    const Result first = pool_.ask(statements_.first_transaction, Parameters().integer(stored(result_.oldest)));
    if (first.is_null(0, 0)) break;
    pool_.ask(statements_.drop_transactions,
              Parameters().integer(stored(result_.oldest)).integer(first.integer(0, 0) + kTransactionsAtATime));
  }
  pool_.ask(statements_.drop_burnt, Parameters().integer(stored(result_.oldest)));
}

}  // namespace cow::detail::postgres
