// The lock that keeps a second opener out of a store's directory.
//
// It is an flock(2) on the directory itself. Why not a POSIX (fcntl) lock, as RocksDB's own on its file LOCK: closing
// any descriptor of the locked file drops that one, so a program that copies its open store's directory would lose it
// without a word, and it does not keep out a second open in the same process. Why not an open file description lock:
// it is the same as flock here, but needs a file that is open for writing, and a directory cannot be.
//
// An flock belongs to the open file, which a forked child inherits. So that a child does not keep a store locked that
// its parent has closed, or whose parent has died: the child closes its copies as the first thing after fork(), and
// the destructor unlocks rather than only closes. A child made by vfork, posix_spawn or exec loses the descriptor with
// exec. Only a child made by a bare clone system call, which runs no fork handlers, still holds the lock, and only if
// its parent dies without closing the store.
//
// Thread safety: a plain value; locks are made and destroyed from any thread, also while another forks.
//
// Invariants:
//  1. One `DirectoryLock` per directory exists at a time, over all processes of the machine.
//  2. In a forked child `held()` is false, and the parent's lock is as it was.
#pragma once

#include <filesystem>

namespace cow::detail {

/// Keeps others out of a directory for its lifetime. It ends with the process.
class DirectoryLock {
 public:
  /// Throws StoreLockedError if somebody has it, StoreError if it cannot be opened.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  /// False in a child that was forked after the lock was taken: the directory is its parent's. Never throws.
  bool held() const noexcept { return fd_ >= 0; }

 private:
  friend struct LockList;

  // Changed by the constructor, and in a child by the fork handler, when there is one thread only.
  int fd_ = -1;
  DirectoryLock* next_ = nullptr;
  DirectoryLock* previous_ = nullptr;
};

}  // namespace cow::detail
