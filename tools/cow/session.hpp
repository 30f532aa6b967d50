// What the commands share: the options that all have, the store, what was found to be damaged, and the exit codes.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. What cannot be read of a store is said on standard error, once for each part, and makes the exit code kDamaged.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "progress.hpp"
#include "store_view.hpp"
#include "table.hpp"

namespace cow::tool {

using Json = nlohmann::ordered_json;

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kBadUsage = 2,
  kNotThere = 3,
  kDamaged = 4,
  kLocked = 5,
  kNotOnThisStore = 6,
};

/// Writes a line to standard error: "cow: " and the text, made printable.
void say(const std::string& text);

/// Ends the command with a message and a code.
class Refusal : public std::runtime_error {
 public:
  Refusal(ExitCode with, const std::string& why) : std::runtime_error(why), code(with) {}
  ExitCode code;
};

class Session {
 public:
  std::string store;
  bool json = false;
  ShowProgress progress = ShowProgress::when_slow;
  bool damaged = false;
  std::vector<UnreadablePart>
      unreadable;  ///< of the store as it was opened or last refreshed, `most_unreadable` of them at most
  std::size_t most_unreadable =
      std::numeric_limits<std::size_t>::max();  ///< for a command that goes on and on: it bounds what is kept
  std::function<void()> run;                    ///< what the command does

  /// A command with the options that all have. `reads_store`: its first argument is one.
  CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& description);

  /// The store of the command, opened anew.
  StoreView& open();
  /// Gives its files back, until it is opened again.
  void close() { view_.reset(); }
  Progress follow(std::string what, std::uint64_t total) const { return {progress, std::move(what), total}; }

  /// What `--at` and the like say: a tid, or a time. Throws Refusal.
  static Tid resolve_tid(const StoreView& reader, const std::string& text);
  /// The same; nothing: it is a time, and nothing was committed by then.
  static std::optional<Tid> find_tid(const StoreView& reader, const std::string& text);
  /// The same of a snapshot that is looked at; empty: the present. Throws SnapshotTooOldError as well.
  static Tid resolve_snapshot(const StoreView& reader, const std::string& text);
  /// An oid, or the name of a root as of `at`. Throws Refusal.
  static Oid resolve_oid(const StoreView& reader, const std::string& text, Tid at);

 private:
  void note(const UnreadablePart& part);

  std::unique_ptr<StoreView> view_;
  std::set<std::string> said_;  // the parts of which standard error has heard
};

/// A list: a table, or with --json an array of objects, one on each line.
class Listing {
 public:
  Listing(bool json, std::vector<Column> columns);
  /// `as_json` and `as_cells` are functions: only one of them is asked.
  template <class AsJson, class AsCells>
  void add(AsJson&& as_json, AsCells&& as_cells) {
    json_ ? add_json(as_json()) : table_.add(as_cells());
  }
  void finish();

 private:
  void add_json(const Json& item);

  const bool json_;
  Table table_;
  bool any_ = false;
};

/// JSON as text. Strings that are no UTF-8 (names in a damaged store) are made some.
std::string text_of(const Json& json, int indent = -1);

/// The commands.
void add_info(CLI::App& app, Session& session);
void add_types(CLI::App& app, Session& session);
void add_ls(CLI::App& app, Session& session);
void add_show(CLI::App& app, Session& session);
void add_refs(CLI::App& app, Session& session);
void add_history(CLI::App& app, Session& session);
void add_log(CLI::App& app, Session& session);
void add_diff(CLI::App& app, Session& session);
void add_verify(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_import(CLI::App& app, Session& session);
void add_pack(CLI::App& app, Session& session);
void add_undo(CLI::App& app, Session& session);
void add_backup(CLI::App& app, Session& session);
void add_serve(CLI::App& app, Session& session);
void add_completion(CLI::App& app, Session& session);

}  // namespace cow::tool
