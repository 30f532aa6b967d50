// A store in PostgreSQL, as the commands look at it.
#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "persistence/postgres_store.hpp"
#include "persistence/postgres_url.hpp"
#include "session.hpp"
#include "store_view.hpp"

namespace cow::tool {
namespace {

PostgresOptions options_for(const std::string& store) {
  try {
    PostgresOptions options = postgres_options_of(store);
    options.pool_size = 1;  // a command does one thing at a time
    options.answer_timeout = std::chrono::minutes(10);
    options.retry_for = std::chrono::seconds(2);
    return options;
  } catch (const std::invalid_argument& error) {
    throw Refusal(kBadUsage, error.what());
  }
}

class PostgresView final : public StoreView {
 public:
  PostgresView(const std::string& store, StoreReader::OnUnreadable on_unreadable)
      : place_(without_password(store)),
        on_unreadable_(std::move(on_unreadable)),
        store_(options_for(store)),
        now_(store_.summary()) {}

  void refresh() override {
    now_ = store_.summary();
    reported_.clear();
  }
  std::string place() const override { return place_; }
  std::optional<std::filesystem::path> directory() const override { return std::nullopt; }

  StoreSummary summary() const override {
    StoreSummary summary;
    summary.format_version = static_cast<std::uint32_t>(now_.schema_version);
    summary.oldest_tid = now_.oldest;
    summary.next_oid = now_.next_oid;
    summary.estimated_revisions = now_.estimated_revisions;
    // Tids have no gaps, and a pack leaves the transactions from its own on.
    summary.estimated_transactions = now_.last.value - (now_.oldest > Tid{} ? now_.oldest.value - 1 : 0);
    return summary;
  }
  std::string state() const override { return fmt::format("shared; processes that hold snapshots: {}", now_.holders); }
  bool open_elsewhere() const override { return now_.holders > 0; }
  Tid last_tid() const override { return now_.last; }

  std::optional<Revision> load(Oid oid, Tid at) const override {
    std::optional<Revision> revision = store_.load(oid, std::min(at, now_.last));
    if (revision && revision->end > now_.last) revision->end = kInfinity;
    return revision;
  }

  void revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const override {
    constexpr std::size_t kPage = 256;
    Tid below = kInfinity;
    for (;;) {
      const std::vector<ScannedRevision> page = store_.scan(first, below, last, now_.last, kPage);
      for (const ScannedRevision& each : page) {
        const Revision& revision = each.revision;
        if (!visit({each.oid, revision.begin, revision.end, revision.erased, true, revision.record})) return;
      }
      if (page.size() < kPage) return;
      first = page.back().oid;
      below = page.back().revision.begin;
    }
  }

  void transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const override {
    constexpr std::size_t kPage = 512;
    oldest = std::max({oldest, now_.oldest, Tid{1}});
    newest = std::min(newest, now_.last);
    while (newest >= oldest) {
      std::vector<TransactionInfo> page;
      try {
        page = store_.transactions(oldest, newest, HistoryOrder::newest_first, kPage);
      } catch (const StoreCorruptError& error) {
        return report(fmt::format("transactions up to tid {}", newest.value), error);
      }
      for (TransactionInfo& each : page) {
        const Tid predecessor{each.tid.value - 1};
        if (!visit({std::move(each), predecessor})) return;
      }
      if (page.size() < kPage) return;
      newest = Tid{page.back().tid.value - 1};
    }
  }

  std::optional<Tid> tid_at(CommitTime time) const override {
    const Tid tid = std::min(store_.tid_at(time), now_.last);
    return tid == Tid{} ? std::nullopt : std::optional(tid);
  }

  std::uint64_t verify_chain(const std::function<void(std::uint64_t)>&) const override { return store_.verify(); }

 private:
  void report(const std::string& part, const StoreCorruptError& error) const {
    if (!on_unreadable_) throw error;
    if (reported_.insert(part).second) on_unreadable_({part, error.what()});
  }

  const std::string place_;
  const StoreReader::OnUnreadable on_unreadable_;
  mutable std::set<std::string> reported_;
  mutable PostgresStore store_;
  PostgresSummary now_;
};

}  // namespace

std::unique_ptr<StoreView> open_postgres_view(const std::string& store, StoreReader::OnUnreadable on_unreadable) {
  return std::make_unique<PostgresView>(store, std::move(on_unreadable));
}

std::unique_ptr<Store> open_postgres_to_write(const std::string& store, bool create) {
  PostgresOptions options = options_for(store);
  options.create_if_missing = create;
  return std::make_unique<PostgresStore>(options);
}

}  // namespace cow::tool
