#include "log_mark.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cow_cache/errors.hpp"
#include "encoding.hpp"
#include "store_place.hpp"

namespace cow::detail {
namespace {

constexpr std::string_view kMarkMagic(
    "\xC0\x3B\xAD"
    "cMark",
    8);
static_assert(kMarkMagic.size() + 3 * sizeof(std::uint64_t) == kLogMarkSize);

void read_marks_in(std::string_view bytes, const std::filesystem::path& log, std::uint64_t store_id,
                   LogTestimony& testimony) {
  for (std::size_t at = bytes.find(kMarkMagic); at != bytes.npos; at = bytes.find(kMarkMagic, at + 1)) {
    const std::string_view mark = bytes.substr(at, kLogMarkSize);
    if (mark.size() < kLogMarkSize) return;
    testimony.any = true;
    const std::size_t body = kLogMarkSize - sizeof(std::uint64_t);
    if (fetch_int<std::uint64_t>(mark.data() + body) != hash_bytes(mark.substr(0, body), store_id)) continue;
    const Tid synced{fetch_int<std::uint64_t>(mark.data() + kMarkMagic.size())};
    const auto oid_limit = fetch_int<std::uint64_t>(mark.data() + kMarkMagic.size() + 8);
    if (synced >= testimony.newest.synced) {
      testimony.newest.synced = synced;
      testimony.log = log;
    }
    testimony.newest.oid_limit = std::max(testimony.newest.oid_limit, oid_limit);
  }
}

void read_marks_of(const std::filesystem::path& log, std::uint64_t store_id, LogTestimony& testimony) {
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  std::ifstream in(log, std::ios::binary);
  if (!in) throw StoreError("store '" + log.parent_path().string() + "': cannot read " + log.filename().string());
  std::vector<char> buffer(kLogMarkSize - 1 + kChunk);
  std::size_t kept = 0;  // the end of the previous chunk: a mark may begin there
  while (in.read(buffer.data() + kept, kChunk) || in.gcount() > 0) {
    const std::size_t size = kept + static_cast<std::size_t>(in.gcount());
    read_marks_in({buffer.data(), size}, log, store_id, testimony);
    kept = std::min(size, kLogMarkSize - 1);
    std::memmove(buffer.data(), buffer.data() + size - kept, kept);
  }
  if (in.bad()) throw StoreError("store '" + log.parent_path().string() + "': reading " + log.filename().string());
}

}  // namespace

std::array<char, kLogMarkSize> encode_log_mark(const LogMark& mark, std::uint64_t store_id) noexcept {
  std::array<char, kLogMarkSize> bytes;
  std::memcpy(bytes.data(), kMarkMagic.data(), kMarkMagic.size());
  char* next = bytes.data() + kMarkMagic.size();
  store_int(next, mark.synced.value);
  store_int(next + 8, mark.oid_limit);
  store_int(next + 16, hash_bytes({bytes.data(), kMarkMagic.size() + 16}, store_id));
  return bytes;
}

LogTestimony read_log_marks(const std::filesystem::path& directory, std::uint64_t store_id) {
  LogTestimony testimony;
  for (const std::string& name : names_in(directory)) {
    std::error_code failure;
    const std::filesystem::path log = directory / name;
    if (log.extension() == ".log" && std::filesystem::is_regular_file(log, failure)) {
      read_marks_of(log, store_id, testimony);
    }
    if (failure) throw StoreError("store '" + directory.string() + "': " + name + ": " + failure.message());
  }
  return testimony;
}

}  // namespace cow::detail
