// What the store keeps about each transaction, linked into a chain.
//
//   predecessor tid (8) | checksum of the predecessor's entry (8) | time of the commit, us since 1970 (8) |
//   per object: oid (8), checksum of its record (4) | checksum of all this (8)
//
// Thread safety: plain values; a writer belongs to one thread at a time.
//
// Invariants:
//  1. Each entry names its predecessor and the predecessor's checksum, and the checksum of each record it wrote. So the
//     last entry vouches for the whole history: nothing in it can be lost or altered without breaking a link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/types.hpp"
#include "encoding.hpp"

namespace cow::detail {

/// The last link of the chain. `{0, 0}`: no transaction yet.
struct ChainEnd {
  Tid tid;
  std::uint64_t checksum = 0;

  friend bool operator==(const ChainEnd&, const ChainEnd&) = default;
};

/// One decoded entry.
struct TransactionRecord {
  struct Object {
    Oid oid;
    std::uint32_t checksum;
  };

  ChainEnd predecessor;
  std::uint64_t committed_at_us = 0;
  std::vector<Object> objects;
  std::uint64_t checksum = 0;

  static constexpr std::size_t kHeadSize = 24;
  static constexpr std::size_t kObjectSize = 12;
  static constexpr std::size_t kTailSize = 8;

  /// Decodes the entry of `tid`; nothing if the bytes are not what was written.
  static std::optional<TransactionRecord> decode(Tid tid, std::string_view bytes) {
    if (bytes.size() < kHeadSize + kTailSize) return std::nullopt;
    const std::string_view body = bytes.substr(0, bytes.size() - kTailSize);
    if ((body.size() - kHeadSize) % kObjectSize != 0) return std::nullopt;
    TransactionRecord record;
    record.checksum = fetch_int<std::uint64_t>(bytes.data() + body.size());
    if (record.checksum != hash_bytes(body, tid.value)) return std::nullopt;
    record.predecessor = {Tid{fetch_int<std::uint64_t>(body.data())}, fetch_int<std::uint64_t>(body.data() + 8)};
    record.committed_at_us = fetch_int<std::uint64_t>(body.data() + 16);
    record.objects.reserve((body.size() - kHeadSize) / kObjectSize);
    for (std::size_t at = kHeadSize; at < body.size(); at += kObjectSize) {
      record.objects.push_back(
          {Oid{fetch_int<std::uint64_t>(body.data() + at)}, fetch_int<std::uint32_t>(body.data() + at + 8)});
    }
    return record;
  }
};

/// Encodes entries into memory that is reused from one to the next.
class TransactionRecordWriter {
 public:
  /// Starts the entry of a transaction with `objects` objects.
  void begin(const ChainEnd& predecessor, std::uint64_t committed_at_us, std::size_t objects) {
    bytes_.resize(TransactionRecord::kHeadSize + objects * TransactionRecord::kObjectSize +
                  TransactionRecord::kTailSize);
    store_int(bytes_.data(), predecessor.tid.value);
    store_int(bytes_.data() + 8, predecessor.checksum);
    store_int(bytes_.data() + 16, committed_at_us);
    next_ = bytes_.data() + TransactionRecord::kHeadSize;
  }

  /// Adds the next object. REQUIRES: called exactly as often as `begin` announced.
  void add(Oid oid, std::uint32_t checksum) noexcept {
    store_int(next_, oid.value);
    store_int(next_ + 8, checksum);
    next_ += TransactionRecord::kObjectSize;
  }

  /// Completes the entry of `tid` and returns the new end of the chain; `bytes()` is what to store.
  ChainEnd finish(Tid tid) noexcept {
    const std::uint64_t checksum = hash_bytes({bytes_.data(), bytes_.size() - TransactionRecord::kTailSize}, tid.value);
    store_int(next_, checksum);
    return {tid, checksum};
  }

  std::string_view bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
  char* next_ = nullptr;
};

}  // namespace cow::detail
