#include <benchmark/benchmark.h>

#include "bench/support/paired.hpp"

int main(int argc, char** argv) {
  cow::bench::start_a_thread_once();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  // A filter that matches nothing, or is no regular expression, has been complained of by then.
  const bool is_any = benchmark::RunSpecifiedBenchmarks() > 0;
  benchmark::Shutdown();
  return is_any ? 0 : 2;
}
