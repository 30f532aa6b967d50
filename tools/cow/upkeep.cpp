// `cow pack`, `cow undo` and `cow backup`: what drops old revisions, what brings one back, and what keeps a copy. No other program may have the
// store open, unless it is in a database server.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/detail/commit/reachable.hpp"
#include "cow_cache/detail/history/undo.hpp"
#include "cow_cache/root.hpp"
#include "persistence/postgres_url.hpp"
#include "persistence/rocksdb_store.hpp"
#include "session.hpp"
#include "terminal.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

/// The names in the root as of a tid. Throws Refusal if the first object is no root.
std::map<std::string, Oid> names_of(Store& store, Tid at) {
  const std::optional<Revision> root = store.load(kRootOid, at);
  if (!root || root->erased) throw Refusal(kNotThere, fmt::format("the store has no root at tid {}", at.value));
  return names_in_root(root->record, root->begin);
}

std::string user_name() {
  const char* const user = std::getenv("USER");
  return user != nullptr ? user : "";
}

struct PackArguments {
  std::string before;
  bool collect_garbage = false;
};

/// Marks what is reachable from the root at `before` and by what was written since. Nobody commits meanwhile.
void mark_reachable(Session& session, Store& store, detail::Reachable& reachable, Tid before) {
  static_cast<void>(names_of(store, before));  // there is a root, and it is one
  reachable.mark(kRootOid);
  Progress progress = session.follow("objects that can be reached", 0);
  std::uint64_t before_this = 0;
  const auto step = [&](std::uint64_t seen) {
    progress.step(seen - std::exchange(before_this, seen));
    return true;
  };
  reachable.follow(step);
  reachable.follow_changes(before, store.last_tid(), step);
}

void run_pack(Session& session, const PackArguments& arguments) {
  // What is asked for is read before the store is opened to be changed. A time before the first transaction is before tid 1.
  const Tid asked = [&] {
    const std::unique_ptr<StoreView> reader = open_view(session.store);
    return arguments.before.empty() ? reader->last_tid() : Session::find_tid(*reader, arguments.before).value_or(Tid{});
  }();
  const std::unique_ptr<Store> opened = open_to_write(session.store);
  Store& store = *opened;
  const StoreCapabilities capabilities(store);
  PackableStore& packable = capabilities.require_packable("cow pack");
  if (arguments.collect_garbage && capabilities.has_peers()) {
    throw Refusal(kNotOnThisStore,
                  "--collect-garbage: not on this store, as other processes commit to it, and what their transactions "
                  "refer to is not known here");
  }
  const Tid oldest = packable.oldest_tid(), before = std::max(asked, oldest);
  detail::Reachable reachable(store, capabilities, before);
  PackRequest request{.before = before, .is_garbage = {}, .progress = {}};
  if (arguments.collect_garbage) {
    mark_reachable(session, store, reachable, before);
    request.is_garbage = [&](Oid oid) { return !reachable.contains(oid); };
  }
  constexpr double kSteps = 1000;
  Progress progress = session.follow("thousandths of the pack", static_cast<std::uint64_t>(kSteps));
  std::uint64_t steps = 0;
  request.progress = [&](const PackProgress& now) {
    const auto reached = static_cast<std::uint64_t>(std::lround(kSteps * now.done));
    progress.step(reached > steps ? reached - std::exchange(steps, reached) : 0);
    return true;
  };
  const PackResult result = packable.pack(request);
  Progress::hide();
  if (session.json) {
    fmt::print("{}\n", text_of(Json{{"oldest_tid", result.oldest.value},
                                    {"revisions_seen", result.dropped.revisions_seen},
                                    {"revisions_dropped", result.dropped.revisions_dropped},
                                    {"bytes_dropped", result.dropped.bytes_dropped}}));
    return;
  }
  if (asked <= oldest && !arguments.collect_garbage && result.dropped.revisions_seen == 0) {
    fmt::print("nothing dropped: nothing older than what is visible at tid {} is there{}\n", result.oldest.value,
               oldest == Tid{} ? "" : "; the store was packed up to there before");
    return;
  }
  fmt::print("{} of {} revisions dropped, {} bytes; what is visible from tid {} on is there\n",
             result.dropped.revisions_dropped, result.dropped.revisions_seen, result.dropped.bytes_dropped,
             result.oldest.value);
}

/// What a transaction has replaced, but for the library's own object.
std::vector<detail::Earlier> earlier_records(Store& store, Tid tid, Tid last) {
  Oid types{};
  if (const auto root = store.load(kRootOid, last); root && !root->erased) {
    const std::map<std::string, Oid> names = names_in_root(root->record, root->begin);
    if (const auto found = names.find(std::string(kTypesName)); found != names.end()) types = found->second;
  }
  return detail::records_before(store, StoreCapabilities(store), types, tid, last);
}

void run_undo(Session& session, const std::string& which, const std::string& message) {
  // A time would do to look at something; what is changed should not hang on "the last one by then".
  if (which.empty() || which.find_first_not_of("0123456789") != std::string::npos)
    throw Refusal(kBadUsage, fmt::format("'{}' is no tid: `cow log` shows them", which));
  const Tid tid = [&] {
    const std::unique_ptr<StoreView> reader = open_view(session.store);
    return Session::resolve_tid(*reader, which);
  }();
  const std::unique_ptr<Store> store = open_to_write(session.store);
  std::size_t objects = 0;
  const TransactionNote note{user_name(), message.empty() ? fmt::format("undo of tid {}", tid.value) : message, {}};
  const Tid undone = commit_repeatedly([&]() -> std::optional<Tid> {
    const Tid last = store->last_tid();
    const std::vector<detail::Earlier> earlier = earlier_records(*store, tid, last);
    std::vector<ProposedWrite> writes;
    for (const auto& [oid, record] : earlier) {
      const std::optional<Revision> base = store->load(oid, last);
      writes.push_back(
          {{oid, !record, record ? std::string_view(*record) : std::string_view()}, base ? base->begin : Tid{}});
    }
    objects = writes.size();
    return writes.empty() ? Tid{} : commit_to(*store, last, writes, note);
  });
  if (session.json) {
    fmt::print("{}\n",
               text_of(Json{
                   {"undone", tid.value}, {"tid", objects == 0 ? Json() : Json(undone.value)}, {"objects", objects}}));
  } else if (objects == 0) {
    fmt::print("tid {} has changed nothing that could be brought back\n", tid.value);
  } else {
    fmt::print("tid {} is undone by tid {}: {} objects\n", tid.value, undone.value, objects);
  }
}

void run_backup(Session& session, const std::string& directory) {
  if (is_postgres_url(session.store))
    throw Refusal(kNotOnThisStore, "not on this store: pg_dump makes copies of a schema in PostgreSQL");
  RocksDbOptions open;
  open.create_if_missing = false;
  RocksDbStore store(session.store, open);
  const BackupResult result = store.backup(directory);
  if (session.json) {
    fmt::print("{}\n", text_of(Json{{"last_tid", result.last.value}, {"bytes", result.bytes}}));
  } else {
    fmt::print("{} bytes, as of tid {}\n", result.bytes, result.last.value);
  }
}

}  // namespace

void add_pack(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(
      app, "pack",
      "Drop what nobody can see who looks at the store as it was at a transaction, or later; by default, all but the "
      "present. What is dropped is gone for ever, and its bytes with it. No other program may have the store open (one "
      "that has packs by itself), unless it is in a database server.");
  auto arguments = std::make_shared<PackArguments>();
  command.add_option("--before", arguments->before, "what is visible from here on stays")->type_name("TID|TIME");
  command.add_flag("--collect-garbage", arguments->collect_garbage,
                   "drop also objects that nothing refers to, directly or not, from the root; references that codecs "
                   "hide in binary values do not count");
  command.callback([&session, arguments] { session.run = [&session, arguments] { run_pack(session, *arguments); }; });
}

void add_undo(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "undo",
                                          "Commit a transaction that brings back what was before another one. It is "
                                          "refused where others have changed the same objects since. No other program "
                                          "may have the store open, unless it is in a database server.");
  auto tid = std::make_shared<std::string>(), message = std::make_shared<std::string>();
  command.add_option("TID", *tid, "the transaction")->required()->type_name("");
  command.add_option("--message", *message, "what the new transaction says of itself")->type_name("TEXT");
  command.callback(
      [&session, tid, message] { session.run = [&session, tid, message] { run_undo(session, *tid, *message); }; });
}

void add_backup(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(
      app, "backup",
      "Make a copy of a store that no program has open: a store by itself. On the same file system it shares the files "
      "that never change. A program that has a store open makes backups by itself (RocksDbStore::backup).");
  auto directory = std::make_shared<std::string>();
  command.add_option("DIRECTORY", *directory, "where; it must not exist")->required()->type_name("");
  command.callback([&session, directory] { session.run = [&session, directory] { run_backup(session, *directory); }; });
}

}  // namespace cow::tool
