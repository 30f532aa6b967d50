// Where WordNet's files are on this machine.
//
// Thread safety: plain functions.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cow::bench::wordnet {

/// WordNet's files are nowhere to be found.
class NotInstalledError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

/// The folder of data.noun according to dpkg; empty if dpkg does not know.
inline std::filesystem::path directory_from_dpkg() {
  struct Close {
    void operator()(std::FILE* pipe) const { ::pclose(pipe); }
  };
  std::unique_ptr<std::FILE, Close> pipe(::popen("dpkg -L wordnet-base 2>/dev/null", "r"));
  if (!pipe) return {};
  char line[4096];
  while (std::fgets(line, sizeof line, pipe.get()) != nullptr) {
    std::string_view path(line);
    if (path.ends_with('\n')) path.remove_suffix(1);
    if (path.ends_with("/data.noun")) return std::filesystem::path(path).parent_path();
  }
  return {};
}

}  // namespace detail

/// `wished` if not empty; else where dpkg has put the package wordnet-base; else /usr/share/wordnet.
/// Throws NotInstalledError if there is no data.noun.
inline std::filesystem::path locate(const std::filesystem::path& wished = {}) {
  std::filesystem::path directory = wished;
  if (directory.empty()) directory = detail::directory_from_dpkg();
  if (directory.empty()) directory = "/usr/share/wordnet";
  if (!std::filesystem::exists(directory / "data.noun")) {
    throw NotInstalledError("no WordNet in " + directory.string() +
                            ": install Debian's package wordnet-base, or name the folder");
  }
  return directory;
}

}  // namespace cow::bench::wordnet
