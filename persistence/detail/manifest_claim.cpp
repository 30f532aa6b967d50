#include "manifest_claim.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "file_descriptor.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {
namespace {

constexpr std::string_view kPrefix = "MANIFEST-";

[[noreturn]] void throw_system(const std::filesystem::path& directory, const std::string& file) {
  throw StoreError(store_message(directory, "read " + file, std::generic_category().message(errno)));
}

std::string manifest_name(std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return std::string(kPrefix) + digits;
}

/// The number of the MANIFEST that CURRENT names, or nothing if it names none.
std::optional<std::uint64_t> current_manifest(const std::filesystem::path& directory) {
  std::ifstream in(directory / "CURRENT", std::ios::binary);
  std::string name((std::istreambuf_iterator<char>(in)), {});
  if (!name.starts_with(kPrefix) || !name.ends_with('\n')) return std::nullopt;
  name.pop_back();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number == 0) return std::nullopt;
  return number;
}

/// The hash of the first `size` bytes, or nothing if there are fewer.
std::optional<std::uint64_t> hash_of_beginning(int fd, std::uint64_t size, const std::filesystem::path& directory,
                                               const std::string& name) {
  const std::unique_ptr<XXH3_state_t, void (*)(XXH3_state_t*)> hash(XXH3_createState(),
                                                                    [](XXH3_state_t* state) { XXH3_freeState(state); });
  XXH3_64bits_reset(hash.get());
  std::vector<char> buffer(std::size_t{1} << 16);
  for (std::uint64_t at = 0; at < size;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size - at);
    const ssize_t count = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system(directory, name);
    if (count == 0) return std::nullopt;
    XXH3_64bits_update(hash.get(), buffer.data(), static_cast<std::size_t>(count));
    at += static_cast<std::uint64_t>(count);
  }
  return XXH3_64bits_digest(hash.get());
}

}  // namespace

ManifestClaim claim_manifest(const std::filesystem::path& directory) {
  const std::optional<std::uint64_t> number = current_manifest(directory);
  if (!number) throw StoreError(store_message(directory, "read CURRENT", "it names no MANIFEST"));
  const std::string name = manifest_name(*number);
  const FileDescriptor file(directory / name, O_RDONLY);
  struct stat status = {};
  // What was written by now is synced here; what RocksDB adds meanwhile is not claimed.
  if (!file || ::fstat(file.get(), &status) != 0 || ::fdatasync(file.get()) != 0) throw_system(directory, name);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  const std::optional<std::uint64_t> hash = hash_of_beginning(file.get(), size, directory, name);
  if (!hash) throw StoreError(store_message(directory, "read " + name, "it has become shorter"));
  return {*number, size, *hash};
}

std::string contradiction_of_manifest(const std::filesystem::path& directory, const ManifestClaim& claim, bool whole) {
  if (claim.number == 0) return {};
  const std::string name = manifest_name(claim.number);
  const std::optional<std::uint64_t> current = current_manifest(directory);
  if (!current) return "CURRENT names no MANIFEST; it named " + name;
  if (*current > claim.number && !whole) return {};
  if (*current != claim.number) return "CURRENT names " + manifest_name(*current) + ", not " + name;
  const FileDescriptor file(directory / name, O_RDONLY);
  if (!file && errno == ENOENT) return name + " is missing";
  struct stat status = {};
  if (!file || ::fstat(file.get(), &status) != 0) throw_system(directory, name);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < claim.size || (whole && size > claim.size)) {
    return name + " has " + std::to_string(size) + " bytes, not " + std::to_string(claim.size);
  }
  if (hash_of_beginning(file.get(), claim.size, directory, name) != claim.hash) return name + " is damaged";
  return {};
}

}  // namespace cow::detail
