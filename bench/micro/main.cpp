#include <benchmark/benchmark.h>

#include "bench/support/paired.hpp"

int main(int argc, char** argv) {
  cow::bench::start_a_thread_once();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
