// File descriptors: how many this process may have, and has.
//
// Thread safety: all functions may be called from any thread; the limit is one for the whole process.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <system_error>

namespace cow::bench {

/// The soft limit. Throws std::system_error.
inline std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::system_error(errno, std::generic_category(), "getrlimit");
  return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 1u << 30));  // "infinity" too
}

/// Raises the soft limit to the hard one, which needs no rights, and returns it. Throws std::system_error.
inline std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::system_error(errno, std::generic_category(), "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);  // where it is refused, the old limit holds
  return descriptor_limit();
}

/// How many are open now. Throws std::filesystem::filesystem_error if none is free to ask with.
inline std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count > 0 ? count - 1 : 0;  // one was the directory's own
}

}  // namespace cow::bench
