#include "directory_lock.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <system_error>

#include "cow_cache/errors.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {

// All locks of the process. Nothing here allocates: the handlers run between fork and the child's first step, when
// another thread may have been inside of the allocator.
struct LockList {
  std::mutex mutex;
  DirectoryLock* first = nullptr;

  static LockList& instance() {
    // Never destroyed: a store may be a static object, and a process may fork while it exits.
    static LockList& list = *new LockList;
    return list;
  }

  LockList() {
    // Without handlers a forked child would keep the lock of a parent that dies: no worse than having none.
    static_cast<void>(::pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); },
                                       [] {
                                         instance().let_go();
                                         instance().mutex.unlock();
                                       }));
  }

  // REQUIRES of all three: the mutex is held.
  void add(DirectoryLock& lock) {
    lock.next_ = first;
    if (first != nullptr) first->previous_ = &lock;
    first = &lock;
  }

  void remove(DirectoryLock& lock) {
    (lock.previous_ != nullptr ? lock.previous_->next_ : first) = lock.next_;
    if (lock.next_ != nullptr) lock.next_->previous_ = lock.previous_;
  }

  // In a child: closes all, and leaves every lock as one that is not held.
  void let_go() {
    for (DirectoryLock* lock = first; lock != nullptr; lock = lock->next_) {
      ::close(lock->fd_);
      lock->fd_ = -1;
    }
    first = nullptr;
  }
};

DirectoryLock::DirectoryLock(const std::filesystem::path& directory) {
  LockList& list = LockList::instance();
  // Under the list's mutex from open to add: the child of a fork in between would keep a descriptor that no list has.
  const std::lock_guard guard(list.mutex);
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw StoreError(store_message(directory, "open the directory", std::generic_category().message(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK) {
      throw StoreLockedError(store_message(directory, "open", "already open, in this process or another"));
    }
    throw StoreError(store_message(directory, "lock the directory", std::generic_category().message(error)));
  }
  fd_ = fd;
  list.add(*this);
}

DirectoryLock::~DirectoryLock() {
  LockList& list = LockList::instance();
  const std::lock_guard guard(list.mutex);
  if (fd_ < 0) return;  // in a forked child: the lock is the parent's
  list.remove(*this);
  // A child that was made without our handlers has the same open file: closing our descriptor would not unlock it.
  ::flock(fd_, LOCK_UN);
  ::close(fd_);
}

}  // namespace cow::detail
