// What the programs here share: relacy, which runs a protocol in many interleavings and lets each load return any value that
// the C++ memory model allows, and a count of what it found.
//
// Include it first: relacy makes macros of the memory orders' names, so the standard library must be complete by then.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <ostream>

#include <relacy/relacy.hpp>

// relacy turns `std::memory_order_relaxed` into `std::mo_relaxed, <where>`.
namespace std {
using rl::atomic_signal_fence;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;
}  // namespace std

namespace checking {

/// Runs protocols, each as it should be or broken on purpose, and counts who behaved as expected.
class Checker {
 public:
  /// REQUIRES: `Test` is an rl::test_suite.
  template <class Test>
  void right(const char* name) {
    check<Test>(name, false);
  }
  template <class Test>
  void broken(const char* name) {
    check<Test>(name, true);
  }

  /// Prints the summary; the program's exit code.
  int finish() const {
    std::cout << passed_ << " passed, " << failed_ << " failed\n";
    return failed_ == 0 ? 0 : 1;
  }

 private:
  template <class Test>
  void check(const char* name, bool broken) {
    std::ostream nowhere(nullptr);  // a stream with memory of its own would meet relacy's operator new
    Search search = Search::at_random;
    rl::test_params result = run<Test>(nowhere, search);
    // relacy's random numbers leave out whole families of interleavings: so all of those with few switches as well.
    if (result.test_result == rl::test_result_success) {
      search = Search::few_switches;
      result = run<Test>(nowhere, search);
    }
    bool caught = result.test_result != rl::test_result_success;
    ++(caught == broken ? passed_ : failed_);
    std::cout << (caught == broken ? "ok     " : "FAILED ") << name << ": " << rl::test_result_str(result.test_result)
              << " after " << result.stop_iteration << " executions" << std::endl;
    if (caught && !broken) run<Test>(std::cout, search);  // again, with the history of what happened
  }

  enum class Search { at_random, few_switches };

  template <class Test>
  static rl::test_params run(std::ostream& report, Search search) {
    rl::test_params params;
    if (search == Search::at_random) {
      params.iteration_count = kIterations;
    } else {
      params.search_type = rl::fair_context_bound_scheduler_type;
      params.context_bound = kSwitches;
    }
    params.output_stream = &report;
    params.progress_stream = &report;
    rl::simulate<Test>(params);
    return params;
  }

  static constexpr rl::iteration_t kIterations = 200'000;
  static constexpr unsigned kSwitches = 3;
  int passed_ = 0, failed_ = 0;
};

}  // namespace checking
