// cow: looks into a store, moves objects from one to another, and keeps one in order.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <clocale>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include <fmt/core.h>

#include "cow_cache/version.hpp"
#include "help.hpp"
#include "session.hpp"

namespace cow::tool {
namespace {

int complain(ExitCode code, const std::string& why) {
  say(why);
  return code;
}

/// The output that was lost, to a full disk for one, is a failure like any other.
int ended(const Session& session) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return complain(kFailed, "cannot write to standard output");
  return session.damaged ? kDamaged : kDone;
}

int run_command(const Session& session) {
  try {
    session.run();
    return ended(session);
  } catch (const Refusal& refusal) {
    std::fflush(stdout);
    if (refusal.code == kNotThere && session.damaged) {
      return complain(kDamaged, std::string(refusal.what()) + ", as far as the store can be read");
    }
    return complain(refusal.code, refusal.what());
  } catch (const StoreMissingError& error) {
    return complain(kNotThere, error.what());
  } catch (const StoreFormatError& error) {
    return complain(kNotThere, error.what());
  } catch (const SnapshotTooOldError& error) {
    return complain(kNotThere, error.what());
  } catch (const UnknownTransactionError& error) {
    return complain(kNotThere, error.what());
  } catch (const MissingCapabilityError& error) {
    return complain(kNotOnThisStore, error.what());
  } catch (const StoreLockedError& error) {
    return complain(kLocked, error.what());
  } catch (const StoreCorruptError& error) {
    return complain(kDamaged, error.what());
  } catch (const CorruptRecordError& error) {
    return complain(kDamaged, error.what());
  } catch (const std::bad_alloc&) {
    return complain(kFailed, "there is not enough memory");
  } catch (const std::exception& error) {
    return complain(kFailed, error.what());
  }
}

int main_of(int argc, char** argv) {
  // For the widths of characters; texts in a store are UTF-8 whatever the terminal's user has set.
  if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
  // A large store has more files than the 1,024 that a process may usually have open.
  rlimit files = {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &files));
  }
  Session session;
  CLI::App app("Looks into a store of cow_cache: what objects it has, what they refer to, and how they have changed.");
  app.name("cow");
  app.formatter(std::make_shared<Help>());
  app.footer(kFooter);
  app.set_version_flag("--version", "cow " COW_CACHE_VERSION_STRING, "say the version");
  app.set_help_flag("-h,--help", "show this");
  app.set_help_all_flag("--help-all", "show the options of all commands, too");
  app.require_subcommand(1);
  add_info(app, session);
  add_types(app, session);
  add_ls(app, session);
  add_show(app, session);
  add_refs(app, session);
  add_history(app, session);
  add_log(app, session);
  add_diff(app, session);
  add_verify(app, session);
  add_export(app, session);
  add_import(app, session);
  add_pack(app, session);
  add_undo(app, session);
  add_backup(app, session);
  add_serve(app, session);
  add_completion(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kBadUsage;
  }
  return run_command(session);
}

}  // namespace
}  // namespace cow::tool

int main(int argc, char** argv) { return cow::tool::main_of(argc, argv); }
