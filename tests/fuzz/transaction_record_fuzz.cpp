// Arbitrary bytes as the entry of a transaction: decoded or refused, and what was decoded is written the same way again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "persistence/detail/transaction_record.hpp"

namespace {

using namespace cow;
using namespace cow::detail;

// The entry that `record` is written as.
std::string written(Tid tid, const TransactionRecord& record) {
  TransactionRecordWriter writer;
  writer.begin(record.predecessor, record.committed_at_us, record.objects.size(), &record.note);
  for (const TransactionRecord::Object& object : record.objects) writer.add(object.oid, object.checksum);
  const ChainEnd end = writer.finish(tid);
  if (end != ChainEnd{tid, record.checksum}) std::abort();
  return std::string(writer.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) return 0;
  const Tid tid{fetch_int<std::uint64_t>(reinterpret_cast<const char*>(data))};
  std::string bytes(reinterpret_cast<const char*>(data) + 8, size - 8);
  if (const auto record = TransactionRecord::decode(tid, bytes); record && written(tid, *record) != bytes) std::abort();

  // The same with a right checksum, which a fuzzer hardly ever guesses: what has the right length is an entry, unless it says that it
  // has a note.
  if (bytes.size() < TransactionRecord::kTailSize) return 0;
  const std::size_t body = bytes.size() - TransactionRecord::kTailSize;
  store_int(bytes.data() + body, hash_bytes({bytes.data(), body}, tid.value));
  const bool has_head = body >= TransactionRecord::kHeadSize;
  const bool has_note = has_head && (fetch_int<std::uint64_t>(bytes.data() + 16) & TransactionRecord::kHasNote) != 0;
  const bool fits = has_head && (body - TransactionRecord::kHeadSize) % TransactionRecord::kObjectSize == 0;
  const auto record = TransactionRecord::decode(tid, bytes);
  if (!has_note && record.has_value() != fits) std::abort();
  if (record && record->note.empty() == has_note) std::abort();
  if (record && written(tid, *record) != bytes) std::abort();
  // Of another transaction it is none.
  if (record && TransactionRecord::decode(Tid{tid.value + 1}, bytes)) std::abort();
  return 0;
}
