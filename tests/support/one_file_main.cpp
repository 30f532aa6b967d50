// Main function of a program that holds the tests of several files: --file=NAME_test.cpp runs those of this file alone, as if it
// were a program of its own. Without it all run, or what --gtest_filter says.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string>
#include <string_view>

namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// A filter that chooses the suites of the file; empty if there is none. A suite is of one file, or it could not be chosen.
std::string suites_of(std::string_view file) {
  std::string filter;
  const auto& tests = *testing::UnitTest::GetInstance();
  for (int i = 0; i < tests.total_test_suite_count(); ++i) {
    const auto& suite = *tests.GetTestSuite(i);
    std::set<std::string_view> files;
    for (int j = 0; j < suite.total_test_count(); ++j) files.insert(base_name(suite.GetTestInfo(j)->file()));
    if (!files.contains(file)) continue;
    if (files.size() > 1) {
      std::cerr << "suite " << suite.name() << " has tests in " << file << " and in another file\n";
      return {};
    }
    filter += (filter.empty() ? "" : ":") + std::string(suite.name()) + ".*";
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr std::string_view kOption = "--file=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kOption)) {
      std::cerr << "unknown argument: " << argument << '\n';
      return 2;
    }
    const auto filter = suites_of(argument.substr(kOption.size()));
    if (filter.empty()) {
      std::cerr << "no tests to choose by " << argument << '\n';
      return 2;
    }
    // A filter of the user's, or that of a death test's process, chooses within the file already.
    if (GTEST_FLAG_GET(filter) == "*") GTEST_FLAG_SET(filter, filter);
  }
  return RUN_ALL_TESTS();
}
