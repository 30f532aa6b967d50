// HistoryStore for RocksDbStore: pages of the chain of transactions, and of an object's revisions.
//
// Thread safety: every function may be called from any number of threads at once, while commits go on.
//
// Invariants:
//  1. [no-silent-gap] RocksDB's Next and Prev go on without a file that they cannot open, Seek reports it. So each revision is sought,
//     and each transaction must be named as the predecessor of the next one; what is missing is an error, never a shorter page.
//  2. Nothing above `last` is shown: it may be in RocksDB already, but its commit has not returned.
#pragma once

#include <rocksdb/db.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "cow_cache/store/history.hpp"
#include "cow_cache/types.hpp"
#include "rocksdb_handle.hpp"
#include "transaction_record.hpp"

namespace cow::detail {

class HistoryReader {
 public:
  /// `oldest`: entries up to this tid may be gone, after a pack. It rises before they go, so it is asked after they were looked for.
  HistoryReader(const std::filesystem::path& path, const RocksDbHandle& handle,
                const std::atomic<std::uint64_t>& oldest) noexcept
      : path_(path), handle_(handle), oldest_(oldest) {}

  // See HistoryStore. `last`: the tid of a commit that has returned.
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most, Tid last) const;
  std::vector<RevisionInfo> revisions(Oid oid, Tid newest, std::size_t most, Tid last) const;
  Tid tid_at(CommitTime time, Tid last) const;

 private:
  // A page ends early rather than list more objects than this.
  static constexpr std::size_t kMaxObjects = std::size_t{1} << 16;

  std::unique_ptr<rocksdb::Iterator> iterate_transactions() const;
  TransactionRecord record_at(const rocksdb::Iterator& it, Tid& tid) const;
  TransactionRecord decode(Tid tid, std::string_view entry) const;  // throws StoreCorruptError
  Tid newer_than(rocksdb::Iterator& revisions, Oid oid, Tid tid, Tid last) const;
  bool may_be_gone(Tid tid) const noexcept { return tid.value <= oldest_.load(std::memory_order_acquire); }
  void describe(RevisionInfo& revision) const;
  [[noreturn]] void refuse_gap(Tid lost, Tid successor) const;

  const std::filesystem::path& path_;
  const RocksDbHandle& handle_;
  const std::atomic<std::uint64_t>& oldest_;
};

}  // namespace cow::detail
