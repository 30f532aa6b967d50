// `cow types`: what the objects are, and how much room they take.
#include <fmt/core.h>

#include <limits>
#include <map>
#include <memory>
#include <string>

#include "session.hpp"
#include "terminal.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

struct Totals {
  std::uint64_t objects = 0, bytes = 0, largest = 0, revisions = 0, revision_bytes = 0;
  Oid largest_oid;
  std::map<std::uint32_t, std::uint64_t> schemas;  // revisions of each
};

std::string schemas_text(const Totals& totals) {
  std::string text;
  for (const auto& [schema, count] : totals.schemas) text += (text.empty() ? "" : ", ") + std::to_string(schema);
  return text;
}

void run_types(Session& session, const std::string& at_text) {
  const StoreView& reader = session.open();
  const Tid at = Session::resolve_snapshot(reader, at_text);
  std::map<std::string, Totals> types;
  std::uint64_t damaged = 0;
  {
    Progress progress = session.follow("revisions", reader.summary().estimated_revisions);
    reader.revisions(Oid{0}, Oid{std::numeric_limits<std::uint64_t>::max()}, [&](const StoredRevision& revision) {
      progress.step();
      if (revision.tid > at || revision.erased) return true;
      detail::RecordHeader header;
      try {
        if (!revision.sound) throw CorruptRecordError(revision.oid, revision.tid, "wrong checksum");
        header = detail::read_record_header(revision.record, revision.oid, revision.tid);
      } catch (const CorruptRecordError&) {
        ++damaged;
        return true;
      }
      Totals& totals = types[header.type_name];
      const std::uint64_t bytes = revision.record.size();
      ++totals.revisions;
      totals.revision_bytes += bytes;
      ++totals.schemas[header.schema];
      if (revision.end <= at) return true;
      ++totals.objects;
      totals.bytes += bytes;
      if (bytes > totals.largest || !totals.largest_oid) {
        totals.largest = bytes;
        totals.largest_oid = revision.oid;
      }
      return true;
    });
  }
  using Kind = Column::Kind;
  Listing listing(session.json, {{"type", Kind::flexible},
                                 {"objects", Kind::number},
                                 {"bytes", Kind::number},
                                 {"largest", Kind::number},
                                 {"revisions", Kind::number},
                                 {"bytes of all", Kind::number},
                                 {"schemas", Kind::text}});
  for (const auto& [name, totals] : types) {
    listing.add(
        [&] {
          Json schemas = Json::array();
          for (const auto& [schema, count] : totals.schemas)
            schemas.push_back({{"schema", schema}, {"revisions", count}});
          return Json{{"type", name},
                      {"objects", totals.objects},
                      {"bytes", totals.bytes},
                      {"largest", totals.largest},
                      {"largest_oid", totals.largest_oid ? Json(totals.largest_oid.value) : Json()},
                      {"revisions", totals.revisions},
                      {"revision_bytes", totals.revision_bytes},
                      {"schemas", std::move(schemas)}};
        },
        [&] {
          return std::vector<std::string>{printable(name),
                                          std::to_string(totals.objects),
                                          std::to_string(totals.bytes),
                                          std::to_string(totals.largest),
                                          std::to_string(totals.revisions),
                                          std::to_string(totals.revision_bytes),
                                          schemas_text(totals)};
        });
  }
  listing.finish();
  if (damaged > 0) {
    session.damaged = true;
    say(fmt::format("not counted: {} damaged records; see `cow verify`", damaged));
  }
}

}  // namespace

void add_types(CLI::App& app, Session& session) {
  CLI::App& command =
      session.add_command(app, "types", "What types the objects have: how many, how large, which schemas.");
  auto at = std::make_shared<std::string>();
  command.add_option("--at", *at, "as of this transaction or time")->type_name("TID|TIME");
  command.callback([&session, at] { session.run = [&session, at] { run_types(session, *at); }; });
}

}  // namespace cow::tool
