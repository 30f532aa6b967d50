// What a packed store keeps about its pack, in its metadata: how far it goes, and what it has left.
//
//   oldest tid (8) | the last transaction up to it: tid (8), checksum of its entry (8) | revisions that are left up to it: how
//   many (8), sum of their digests (8) | complete (8) | loose tid (8) | checksum of all this (8)
//
// The chain of transactions vouches for what lies above the oldest tid. It begins at `base`: the entries before that one are gone, and
// what it has written need not be there any more. For what lies below, the mark vouches ([base-is-counted]).
//
// Thread safety: plain values and pure functions.
//
// Invariants:
//  1. [base-is-counted] `kept` is the digest of all revisions up to `oldest`, at any time: whatever drops one changes the mark in the
//     same batch. So a store that was killed in the midst of a pack can be verified like any other. Up to `loose` it counts the newest
//     revision of each object only: those that it supersedes are there, or not, as far as files were rewritten without them. So it
//     goes after them (packer.hpp, [counted-goes-last]).
//  2. `oldest` never decreases. A store without a mark was never packed: the default value says so.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "cow_cache/errors.hpp"
#include "cow_cache/types.hpp"
#include "encoding.hpp"
#include "rocksdb_handle.hpp"
#include "rocksdb_status.hpp"
#include "transaction_record.hpp"

namespace cow::detail {

inline constexpr std::string_view kPackKey = "pack";

/// A number of revisions, and a sum over them that no order changes.
struct RevisionDigest {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;

  void add(Oid oid, Tid tid, std::uint32_t checksum) noexcept {
    ++count;
    sum += of(oid, tid, checksum);
  }
  void remove(const RevisionDigest& others) noexcept {
    count -= others.count;
    sum -= others.sum;
  }

  friend bool operator==(const RevisionDigest&, const RevisionDigest&) = default;

 private:
  static std::uint64_t of(Oid oid, Tid tid, std::uint32_t checksum) noexcept {
    std::array<char, 20> bytes;
    store_int(bytes.data(), oid.value);
    store_int(bytes.data() + 8, tid.value);
    store_int(bytes.data() + 16, checksum);
    return hash_bytes({bytes.data(), bytes.size()}, 0);
  }
};

/// Which revisions a mark counts, asked of all of them in the order of their keys.
class CountedRevisions {
 public:
  CountedRevisions(Tid oldest, Tid loose) noexcept : oldest_(oldest), loose_(loose) {}

  bool counts(Oid oid, Tid tid) noexcept {
    if (tid > oldest_) return false;
    if (tid > loose_) return true;
    const bool is_newest = !any_ || oid != oid_;
    any_ = true;
    oid_ = oid;
    return is_newest;
  }

 private:
  const Tid oldest_, loose_;
  bool any_ = false;
  Oid oid_;  // the last one of which a revision up to `loose_` was met
};

struct PackMark {
  Tid oldest;            ///< the oldest snapshot that can be loaded
  ChainEnd base;         ///< the last transaction up to `oldest`; `{0, 0}`: there is none
  RevisionDigest kept;   ///< of all revisions up to `oldest`
  Tid loose;             ///< up to here only the newest revision of each object is counted
  bool complete = true;  ///< false: a pack is going on, or was interrupted

  static constexpr std::size_t kSize = 64;

  std::string encode() const {
    std::string bytes(kSize, '\0');
    char* next = bytes.data();
    for (const std::uint64_t value : {oldest.value, base.tid.value, base.checksum, kept.count, kept.sum,
                                      static_cast<std::uint64_t>(complete), loose.value, std::uint64_t{}}) {
      store_int(next, value);
      next += 8;
    }
    store_int(bytes.data() + kSize - 8, hash_bytes({bytes.data(), kSize - 8}, 0));
    return bytes;
  }

  /// Nothing, if `bytes` are not what was written.
  static std::optional<PackMark> decode(std::string_view bytes) noexcept {
    if (bytes.size() != kSize) return std::nullopt;
    const auto value = [&](std::size_t i) { return fetch_int<std::uint64_t>(bytes.data() + 8 * i); };
    if (value(7) != hash_bytes(bytes.substr(0, kSize - 8), 0) || value(5) > 1) return std::nullopt;
    return PackMark{Tid{value(0)}, {Tid{value(1)}, value(2)}, {value(3), value(4)}, Tid{value(6)}, value(5) == 1};
  }

  friend bool operator==(const PackMark&, const PackMark&) = default;
};

/// The mark of a store; nothing if it was never packed. Throws StoreCorruptError if it is damaged, StoreError.
inline std::optional<PackMark> read_pack_mark(const std::filesystem::path& path, const RocksDbHandle& handle,
                                              const rocksdb::ReadOptions& read = {}) {
  std::string bytes;
  const rocksdb::Status status = handle->Get(read, handle.metadata(), to_slice(kPackKey), &bytes);
  if (status.IsNotFound()) return std::nullopt;
  require_ok(path, "read the pack's mark", status);
  std::optional<PackMark> mark = PackMark::decode(bytes);
  if (!mark) throw StoreCorruptError(store_message(path, "read the pack's mark", "it is damaged"));
  return mark;
}

}  // namespace cow::detail
