// `cow info`: what kind of store it is, how large, and in what state.
#include <fmt/core.h>

#include <filesystem>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "persistence/directory_size.hpp"
#include "session.hpp"
#include "terminal.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit < 3; ++unit) size /= 1024;
  return fmt::format("{:.1f} {} ({} bytes)", size, kUnits[unit], bytes);
}

void run_info(Session& session) {
  const StoreView& reader = session.open();
  const StoreSummary summary = reader.summary();
  const std::optional<std::filesystem::path> directory = reader.directory();
  const DirectorySize size = directory ? directory_size(*directory) : DirectorySize{};
  const std::optional<StoredTransaction> last = reader.transaction(reader.last_tid());
  std::optional<std::uint64_t> names;
  if (const auto root = reader.load(kRootOid, reader.last_tid()); root && !root->erased) {
    names = names_in_root(root->record, root->begin).size();
  }
  if (session.json) {
    Json json{{"path", reader.place()},
              {"format_version", summary.format_version},
              {"store_id", directory ? Json(fmt::format("{:016x}", summary.store_id)) : Json()},
              {"open", reader.open_elsewhere()},
              {"state", reader.state()},
              {"last_tid", reader.last_tid().value},
              {"oldest_tid", summary.oldest_tid.value},
              {"last_time", last ? Json(text_of(last->time, true)) : Json()},
              {"estimated_transactions", summary.estimated_transactions},
              {"estimated_revisions", summary.estimated_revisions},
              {"root_names", names ? Json(*names) : Json()},
              {"next_oid", summary.next_oid},
              {"files", directory ? Json(size.files) : Json()},
              {"bytes", directory ? Json(size.bytes) : Json()},
              {"log_bytes", directory ? Json(size.log_bytes) : Json()},
              {"unreadable", Json::array()}};
    for (const UnreadablePart& part : session.unreadable)
      json["unreadable"].push_back({{"part", part.part}, {"why", part.why}});
    fmt::print("{}\n", text_of(json, 1));
    return;
  }
  std::vector<std::pair<std::string, std::string>> lines{
      {"store", printable(reader.place())},
      {"format", !directory ? fmt::format("version {} of the tables", summary.format_version)
                 : summary.format_version > 0
                     ? fmt::format("version {}, id {:016x}", summary.format_version, summary.store_id)
                     : std::string("unknown")},
      {"state", reader.state()},
      {"last tid", fmt::format("{}{}", reader.last_tid().value, last ? ", " + text_of(last->time) : "")},
      {"packed",
       summary.oldest_tid == Tid{} ? std::string("never") : fmt::format("up to tid {}", summary.oldest_tid.value)},
      {"transactions", fmt::format("about {}", summary.estimated_transactions)},
      {"revisions", fmt::format("about {}", summary.estimated_revisions)},
      {"root names", names ? fmt::format("{}", *names) : "no root"},
      {"next oid", fmt::format("{}", summary.next_oid)}};
  if (directory) {
    lines.emplace_back("on disk", fmt::format("{} in {} files", size_text(size.bytes), size.files));
    lines.emplace_back("of it, log", size_text(size.log_bytes));
  }
  constexpr std::size_t kColumn = 14;
  const std::size_t width = columns_of(STDOUT_FILENO).value_or(std::numeric_limits<std::size_t>::max());
  for (const auto& [name, text] : lines) fmt::print("{:<14}{}\n", name, wrapped(text, kColumn, kColumn, width));
}

}  // namespace

void add_info(CLI::App& app, Session& session) {
  session.add_command(app, "info", "What kind of store it is, how large, and in what state.").callback([&session] {
    session.run = [&session] { run_info(session); };
  });
}

}  // namespace cow::tool
