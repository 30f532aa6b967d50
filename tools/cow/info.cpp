// `cow info`: what kind of store it is, how large, and in what state.
#include <fmt/core.h>

#include <filesystem>
#include <limits>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "session.hpp"
#include "terminal.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

struct Files {
  std::uint64_t count = 0, bytes = 0, log_bytes = 0;
};

Files files_of(const std::filesystem::path& directory) {
  Files files;
  std::error_code failure;
  for (std::filesystem::directory_iterator it(directory, failure), end; !failure && it != end; it.increment(failure)) {
    // A file that a writer removes meanwhile counts as none.
    std::error_code gone;
    const std::uint64_t size = it->file_size(gone);
    if (gone) continue;
    ++files.count;
    files.bytes += size;
    if (it->path().extension() == ".log") files.log_bytes += size;
  }
  return files;
}

std::string size_text(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit < 3; ++unit) size /= 1024;
  return fmt::format("{:.1f} {} ({} bytes)", size, kUnits[unit], bytes);
}

std::string state_of(const StoreSummary& summary, bool open) {
  if (open) return "open";
  if (!summary.cleanly_closed) return "closed, without a witness";
  return *summary.cleanly_closed ? "closed" : "not closed cleanly: it is recovered when it is opened";
}

void run_info(Session& session) {
  const StoreReader reader = session.open();
  const StoreSummary summary = reader.summary();
  const bool open = reader.open_elsewhere();
  const Files files = files_of(reader.path());
  const std::optional<StoredTransaction> last = reader.transaction(reader.last_tid());
  std::optional<std::uint64_t> names;
  if (const auto root = reader.load(kRootOid, reader.last_tid()); root && !root->erased) {
    names = names_in_root(root->record, root->begin).size();
  }
  if (session.json) {
    Json json{{"path", reader.path().string()},
              {"format_version", summary.format_version},
              {"store_id", fmt::format("{:016x}", summary.store_id)},
              {"open", open},
              {"state", state_of(summary, open)},
              {"last_tid", reader.last_tid().value},
              {"last_time", last ? Json(text_of(last->time, true)) : Json()},
              {"estimated_transactions", summary.estimated_transactions},
              {"estimated_revisions", summary.estimated_revisions},
              {"root_names", names ? Json(*names) : Json()},
              {"next_oid", summary.next_oid},
              {"files", files.count},
              {"bytes", files.bytes},
              {"log_bytes", files.log_bytes},
              {"unreadable", Json::array()}};
    for (const UnreadablePart& part : session.unreadable)
      json["unreadable"].push_back({{"part", part.part}, {"why", part.why}});
    fmt::print("{}\n", text_of(json, 1));
    return;
  }
  std::vector<std::pair<std::string, std::string>> lines{
      {"store", printable(reader.path().string())},
      {"format", summary.format_version > 0
                     ? fmt::format("version {}, id {:016x}", summary.format_version, summary.store_id)
                     : std::string("unknown")},
      {"state", state_of(summary, open)},
      {"last tid", fmt::format("{}{}", reader.last_tid().value, last ? ", " + text_of(last->time) : "")},
      {"transactions", fmt::format("about {}", summary.estimated_transactions)},
      {"revisions", fmt::format("about {}", summary.estimated_revisions)},
      {"root names", names ? fmt::format("{}", *names) : "no root"},
      {"next oid", fmt::format("{}", summary.next_oid)},
      {"on disk", fmt::format("{} in {} files", size_text(files.bytes), files.count)},
      {"of it, log", size_text(files.log_bytes)}};
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
