// Arbitrary bytes in the blocks of a witness: a record that was written like this, or none; and the newest one counts.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "persistence/detail/witness_record.hpp"

namespace {

using namespace cow::detail;

std::uint64_t check_block(const std::string& file, std::size_t block) {
  const std::optional<WitnessRecord> record = record_in_block(file, block);
  if (!record) return 0;
  if (file.compare(block * kWitnessBlock, WitnessRecord::kSize, record->encode()) != 0) std::abort();
  return record->sequence;
}

void check(const std::string& file) {
  std::uint64_t highest = 0;
  bool any = false;
  for (std::size_t block = 0; block < kWitnessBlocks; ++block) {
    highest = std::max(highest, check_block(file, block));
    any = any || record_in_block(file, block);
  }
  const std::optional<WitnessRecord> newest = newest_record(file);
  if (newest.has_value() != any || (newest && newest->sequence != highest)) std::abort();
}

// Gives the block a right checksum, which a fuzzer hardly ever guesses.
void seal(std::string& file, std::size_t block) {
  char* begin = file.data() + block * kWitnessBlock;
  std::memcpy(begin, WitnessRecord::kMagic.data(), WitnessRecord::kMagic.size());
  const std::size_t body = WitnessRecord::kSize - sizeof(std::uint64_t);
  store_int(begin + body, hash_bytes({begin, body}, 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  check(raw);
  // A third of the input at the start of each block, then the same as records of some state.
  std::string file(kWitnessBlock * kWitnessBlocks, '\0');
  const std::size_t part = std::min(size / kWitnessBlocks, kWitnessBlock);
  for (std::size_t block = 0; block < kWitnessBlocks; ++block) {
    std::memcpy(file.data() + block * kWitnessBlock, data + block * part, part);
  }
  check(file);
  for (std::size_t block = 0; block < kWitnessBlocks; ++block) {
    seal(file, block);
    check(file);
    if (!raw.empty()) check(file.substr(0, file.size() * static_cast<std::uint8_t>(raw[0]) / 256));
  }
  return 0;
}
