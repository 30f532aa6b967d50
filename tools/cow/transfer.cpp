// `cow export` and `cow import`: an object and all that can be reached from it, out of a store and into another one, under new
// oids.
#include <fmt/core.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/root.hpp"
#include "export_file.hpp"
#include "persistence/postgres_url.hpp"
#include "session.hpp"
#include "terminal.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

/// The record of an object, and the references in it; nothing if it is not there, or is damaged, which is said.
template <class OnReference>
std::optional<std::string> record_of(Session& session, const StoreView& reader, Oid oid, Tid at, OnReference&& visit) {
  try {
    std::optional<Revision> revision = reader.load(oid, at);
    if (!revision || revision->erased) return std::nullopt;
    Value(revision->record, oid, revision->begin).references([&](const std::string&, Oid next) { visit(next); });
    return std::move(revision->record);
  } catch (const CorruptRecordError& error) {
    session.damaged = true;
    say(fmt::format("left out: {}", error.what()));
    return std::nullopt;
  }
}

void run_export(Session& session, const std::string& object, const std::string& file, const std::string& at_text) {
  const StoreView& reader = session.open();
  const Tid at = Session::resolve_snapshot(reader, at_text);
  const Oid top = Session::resolve_oid(reader, object, at);
  if (const auto revision = reader.load(top, at); !revision || revision->erased) {
    throw Refusal(kNotThere, fmt::format("there is no object {} at tid {}", top.value, at.value));
  }
  ExportWriter writer(file, reader.summary().store_id, at, top);
  Progress progress = session.follow("objects", 0);
  std::unordered_set<Oid> seen{top};
  std::deque<Oid> waiting{top};
  std::uint64_t missing = 0, bytes = 0;
  for (; !waiting.empty(); waiting.pop_front()) {
    progress.step();
    const Oid oid = waiting.front();
    const std::optional<std::string> record = record_of(session, reader, oid, at, [&](Oid next) {
      if (seen.insert(next).second) waiting.push_back(next);
    });
    record ? bytes += record->size() : ++missing;
    writer.add(oid, record);
  }
  writer.finish();
  std::FILE* const says = file == "-" ? stderr : stdout;
  if (session.json) {
    fmt::print(says, "{}\n",
               text_of(Json{{"top", top.value},
                            {"at", at.value},
                            {"objects", seen.size() - missing},
                            {"missing", missing},
                            {"bytes", bytes}}));
  } else {
    fmt::print(says, "{} objects, {} bytes, as of tid {}\n", seen.size() - missing, bytes, at.value);
    if (missing > 0) fmt::print(says, "{} objects that others refer to are not there\n", missing);
  }
}

struct ImportOptions {
  std::string file, name;
  bool create = false, replace = false;
};

/// Records under new oids, with the references in them changed to these.
class Renumbered {
 public:
  Renumbered(const ExportedGraph& graph, Oid first) {
    for (const ExportedGraph::Object& object : graph.objects) {
      if (!oids_.emplace(object.oid, Oid{first.value + oids_.size()}).second) {
        throw Refusal(kDamaged, fmt::format("the file has oid {} twice", object.oid.value));
      }
    }
    for (const ExportedGraph::Object& object : graph.objects) {
      records_.push_back(object.record ? renumbered(object.oid, *object.record) : std::string());
    }
    // Only now do the records stay where they are.
    for (std::size_t i = 0; i < records_.size(); ++i) {
      const ExportedGraph::Object& object = graph.objects[i];
      writes_.push_back({{oids_.at(object.oid), !object.record, records_[i]}, Tid{}});
    }
  }

  Oid oid_of(Oid old) const {
    const auto found = oids_.find(old);
    if (found == oids_.end()) throw Refusal(kDamaged, fmt::format("the file lacks oid {}", old.value));
    return found->second;
  }
  const std::vector<ProposedWrite>& writes() const noexcept { return writes_; }

 private:
  std::string renumbered(Oid oid, std::string_view record) const {
    const std::vector<std::size_t> offsets = Value(record, oid, Tid{}).reference_offsets();
    std::string out(record);
    for (const std::size_t offset : offsets) {
      std::uint64_t old = 0;
      for (std::size_t i = 0; i < 8; ++i) old = old << 8 | static_cast<unsigned char>(record[offset + i]);
      const std::uint64_t fresh = oid_of(Oid{old}).value;
      for (std::size_t i = 0; i < 8; ++i) out[offset + i] = static_cast<char>(fresh >> (56 - 8 * i));
    }
    detail::store_big_endian(out.data() + 2, detail::record_checksum(out));
    return out;
  }

  std::unordered_map<Oid, Oid> oids_;
  std::vector<std::string> records_;
  std::vector<ProposedWrite> writes_;
};

/// The root with one name more. Throws Refusal if it has the name already, and that may not be replaced.
std::string root_with(const std::optional<Revision>& present, const std::string& name, Oid oid, bool replace) {
  RootDirectory root;
  if (present && !present->erased)
    root = detail::decode_record<RootDirectory>(present->record, kRootOid, present->begin);
  if (!name.empty()) {
    if (!replace && root.entries.contains(name)) {
      throw Refusal(kFailed, fmt::format("the root has the name '{}' already; --replace gives it to the new object",
                                         printable(name)));
    }
    root.entries.insert_or_assign(name, Ref<RootDirectory::AnyObject>(oid));
  }
  std::string record;
  detail::encode_record(root, record, kRootOid);
  return record;
}

void run_import(Session& session, const ImportOptions& options) {
  // A statement of PostgreSQL has 1 GiB at most, with all that it needs.
  const std::size_t most_mib = is_postgres_url(session.store) ? 256 : 1024;
  const ExportedGraph graph = ExportedGraph::read(options.file);
  if (graph.bytes.size() > most_mib << 20) {
    throw Refusal(
        kFailed,
        fmt::format("an import is one transaction, here of {} MiB at most: export the parts of this one", most_mib));
  }
  // All that can be wrong with the file is found before the store is opened: the oids are others below, and no more.
  static_cast<void>(Renumbered(graph, Oid{1}).oid_of(graph.top));
  const std::unique_ptr<Store> store = open_to_write(session.store, options.create);
  Renumbered fresh(graph, store->allocate_oids(graph.objects.size()).first);
  const Oid top = fresh.oid_of(graph.top);
  const char* const user = std::getenv("USER");
  const TransactionNote note{user != nullptr ? user : "", "cow import", {}};
  const Tid tid = commit_repeatedly([&] {
    const Tid last = store->last_tid();
    std::vector<ProposedWrite> writes = fresh.writes();
    std::string root;
    // A store without a root is one that no database has opened yet; it is not left so.
    if (!options.name.empty() || last == Tid{}) {
      const std::optional<Revision> present = store->load(kRootOid, last);
      root = root_with(present, options.name, top, options.replace);
      writes.push_back({{kRootOid, false, root}, present ? present->begin : Tid{}});
    }
    return commit_to(*store, last, writes, note);
  });
  if (session.json) {
    fmt::print("{}\n", text_of(Json{{"oid", top.value}, {"tid", tid.value}, {"objects", graph.objects.size()}}));
  } else {
    fmt::print("{} objects in transaction {}; the top is oid {}\n", graph.objects.size(), tid.value, top.value);
    if (options.name.empty()) fmt::print("nothing refers to it yet: --name gives it a name in the root\n");
  }
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(
      app, "export", "Write an object and all that can be reached from it to a file, for import into another store.");
  auto object = std::make_shared<std::string>(), file = std::make_shared<std::string>(),
       at = std::make_shared<std::string>();
  command.add_option("OID", *object, "the object's number, or a name in the root")->required()->type_name("");
  command.add_option("FILE", *file, "a file that does not exist yet, or - for standard output")
      ->required()
      ->type_name("");
  command.add_option("--at", *at, "as of this transaction or time")->type_name("TID|TIME");
  command.callback([&session, object, file, at] {
    session.run = [&session, object, file, at] { run_export(session, *object, *file, *at); };
  });
}

void add_import(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(
      app, "import",
      "Add the objects of a file that export has written, under new oids and in "
      "one transaction. No other program may have the "
      "store open, unless it is in a database server. References that codecs hide in binary values are not changed.");
  auto options = std::make_shared<ImportOptions>();
  command.add_option("FILE", options->file, "the file, or - for standard input")->required()->type_name("");
  command.add_option("--name", options->name, "the name in the root that the first object gets")->type_name("NAME");
  command.add_flag("--replace", options->replace, "also if the root has that name already");
  command.add_flag("--create", options->create, "make the store if there is none");
  command.callback([&session, options] { session.run = [&session, options] { run_import(session, *options); }; });
}

}  // namespace cow::tool
