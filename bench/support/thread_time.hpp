// The processor time of a thread: what another process takes of the processor meanwhile is no part of it, and neither is what
// the thread waits for.
//
// Thread safety: plain functions; each thread has a clock of its own.
#pragma once

#include <time.h>

#include <cerrno>
#include <system_error>

namespace cow::bench {

/// Processor time of this thread so far, in seconds. Reading that clock is a system call, for samples of milliseconds only. Throws
/// std::system_error.
inline double processor_seconds_now() {
  timespec time{};
  if (::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0) throw std::system_error(errno, std::generic_category());
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Processor time that `work()` takes in this thread. Throws as well.
template <class Work>
double processor_seconds_of(Work&& work) {
  double start = processor_seconds_now();
  work();
  return processor_seconds_now() - start;
}

}  // namespace cow::bench
