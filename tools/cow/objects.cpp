// `cow ls`, `cow show`, `cow refs`: an object, and what it is linked with.
#include <fmt/core.h>

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "session.hpp"
#include "terminal.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

using Kind = Column::Kind;

/// What can be said of the object that a reference leads to.
struct Target {
  std::string type;  // or why there is none
  bool there = false;
  std::uint64_t bytes = 0;
};

Target target_of(Session& session, const StoreView& reader, Oid oid, Tid at) {
  if (!oid) return {"null", false, 0};
  try {
    const std::optional<Revision> revision = reader.load(oid, at);
    if (!revision) return {"(no such object)", false, 0};
    if (revision->erased) return {"(erased)", false, 0};
    return {detail::read_record_header(revision->record, oid, revision->begin).type_name, true,
            revision->record.size()};
  } catch (const CorruptRecordError& error) {
    session.damaged = true;
    say(fmt::format("cannot be read: {}", error.what()));
    return {"(damaged)", false, 0};
  }
}

Revision require_object(const StoreView& reader, Oid oid, Tid at) {
  std::optional<Revision> revision = reader.load(oid, at);
  if (!revision) throw Refusal(kNotThere, fmt::format("there is no object {} at tid {}", oid.value, at.value));
  if (revision->erased)
    throw Refusal(kNotThere, fmt::format("object {} was erased at tid {}", oid.value, revision->begin.value));
  return *std::move(revision);
}

Tid at_of(const StoreView& reader, const std::string& text) { return Session::resolve_snapshot(reader, text); }

/// Rows of names or ways, and the objects that they lead to.
class Links {
 public:
  Links(Session& session, const StoreView& reader, const char* key, const char* title, Tid at)
      : session_(session),
        reader_(reader),
        key_(key),
        at_(at),
        listing_(session.json,
                 {{title, Kind::flexible}, {"oid", Kind::number}, {"type", Kind::flexible}, {"bytes", Kind::number}}) {}

  void add(const std::string& name, Oid oid) {
    const Target target = target_of(session_, reader_, oid, at_);
    listing_.add(
        [&] {
          return Json{{key_, name},
                      {"oid", oid.value},
                      {"type", target.there ? Json(target.type) : Json()},
                      {"bytes", target.there ? Json(target.bytes) : Json()}};
        },
        [&] {
          return std::vector<std::string>{printable(name), std::to_string(oid.value), printable(target.type),
                                          target.there ? std::to_string(target.bytes) : ""};
        });
  }
  void finish() { listing_.finish(); }

 private:
  Session& session_;
  const StoreView& reader_;
  const char* const key_;
  const Tid at_;
  Listing listing_;
};

void run_ls(Session& session, const std::string& name, const std::string& at_text) {
  const StoreView& reader = session.open();
  const Tid at = at_of(reader, at_text);
  std::map<std::string, Oid> names;
  if (const auto root = reader.load(kRootOid, at); root && !root->erased)
    names = names_in_root(root->record, root->begin);
  if (name.empty()) {
    Links links(session, reader, "name", "name", at);
    for (const auto& [each, oid] : names) links.add(each, oid);
    return links.finish();
  }
  const auto found = names.find(name);
  if (found == names.end()) throw Refusal(kNotThere, fmt::format("the root has no name '{}'", printable(name)));
  const Revision revision = require_object(reader, found->second, at);
  const Value value(revision.record, found->second, revision.begin);
  Links links(session, reader, "path", "member", at);
  value.references([&](const std::string& path, Oid oid) { links.add(path, oid); });
  links.finish();
}

void run_show(Session& session, const std::string& object, const std::string& at_text) {
  const StoreView& reader = session.open();
  const Tid at = at_of(reader, at_text);
  const Oid oid = Session::resolve_oid(reader, object, at);
  const Revision revision = require_object(reader, oid, at);
  const Value value(revision.record, oid, revision.begin);
  const std::optional<StoredTransaction> transaction = reader.transaction(revision.begin);
  const Json json{{"oid", oid.value},
                  {"tid", revision.begin.value},
                  {"superseded_at", revision.end == kInfinity ? Json() : Json(revision.end.value)},
                  {"time", transaction ? Json(text_of(transaction->time, true)) : Json()},
                  {"type", value.type()},
                  {"schema", value.schema()},
                  {"bytes", revision.record.size()},
                  {"value", Json::parse(value.json())}};
  fmt::print("{}\n", text_of(json, session.json ? -1 : 2));
}

struct RefsOptions {
  std::string object, at;
  bool to = false, from = false;
};

void run_refs(Session& session, const RefsOptions& options) {
  const StoreView& reader = session.open();
  const Tid at = at_of(reader, options.at);
  const Oid oid = Session::resolve_oid(reader, options.object, at);
  const bool both = options.to == options.from;
  Listing listing(session.json,
                  {{"", Kind::text}, {"oid", Kind::number}, {"type", Kind::flexible}, {"member", Kind::flexible}});
  const auto add = [&](const char* direction, Oid other, const std::string& type, bool there, const std::string& path) {
    listing.add(
        [&] {
          return Json{
              {"direction", direction}, {"oid", other.value}, {"type", there ? Json(type) : Json()}, {"path", path}};
        },
        [&] {
          return std::vector<std::string>{direction, std::to_string(other.value), printable(type), printable(path)};
        });
  };
  if (both || options.to) {
    const Revision revision = require_object(reader, oid, at);
    Value(revision.record, oid, revision.begin).references([&](const std::string& path, Oid other) {
      const Target target = target_of(session, reader, other, at);
      add("to", other, target.type, target.there, path);
    });
  }
  if (both || options.from) {
    std::uint64_t damaged = 0;
    Progress progress = session.follow("revisions", reader.summary().estimated_revisions);
    reader.revisions(Oid{0}, Oid{std::numeric_limits<std::uint64_t>::max()}, [&](const StoredRevision& revision) {
      progress.step();
      if (revision.erased || revision.tid > at || revision.end <= at) return true;
      try {
        if (!revision.sound) throw CorruptRecordError(revision.oid, revision.tid, "wrong checksum");
        const Value value(revision.record, revision.oid, revision.tid);
        value.references([&](const std::string& path, Oid other) {
          if (other == oid) add("from", revision.oid, value.type(), true, path);
        });
      } catch (const CorruptRecordError&) {
        ++damaged;
      }
      return true;
    });
    if (damaged > 0) {
      session.damaged = true;
      say(fmt::format("not looked through: {} damaged records; see `cow verify`", damaged));
    }
  }
  listing.finish();
}

}  // namespace

void add_ls(CLI::App& app, Session& session) {
  CLI::App& command =
      session.add_command(app, "ls", "The names in the root; or what the object under a name refers to.");
  auto name = std::make_shared<std::string>(), at = std::make_shared<std::string>();
  command.add_option("ROOTNAME", *name, "a name in the root")->type_name("");
  command.add_option("--at", *at, "as of this transaction or time")->type_name("TID|TIME");
  command.callback([&session, name, at] { session.run = [&session, name, at] { run_ls(session, *name, *at); }; });
}

void add_show(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "show", "An object as JSON; with --json in one line.");
  auto object = std::make_shared<std::string>(), at = std::make_shared<std::string>();
  command.add_option("OID", *object, "the object's number, or a name in the root")->required()->type_name("");
  command.add_option("--at", *at, "as of this transaction or time")->type_name("TID|TIME");
  command.callback(
      [&session, object, at] { session.run = [&session, object, at] { run_show(session, *object, *at); }; });
}

void add_refs(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "refs", "What an object refers to, and what refers to it.");
  auto options = std::make_shared<RefsOptions>();
  command.add_option("OID", options->object, "the object's number, or a name in the root")->required()->type_name("");
  command.add_option("--at", options->at, "as of this transaction or time")->type_name("TID|TIME");
  command.add_flag("--to", options->to, "only what it refers to");
  command.add_flag("--from", options->from, "only what refers to it: reads the whole store");
  command.callback([&session, options] { session.run = [&session, options] { run_refs(session, *options); }; });
}

}  // namespace cow::tool
