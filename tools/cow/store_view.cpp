#include "store_view.hpp"

#include <fmt/core.h>

#include <array>
#include <cstring>
#include <exception>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "cow_cache/store/capabilities.hpp"
#include "persistence/postgres_url.hpp"
#include "persistence/rocksdb_store.hpp"
#include "session.hpp"

namespace cow::tool {
namespace {

class DirectoryView final : public StoreView {
 public:
  DirectoryView(const std::string& store, StoreReader::OnUnreadable on_unreadable)
      : reader_(store, std::move(on_unreadable)) {}

  void refresh() override { reader_.refresh(); }
  std::string place() const override { return reader_.path().string(); }
  std::optional<std::filesystem::path> directory() const override { return reader_.path(); }
  StoreSummary summary() const override { return reader_.summary(); }
  std::string state() const override {
    if (open_elsewhere()) return "open";
    const std::optional<bool> cleanly_closed = reader_.summary().cleanly_closed;
    if (!cleanly_closed) return "closed, without a witness";
    return *cleanly_closed ? "closed" : "not closed cleanly: it is recovered when it is opened";
  }
  bool open_elsewhere() const override { return reader_.open_elsewhere(); }
  Tid last_tid() const override { return reader_.last_tid(); }
  std::optional<Revision> load(Oid oid, Tid at) const override { return reader_.load(oid, at); }
  void revisions(Oid first, Oid last, const Visitor<StoredRevision>& visit) const override {
    reader_.revisions(first, last, visit);
  }
  void transactions(Tid newest, Tid oldest, const Visitor<StoredTransaction>& visit) const override {
    reader_.transactions(newest, oldest, visit);
  }
  std::optional<Tid> tid_at(CommitTime time) const override { return reader_.tid_at(time); }
  std::uint64_t verify_chain(const std::function<void(std::uint64_t)>& on_read) const override {
    return reader_.verify_chain(on_read);
  }

 private:
  StoreReader reader_;
};

CommitToken random_token() {
  CommitToken token;
  std::random_device random;
  for (std::size_t i = 0; i < token.size(); i += sizeof(unsigned)) {
    const unsigned word = random();
    std::memcpy(&token[i], &word, sizeof word);
  }
  return token;
}

}  // namespace

#ifndef COW_TOOL_HAS_POSTGRES
namespace {
[[noreturn]] void refuse_address() {
  throw Refusal(kNotOnThisStore, "this program was built without PostgresStore, which needs libpq");
}
}  // namespace
std::unique_ptr<StoreView> open_postgres_view(const std::string&, StoreReader::OnUnreadable) { refuse_address(); }
std::unique_ptr<Store> open_postgres_to_write(const std::string&, bool) { refuse_address(); }
#endif

std::unique_ptr<StoreView> open_view(const std::string& store, StoreReader::OnUnreadable on_unreadable) {
  if (is_postgres_url(store)) return open_postgres_view(store, std::move(on_unreadable));
  return std::make_unique<DirectoryView>(store, std::move(on_unreadable));
}

std::unique_ptr<Store> open_to_write(const std::string& store, bool create) {
  if (is_postgres_url(store)) return open_postgres_to_write(store, create);
  RocksDbOptions options;
  options.create_if_missing = create;
  return std::make_unique<RocksDbStore>(store, options);
}

std::optional<Tid> commit_to(Store& store, Tid snapshot, std::span<const ProposedWrite> writes,
                             const TransactionNote& note) {
  const StoreCapabilities capabilities(store);
  if (!capabilities.has_peers()) {
    std::vector<ObjectWrite> objects;
    for (const ProposedWrite& each : writes) objects.push_back(each.write);
    const TransactionWrite transaction{Tid{snapshot.value + 1}, objects, &note};
    store.commit({&transaction, 1});
    return transaction.tid;
  }
  const Proposal proposal{snapshot, writes, {}, &note, random_token()};
  std::vector<Outcome> outcomes = capabilities.shared->propose({&proposal, 1});
  const Outcome& outcome = outcomes.front();
  if (outcome.kind == Outcome::Kind::failed) std::rethrow_exception(outcome.error);
  if (outcome.kind == Outcome::Kind::conflict) return std::nullopt;
  return outcome.tid;
}

Tid commit_repeatedly(const std::function<std::optional<Tid>()>& attempt) {
  constexpr int kMostAttempts = 10;
  for (int i = 0; i < kMostAttempts; ++i) {
    if (const std::optional<Tid> tid = attempt()) return *tid;
  }
  throw Refusal(kFailed, fmt::format("other processes have changed the same objects {} times meanwhile: try it again",
                                     kMostAttempts));
}

}  // namespace cow::tool
