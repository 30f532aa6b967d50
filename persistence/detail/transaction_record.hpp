// What the store keeps about each transaction, linked into a chain.
//
//   predecessor tid (8) | checksum of the predecessor's entry (8) | time of the commit, us since 1970 (8) |
//   per object: oid (8), checksum of its record (4) | checksum of all this (8)
//
// The highest bit of the time says that there is a note: then `note (note_record.hpp) | its length (4)` comes before the last checksum.
// Format versions 1 and 2 have none; so all that they have written is read as it was, and written the same way.
//
// Thread safety: plain values; a writer belongs to one thread at a time.
//
// Invariants:
//  1. Each entry names its predecessor and the predecessor's checksum, and the checksum of each record it wrote. So the
//     last entry vouches for the whole history: nothing in it can be lost or altered without breaking a link.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/types.hpp"
#include "encoding.hpp"
#include "note_record.hpp"

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
  std::uint64_t committed_at_us = 0;  ///< below 2^63
  std::vector<Object> objects;
  TransactionNote note;
  std::uint64_t checksum = 0;

  static constexpr std::size_t kHeadSize = 24;
  static constexpr std::size_t kObjectSize = 12;
  static constexpr std::size_t kTailSize = 8;
  static constexpr std::size_t kNoteLengthSize = 4;
  static constexpr std::uint64_t kHasNote = std::uint64_t{1} << 63;

  /// Decodes the entry of `tid`; nothing if the bytes are not what was written.
  static std::optional<TransactionRecord> decode(Tid tid, std::string_view bytes) {
    if (bytes.size() < kHeadSize + kTailSize) return std::nullopt;
    const std::string_view body = bytes.substr(0, bytes.size() - kTailSize);
    TransactionRecord record;
    const auto time = fetch_int<std::uint64_t>(body.data() + 16);
    std::size_t end = body.size();  // of the objects
    std::string_view note;
    if ((time & kHasNote) != 0) {
      if (end < kHeadSize + kNoteLengthSize) return std::nullopt;
      end -= kNoteLengthSize;
      const auto length = fetch_int<std::uint32_t>(body.data() + end);
      if (length > end - kHeadSize) return std::nullopt;
      end -= length;
      note = body.substr(end, length);
    }
    if ((end - kHeadSize) % kObjectSize != 0) return std::nullopt;
    record.checksum = fetch_int<std::uint64_t>(bytes.data() + body.size());
    if (record.checksum != hash_bytes(body, tid.value)) return std::nullopt;
    if ((time & kHasNote) != 0) {
      std::optional<TransactionNote> decoded = decode_note(note);
      if (!decoded) return std::nullopt;
      record.note = *std::move(decoded);
    }
    record.predecessor = {Tid{fetch_int<std::uint64_t>(body.data())}, fetch_int<std::uint64_t>(body.data() + 8)};
    record.committed_at_us = time & ~kHasNote;
    record.objects.reserve((end - kHeadSize) / kObjectSize);
    for (std::size_t at = kHeadSize; at < end; at += kObjectSize) {
      record.objects.push_back(
          {Oid{fetch_int<std::uint64_t>(body.data() + at)}, fetch_int<std::uint32_t>(body.data() + at + 8)});
    }
    return record;
  }
};

/// Encodes entries into memory that is reused from one to the next.
class TransactionRecordWriter {
 public:
  /// Starts the entry of a transaction with `objects` objects. `note`: null or empty, if it has none.
  void begin(const ChainEnd& predecessor, std::uint64_t committed_at_us, std::size_t objects,
             const TransactionNote* note = nullptr) {
    note_.clear();
    if (note != nullptr && !note->empty()) note_ = encode_note(*note);
    const std::size_t note_size = note_.empty() ? 0 : note_.size() + TransactionRecord::kNoteLengthSize;
    bytes_.resize(TransactionRecord::kHeadSize + objects * TransactionRecord::kObjectSize + note_size +
                  TransactionRecord::kTailSize);
    store_int(bytes_.data(), predecessor.tid.value);
    store_int(bytes_.data() + 8, predecessor.checksum);
    store_int(bytes_.data() + 16, note_.empty() ? committed_at_us : committed_at_us | TransactionRecord::kHasNote);
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
    if (!note_.empty()) {
      std::memcpy(next_, note_.data(), note_.size());
      store_int(next_ + note_.size(), static_cast<std::uint32_t>(note_.size()));
      next_ += note_.size() + TransactionRecord::kNoteLengthSize;
    }
    const std::uint64_t checksum = hash_bytes({bytes_.data(), bytes_.size() - TransactionRecord::kTailSize}, tid.value);
    store_int(next_, checksum);
    return {tid, checksum};
  }

  std::string_view bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_, note_;
  char* next_ = nullptr;
};

}  // namespace cow::detail
