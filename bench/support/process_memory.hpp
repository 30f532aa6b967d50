// How much memory this process uses, as Linux counts it.
//
// Thread safety: plain functions.
#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

/// jemalloc's, if it is linked in.
extern "C" int mallctl(const char*, void*, std::size_t*, void*, std::size_t) __attribute__((weak));

namespace cow::bench {

/// Asks the allocator to return what the program has freed, so that it is neither counted nor to be had for nothing by
/// what is measured next. What other threads' caches of the allocator hold stays.
inline void give_back_freed_memory() {
  if (mallctl != nullptr) {
    (void)mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    (void)mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: all arenas (MALLCTL_ARENAS_ALL)
  } else {
    ::malloc_trim(0);
  }
}

/// What the allocator has resident, in bytes, by its own account; 0 without jemalloc.
inline std::uint64_t allocator_resident_bytes() {
  if (mallctl == nullptr) return 0;
  std::uint64_t epoch = 1;  // refreshes the figures
  (void)mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
  std::size_t resident = 0, size = sizeof resident;
  return mallctl("stats.resident", &resident, &size, nullptr, 0) == 0 ? resident : 0;
}

/// Of /proc/self/smaps_rollup, in bytes.
struct ProcessMemory {
  std::uint64_t rss = 0;  ///< resident: what counts against a machine
  std::uint64_t pss =
      0;  ///< of that, each page by the number of processes that have it: what sums of processes are made of
  std::uint64_t uss = 0;        ///< of that, what no other process shares: what ending this one gives back
  std::uint64_t anonymous = 0;  ///< of that, what is no file: heap, stacks, caches
};

/// Now. Throws std::runtime_error where there is no /proc.
inline ProcessMemory process_memory() {
  ProcessMemory memory;
  if (std::ifstream rollup("/proc/self/smaps_rollup"); rollup) {
    std::string line;
    while (std::getline(rollup, line)) {
      std::istringstream fields(line);
      std::string name;
      std::uint64_t kilobytes = 0;
      if (!(fields >> name >> kilobytes)) continue;
      if (name == "Pss:") memory.pss = kilobytes * 1024;
      if (name == "Rss:") memory.rss = kilobytes * 1024;
      if (name == "Private_Clean:" || name == "Private_Dirty:") memory.uss += kilobytes * 1024;
      if (name == "Anonymous:") memory.anonymous = kilobytes * 1024;
    }
    if (memory.rss > 0) return memory;
  }
  std::ifstream statm("/proc/self/statm");  // kernels before 4.14, and sandboxes without smaps
  std::uint64_t size = 0, resident = 0, shared = 0;
  if (!(statm >> size >> resident >> shared)) throw std::runtime_error("cannot read /proc/self/statm");
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return {resident * page, resident * page, (resident - shared) * page, (resident - shared) * page};
}

}  // namespace cow::bench
