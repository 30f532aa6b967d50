// RocksDB's environment for the stores: database files are checked when they are opened (checked_tables.hpp), and what a pack has RocksDB
// rewrite is rewritten by a thread of low priority.
//
// RocksDB executes compactions in the threads of pools, which all databases of a process share, and whose priority is that of all or none.
// It asks whether there is a pool for compactions to the last level just before it hands one over, in the thread that has asked for the
// compaction: to a thread that packs the answer is yes, and that pool is one thread, the pack's own. (Seen in the source of RocksDB 7.8,
// DBImpl::RunManualCompaction; if another version does not ask, packs are as they would be without.)
//
// Thread safety: the environment may be used by any number of threads at once; a CompactsInThread belongs to one.
//
// Invariants:
//  1. A compaction is handed over only while its caller waits for it: it has ended when the call has.
#pragma once

#include <rocksdb/env.h>

#include "low_priority_thread.hpp"

namespace cow::detail {

/// Lives as long as the process, as RocksDB's own does.
rocksdb::Env* store_env();

/// While there is one, compactions to the last level that this thread asks for are executed by the other.
class CompactsInThread {
 public:
  explicit CompactsInThread(LowPriorityThread& thread) noexcept;
  ~CompactsInThread();
  CompactsInThread(const CompactsInThread&) = delete;
  CompactsInThread& operator=(const CompactsInThread&) = delete;

 private:
  LowPriorityThread* before_;
};

}  // namespace cow::detail
