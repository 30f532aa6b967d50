// How much a store's directory holds, as it is weighed everywhere: by `cow info`, by a backup, by measurements.
//
// Thread safety: a function that looks at the file system. A program may have the store open meanwhile.
#pragma once

#include "cow_cache/version.hpp"

#include <cstdint>
#include <filesystem>
#include <system_error>

namespace cow {

struct DirectorySize {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t log_bytes = 0;  ///< of them, of logs
};

/// Of the files in a directory, but not in folders in it. A file that is removed meanwhile counts as none, and so does a directory that cannot be read.
inline DirectorySize directory_size(const std::filesystem::path& directory) {
  DirectorySize size;
  std::error_code failure;
  for (std::filesystem::directory_iterator it(directory, failure), end; !failure && it != end; it.increment(failure)) {
    std::error_code gone;
    const std::uint64_t bytes = it->file_size(gone);
    if (gone) continue;
    ++size.files;
    size.bytes += bytes;
    if (it->path().extension() == ".log") size.log_bytes += bytes;
  }
  return size;
}

}  // namespace cow
