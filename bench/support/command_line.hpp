// The frame of a program: parses its command line, runs it, and says by the exit code how that ended.
//
// Thread safety: for `main`.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <utility>

#include "usage_error.hpp"

namespace cow::bench {

/// Returns the exit code: 0 done (or help was asked for), 1 failed, 2 bad usage. Why goes to standard error.
template <class Run>
int run_program(CLI::App& app, int argc, char** argv, Run&& run) {
  auto complain = [&](const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", std::filesystem::path(argv[0]).filename().c_str(), error.what());
  };
  try {
    app.parse(argc, argv);
    std::forward<Run>(run)();
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const UsageError& error) {
    complain(error);
    return 2;
  } catch (const std::exception& error) {
    complain(error);
    return 1;
  }
}

}  // namespace cow::bench
