#include "session.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>
#include <system_error>

#include "terminal.hpp"
#include "times.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

/// Nothing: the text is no number. Throws Refusal for one that is too large.
std::optional<std::uint64_t> number_in(const std::string& text) {
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) throw Refusal(kBadUsage, text + " is too large");
  return number;
}

}  // namespace

void say(const std::string& text) {
  Progress::hide();
  fmt::print(stderr, "cow: {}\n", printable(text));
}

CLI::App& Session::add_command(CLI::App& app, const std::string& name, const std::string& description) {
  CLI::App& command = *app.add_subcommand(name, description);
  command.group("Commands");
  command.add_option("STORE", store, "the directory of a store, or postgres://...")->required()->type_name("");
  command.add_flag("--json", json, "write JSON, for programs");
  command
      .add_option(
          "--progress", progress,
          "how far it is, on standard error: auto (in a terminal, after two seconds), always, never; default auto")
      ->transform(CLI::Transformer(std::map<std::string, ShowProgress>{{"auto", ShowProgress::when_slow},
                                                                       {"always", ShowProgress::always},
                                                                       {"never", ShowProgress::never}})
                      .description(""))
      ->type_name("WHEN");
  return command;
}

StoreView& Session::open() {
  view_.reset();
  unreadable.clear();
  view_ = open_view(store, [this](const UnreadablePart& part) { note(part); });
  return *view_;
}

void Session::note(const UnreadablePart& part) {
  damaged = true;
  if (unreadable.size() < most_unreadable) unreadable.push_back(part);
  if (said_.size() >= most_unreadable || !said_.insert(part.part).second) return;
  say(fmt::format("cannot be read: {}: {}", part.part, part.why));
}

std::optional<Tid> Session::find_tid(const StoreView& reader, const std::string& text) {
  if (const auto number = number_in(text)) {
    if (*number > reader.last_tid().value) {
      throw Refusal(kNotThere,
                    fmt::format("there is no tid {} yet; the last one is {}", *number, reader.last_tid().value));
    }
    return Tid{*number};
  }
  const std::optional<Time> time = parse_time(text);
  if (!time) {
    throw Refusal(kBadUsage, fmt::format("'{}' is neither a tid nor a time like 2026-01-31, 2026-01-31T23:59 or "
                                         "2026-01-31T23:59:59+01:00",
                                         printable(text)));
  }
  return reader.tid_at(*time);
}

Tid Session::resolve_tid(const StoreView& reader, const std::string& text) {
  const std::optional<Tid> tid = find_tid(reader, text);
  if (!tid) throw Refusal(kNotThere, fmt::format("nothing was committed by {}", text_of(*parse_time(text), true)));
  return *tid;
}

Tid Session::resolve_snapshot(const StoreView& reader, const std::string& text) {
  const Tid tid = text.empty() ? reader.last_tid() : resolve_tid(reader, text);
  if (const Tid oldest = reader.summary().oldest_tid; tid < oldest) throw SnapshotTooOldError(Oid{}, tid, oldest);
  return tid;
}

Oid Session::resolve_oid(const StoreView& reader, const std::string& text, Tid at) {
  if (const auto number = number_in(text)) return Oid{*number};
  const std::optional<Revision> root = reader.load(kRootOid, at);
  if (root && !root->erased) {
    const std::map<std::string, Oid> names = names_in_root(root->record, root->begin);
    if (const auto found = names.find(text); found != names.end()) return found->second;
  }
  throw Refusal(kNotThere, fmt::format("'{}' is neither an oid nor the name of a root", printable(text)));
}

Listing::Listing(bool json, std::vector<Column> columns)
    : json_(json), table_(std::move(columns), columns_of(STDOUT_FILENO)) {}

void Listing::add_json(const Json& item) {
  Progress::hide();
  fmt::print("{}{}", any_ ? ",\n " : "[\n ", text_of(item));
  any_ = true;
}

void Listing::finish() {
  if (json_) {
    fmt::print("{}", any_ ? "\n]\n" : "[]\n");
  } else {
    table_.finish();
  }
}

// It may go to a terminal, which some characters act on that JSON does not want escaped; they stand in strings only.
std::string text_of(const Json& json, int indent) {
  const std::string dumped = json.dump(indent, ' ', false, Json::error_handler_t::replace);
  std::string out;
  for (std::string_view rest = dumped; !rest.empty();) {
    const std::size_t length = std::max<std::size_t>(utf8_length(rest), 1);
    const char32_t point = code_point(rest, length);
    if (point != '\n' && text::is_control(point)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(point));
    } else {
      out += rest.substr(0, length);
    }
    rest.remove_prefix(length);
  }
  return out;
}

}  // namespace cow::tool
