// How the program explains itself: lines of 79 columns at most, in the shape that help2man makes a page of the manual from.
//
// Thread safety: plain values.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

#include "terminal.hpp"

namespace cow::tool {

class Help final : public CLI::Formatter {
 public:
  Help() {
    label("SUBCOMMAND", "COMMAND");
    label("Subcommands", "Commands");
    label("Positionals", "Arguments");
    label("REQUIRED", "");
  }

  std::string make_description(const CLI::App* app) const override {
    return wrapped(app->get_description(), 0, 0, kWidth) + "\n";
  }

  std::string make_subcommand(const CLI::App* command) const override {
    return entry(command->get_name(), command->get_description());
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string name = make_option_name(option, is_positional) + make_option_opts(option);
    name.erase(name.find_last_not_of(' ') + 1);
    return entry(name, make_option_desc(option));
  }

  /// One command in --help-all: a heading with its arguments, what it does, and what can be said to it.
  std::string make_expanded(const CLI::App* command) const override {
    std::string heading = "cow " + command->get_name(), entries;
    for (const CLI::Option* option : command->get_options()) {
      if (option->get_positional()) {
        heading += option->get_required() ? " " + option->get_name(true) : " [" + option->get_name(true) + "]";
      }
      if (!option->check_lname("help") && !option->check_lname("help-all")) {
        entries += make_option(option, option->get_positional());
      }
    }
    return "\n" + heading + ":\n" + "  " + wrapped(command->get_description(), 2, 2, kWidth) + "\n\n" + entries;
  }

 private:
  static constexpr std::size_t kWidth = 79, kColumn = 22;

  static std::string entry(const std::string& name, const std::string& description) {
    std::string line = "  " + name;
    // Two blanks at least, or help2man does not see where the name ends.
    line.append(line.size() + 2 <= kColumn ? kColumn - line.size() : 2, ' ');
    return line + wrapped(description, line.size(), kColumn, kWidth) + "\n";
  }
};

inline constexpr const char* kFooter =
    R"(What STORE, OID, TID and TIME are:
  STORE               the directory of a RocksDbStore. All commands but
                      import, pack, undo and backup only read it, also while a
                      program has it open, and see it as it was when they began.
                      Or a store in PostgreSQL: postgres://USER@HOST/DATABASE as
                      libpq takes it, with ?schema=NAME (default: cow) and
                      &pooler=transaction; nobody is locked out by any command
  OID                 the number of an object, or a name in the root
  TID                 the number of a transaction
  TIME                like 2026-01-31, 2026-01-31T23:59 or
                      2026-01-31T23:59:59.5+01:00, in UTC without an offset;
                      it means the last transaction by then

Exit code:
  0                   done
  1                   it failed
  2                   bad usage
  3                   there is no such store, object, name or transaction
  4                   a part of the store is damaged or cannot be read: standard
                      error says which; the rest was done
  5                   another program has the store open (import, pack,
                      undo, backup)
  6                   not on this store: backup and pack --collect-garbage of
                      one in PostgreSQL; or the program has no PostgresStore)";

}  // namespace cow::tool
