// `cow history`, `cow log`, `cow diff`: what has changed, by object, by transaction, and between two of them.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "session.hpp"
#include "terminal.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

using Kind = Column::Kind;

void run_history(Session& session, const std::string& object) {
  const StoreView& reader = session.open();
  const Oid oid = Session::resolve_oid(reader, object, reader.last_tid());
  Listing listing(session.json, {{"tid", Kind::number},
                                 {"time", Kind::text},
                                 {"type", Kind::flexible},
                                 {"schema", Kind::number},
                                 {"bytes", Kind::number},
                                 {"user", Kind::flexible},
                                 {"note", Kind::flexible}});
  bool any = false;
  reader.revisions(oid, oid, [&](const StoredRevision& revision) {
    any = true;
    std::optional<detail::RecordHeader> header;
    std::string kind = "(erased)";
    try {
      if (!revision.sound) throw CorruptRecordError(revision.oid, revision.tid, "wrong checksum");
      if (!revision.erased) header = detail::read_record_header(revision.record, revision.oid, revision.tid);
    } catch (const CorruptRecordError& error) {
      session.damaged = true;
      kind = "(damaged)";
      say(fmt::format("cannot be read: {}", error.what()));
    }
    const std::optional<StoredTransaction> transaction = reader.transaction(revision.tid);
    listing.add(
        [&] {
          return Json{{"tid", revision.tid.value},
                      {"time", transaction ? Json(text_of(transaction->time, true)) : Json()},
                      {"type", header ? Json(header->type_name) : Json()},
                      {"schema", header ? Json(header->schema) : Json()},
                      {"bytes", revision.record.size()},
                      {"erased", revision.erased},
                      {"damaged", !header && !revision.erased},
                      {"user", transaction ? Json(transaction->note.user) : Json()},
                      {"note", transaction ? Json(transaction->note.description) : Json()}};
        },
        [&] {
          return std::vector<std::string>{std::to_string(revision.tid.value),
                                          transaction ? text_of(transaction->time) : "",
                                          header ? printable(header->type_name) : kind,
                                          header ? std::to_string(header->schema) : "",
                                          header ? std::to_string(revision.record.size()) : "",
                                          transaction ? printable(transaction->note.user) : "",
                                          transaction ? printable(transaction->note.description) : ""};
        });
    return true;
  });
  if (!any) throw Refusal(kNotThere, fmt::format("there never was an object {}", oid.value));
  listing.finish();
}

struct LogOptions {
  std::string from, to;
  std::uint64_t limit = 0;
};

void run_log(Session& session, const LogOptions& options) {
  const StoreView& reader = session.open();
  const Tid newest = options.to.empty() ? reader.last_tid() : Session::resolve_tid(reader, options.to);
  const Tid oldest = options.from.empty() ? Tid{1} : Session::resolve_tid(reader, options.from);
  Listing listing(session.json, {{"tid", Kind::number},
                                 {"time", Kind::text},
                                 {"objects", Kind::number},
                                 {"user", Kind::flexible},
                                 {"note", Kind::flexible},
                                 {"oids", Kind::flexible}});
  std::uint64_t count = 0;
  Progress progress =
      session.follow("transactions", options.limit > 0 ? options.limit : reader.summary().estimated_transactions);
  reader.transactions(newest, oldest, [&](const StoredTransaction& transaction) {
    progress.step();
    listing.add(
        [&] {
          Json oids = Json::array();
          for (const Oid oid : transaction.objects) oids.push_back(oid.value);
          return Json{{"tid", transaction.tid.value},
                      {"time", text_of(transaction.time, true)},
                      {"user", transaction.note.user},
                      {"note", transaction.note.description},
                      {"properties", transaction.note.properties},
                      {"oids", std::move(oids)}};
        },
        [&] {
          // The first of them: a large transaction would fill the screen.
          constexpr std::size_t kShown = 20;
          std::string oids;
          for (std::size_t i = 0; i < std::min(transaction.objects.size(), kShown); ++i) {
            oids += (oids.empty() ? "" : " ") + std::to_string(transaction.objects[i].value);
          }
          if (transaction.objects.size() > kShown) oids += " ...";
          return std::vector<std::string>{std::to_string(transaction.tid.value),      text_of(transaction.time),
                                          std::to_string(transaction.objects.size()), printable(transaction.note.user),
                                          printable(transaction.note.description),    std::move(oids)};
        });
    return ++count != options.limit;
  });
  listing.finish();
}

/// One side of a difference. What it holds refers to itself: it stays where it is.
struct Side {
  Side(Session& session, const StoreView& reader, Oid oid, Tid at) {
    try {
      revision = reader.load(oid, at);
      if (revision && !revision->erased) value.emplace(revision->record, oid, revision->begin);
    } catch (const CorruptRecordError& error) {
      session.damaged = damaged = true;
      say(fmt::format("cannot be read: {}", error.what()));
    }
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  std::uint64_t bytes() const { return value ? revision->record.size() : 0; }

  std::optional<Revision> revision;
  std::optional<Value> value;  // nothing: the object is not there, or it is damaged
  bool damaged = false;
};

void run_diff(Session& session, const std::string& from_text, const std::string& to_text) {
  const StoreView& reader = session.open();
  const Tid from = Session::resolve_snapshot(reader, from_text), to = Session::resolve_snapshot(reader, to_text);
  if (from > to)
    throw Refusal(kBadUsage,
                  fmt::format("tid {} is newer than tid {}: the older one comes first", from.value, to.value));
  std::set<Oid> changed;
  if (from < to) {
    Progress progress = session.follow("transactions", to.value - from.value);
    reader.transactions(to, Tid{from.value + 1}, [&](const StoredTransaction& transaction) {
      progress.step();
      changed.insert(transaction.objects.begin(), transaction.objects.end());
      return true;
    });
  }
  Listing listing(session.json, {{"oid", Kind::number},
                                 {"type", Kind::flexible},
                                 {"what", Kind::text},
                                 {"before", Kind::number},
                                 {"after", Kind::number},
                                 {"members", Kind::flexible}});
  Progress progress = session.follow("objects", changed.size());
  for (const Oid oid : changed) {
    progress.step();
    const Side before(session, reader, oid, from), after(session, reader, oid, to);
    const bool damaged = before.damaged || after.damaged;
    if (!before.value && !after.value && !damaged) continue;  // made and erased in between
    const char* const what = damaged ? "damaged" : !before.value ? "created" : !after.value ? "erased" : "changed";
    const std::string type = after.value ? after.value->type() : before.value ? before.value->type() : std::string();
    const std::vector<std::string> members =
        before.value && after.value ? differences(*before.value, *after.value) : std::vector<std::string>{};
    listing.add(
        [&] {
          return Json{{"oid", oid.value},
                      {"type", before.value || after.value ? Json(type) : Json()},
                      {"what", what},
                      {"tid", after.revision ? Json(after.revision->begin.value) : Json()},
                      {"bytes_before", before.value ? Json(before.bytes()) : Json()},
                      {"bytes_after", after.value ? Json(after.bytes()) : Json()},
                      {"members", members}};
        },
        [&] {
          std::string list;
          for (const std::string& member : members)
            list += (list.empty() ? "" : ", ") + (member.empty() ? "all" : member);
          return std::vector<std::string>{std::to_string(oid.value),
                                          printable(type),
                                          what,
                                          before.value ? std::to_string(before.bytes()) : "",
                                          after.value ? std::to_string(after.bytes()) : "",
                                          printable(list)};
        });
  }
  listing.finish();
}

}  // namespace

void add_history(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "history", "All revisions of an object, the newest first.");
  auto object = std::make_shared<std::string>();
  command.add_option("OID", *object, "the object's number, or a name in the root")->required()->type_name("");
  command.callback([&session, object] { session.run = [&session, object] { run_history(session, *object); }; });
}

void add_log(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "log", "The transactions, the newest first.");
  auto options = std::make_shared<LogOptions>();
  command.add_option("--from", options->from, "down to this transaction or time")->type_name("TID|TIME");
  command.add_option("--to", options->to, "from this transaction or time on downwards")->type_name("TID|TIME");
  command.add_option("-n,--limit", options->limit, "at most so many")
      ->check(CLI::PositiveNumber.description(""))
      ->type_name("COUNT");
  command.callback([&session, options] { session.run = [&session, options] { run_log(session, *options); }; });
}

void add_diff(CLI::App& app, Session& session) {
  CLI::App& command =
      session.add_command(app, "diff", "What objects differ between two transactions, and in which members.");
  auto from = std::make_shared<std::string>(), to = std::make_shared<std::string>();
  command.add_option("FROM", *from, "a transaction or a time")->required()->type_name("TID|TIME");
  command.add_option("TO", *to, "a later one")->required()->type_name("TID|TIME");
  command.callback([&session, from, to] { session.run = [&session, from, to] { run_diff(session, *from, *to); }; });
}

}  // namespace cow::tool
