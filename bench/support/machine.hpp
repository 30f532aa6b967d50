// What one must know about the machine and the build to judge a measurement.
//
// Thread safety: plain functions.
#pragma once

#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "process_memory.hpp"

namespace cow::bench {

/// Time that the machine has given to this and to other things, in ticks since boot: the difference between two says how
/// quiet a measurement was. Steal is what the hypervisor gave to other virtual machines.
struct ProcessorTime {
  std::uint64_t all = 0;
  std::uint64_t idle = 0;
  std::uint64_t steal = 0;
};

inline ProcessorTime processor_time() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  std::array<std::uint64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
  stat >> cpu;
  ProcessorTime time;
  for (std::uint64_t& tick : ticks) {
    stat >> tick;
    time.all += tick;
  }
  time.idle = ticks[3] + ticks[4];
  time.steal = ticks[7];
  return time;
}

inline std::array<double, 3> load_average() {
  std::array<double, 3> load{};
  (void)::getloadavg(load.data(), 3);
  return load;
}

namespace detail {

/// The value of "key : value" in a file like /proc/cpuinfo; empty if there is none.
inline std::string value_in(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return {};
}

inline std::string first_line_of(const char* file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace detail

/// All facts as one JSON object. `git_revision` comes from COW_GIT_REVISION in the environment, which scripts set.
inline nlohmann::json machine_facts() {
  nlohmann::json facts;
  facts["cpu"] = detail::value_in("/proc/cpuinfo", "model name");
  facts["cores"] = std::thread::hardware_concurrency();
  facts["memory"] = detail::value_in("/proc/meminfo", "MemTotal");
  utsname system{};
  ::uname(&system);
  facts["kernel"] = std::string(system.sysname) + " " + system.release;
  facts["architecture"] = system.machine;
  facts["distribution"] = detail::first_line_of("/etc/debian_version");
  facts["transparent_huge_pages"] = detail::first_line_of("/sys/kernel/mm/transparent_hugepage/enabled");
  facts["frequency_governor"] = detail::first_line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  facts["compiler"] = __VERSION__;
#ifdef COW_BUILD_FLAGS
  facts["flags"] = COW_BUILD_FLAGS;
#endif
#ifdef NDEBUG
  facts["assertions"] = false;
#else
  facts["assertions"] = true;
#endif
  facts["optimised"] =
#ifdef __OPTIMIZE__
      true;
#else
      false;
#endif
  facts["allocator"] = mallctl != nullptr ? "jemalloc" : "glibc";
  const char* revision = std::getenv("COW_GIT_REVISION");
  facts["git_revision"] = revision != nullptr ? revision : "";
  facts["load_average"] = load_average();
  const ProcessorTime time = processor_time();
  facts["processor_ticks"] = {{"all", time.all}, {"idle", time.idle}, {"steal", time.steal}};
  return facts;
}

}  // namespace cow::bench
