// PingDomain: private lists of what threads read, which a signal makes them publish.
//
// Thread safety: `enter_thread`, `leave_thread` and the functions of PrivateList by the thread that they are about; `ask` by any thread.
// A list stays with the thread that made it.
//
// Invariants:
//  1. A thread's lists are written by that thread alone, and read by the handler of a signal on the same thread: so what the handler must
//     find in order is ordered by program order (and signal fences). No other thread reads a log that is in use.
//  2. [publish-on-ping] The thread that asks has marked its states dead before. It raises `asked` (release) and signals each thread; the
//     handler reads `asked` (acquire), copies the lists, and stores `answered` (release). A state that a thread has logged before the handler
//     ran is in the copy; what it looks at afterwards it finds dead. So after all have answered, a state in no copy is out of reach.
//  3. A copy is written by the handler only when `asked` has gone up, which is while the domain's lock is taken; whoever holds that lock
//     reads the copies at leisure.
//  4. The handler takes no lock, needs no memory, and saves errno. There is room in the copies before a read begins (`make_room`).
//  5. The domain's lock is held until all have answered, so a thread that must answer is there until it has (`leave_thread` takes it).
//
// Limits, which are those of signals: a thread that is stopped, or blocks the signal, makes the one that asks wait; a list cannot move
// to another thread; and each ping costs a system call and an interrupt for every thread, whether it sleeps or not.
//
// Source: Singh, Brown, "Publish on Ping: A Better Way to Publish Reservations in Memory Reclamation for Concurrent Data Structures",
// PPoPP 2025 (arXiv 2501.04250). Their artifact was not used. Signals that make threads show what they use are older: ThreadScan (Alistarh,
// Leiserson, Matveev, Shavit, SPAA 2015), which scans their stacks.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "cow_cache/detail/reclaim/participant.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "yielding_lock.hpp"

namespace cow::bench {

class PingDomain {
 public:
  class PrivateList;
  static constexpr int kSignal = SIGUSR2;

  /// One for the process: there is one handler of a signal.
  static PingDomain& instance() {
    static PingDomain* const domain = new PingDomain;  // a handler may run until the program has ended
    return *domain;
  }

  /// Before a thread makes a list. Again: does nothing.
  static void enter_thread() {
    if (mine_ != nullptr) return;
    auto thread = std::make_unique<Thread>();
    PingDomain& domain = instance();
    std::scoped_lock lock(domain.lock_);
    domain.threads_.push_back(thread.get());
    mine_ = thread.release();
  }

  /// REQUIRES: its lists are gone.
  static void leave_thread() {
    if (mine_ == nullptr) return;
    PingDomain& domain = instance();
    std::scoped_lock lock(domain.lock_);
    std::erase(domain.threads_, mine_);
    delete std::exchange(mine_,
                         nullptr);  // no signal is under way: none is sent but under the lock, and then all are awaited
  }

  /// Has all threads publish, and calls `visit(StateHandle)` for all that they use. False: somebody had no room for all of it, and
  /// nobody knows what is in use. `kPings`: for tests, which must catch its absence.
  template <bool kPings, class Visitor>
  bool ask(Visitor&& visit) {
    std::scoped_lock lock(lock_);
    if constexpr (kPings) {
      for (Thread* thread : threads_) {
        // Relaxed: written under the lock. Seq_cst: after the states were marked dead.
        thread->asked.store(thread->asked.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
        if (thread == mine_) {
          answer(*thread);
        } else if (int error = ::pthread_kill(thread->id, kSignal); error != 0) {
          throw std::system_error(error, std::generic_category(), "cannot signal a thread");
        }
      }
      for (const Thread* thread : threads_) {  // acquire: invariant 2
        while (thread->answered.load(std::memory_order_acquire) != thread->asked.load(std::memory_order_relaxed))
          ::sched_yield();
      }
    }
    bool complete = true;
    for (const Thread* thread : threads_) complete &= visit_copies(*thread, visit);
    return complete;
  }

 private:
  struct Thread {
    const pthread_t id = ::pthread_self();
    std::atomic<PrivateList*> first{nullptr};
    std::atomic<std::uint64_t> asked{0}, answered{0};
  };

  PingDomain() {
    struct sigaction action = {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(kSignal, &action, nullptr) != 0)
      throw std::system_error(errno, std::generic_category(), "sigaction");
  }

  static void handle(int) {
    int saved = errno;
    if (mine_ != nullptr) answer(*mine_);
    errno = saved;
  }

  static void answer(Thread& thread) noexcept;
  template <class Visitor>
  static bool visit_copies(const Thread& thread, Visitor& visit);

  static inline constinit thread_local Thread* mine_ = nullptr;

  YieldingLock lock_;
  std::vector<Thread*> threads_;  // guarded by lock_
};

/// What the transaction of one session has read.
class PingDomain::PrivateList {
 public:
  /// REQUIRES: enter_thread.
  PrivateList() : thread_(mine_) {
    if (thread_ == nullptr) throw std::logic_error("a thread has a session of `ping` and has not entered its domain");
    make_room(kMinRoom);
    std::scoped_lock lock(instance().lock_);
    next_.store(thread_->first.load(std::memory_order_relaxed), std::memory_order_relaxed);
    thread_->first.store(this, std::memory_order_release);
  }
  PrivateList(const PrivateList&) = delete;
  PrivateList& operator=(const PrivateList&) = delete;
  ~PrivateList() {
    std::scoped_lock lock(instance().lock_);  // nobody reads the copies
    std::atomic<PrivateList*>* link = &thread_->first;
    while (link->load(std::memory_order_relaxed) != this) link = &link->load(std::memory_order_relaxed)->next_;
    link->store(next_.load(std::memory_order_relaxed),
                std::memory_order_release);  // one step: the handler finds the rest, or all
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  /// From now on this transaction's log is the list.
  void open(cow::detail::Participant& participant) noexcept {
    participant_.store(&participant, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // before the transaction reads
  }

  /// Room for so many in the copy. Throws std::bad_alloc.
  void make_room(std::size_t states) {
    if (states + kSpare <= room_.load(std::memory_order_relaxed)) return;
    std::size_t room = std::max(kMinRoom, 2 * (states + kSpare));
    copies_.push_back(std::make_unique<cow::detail::StateHandle[]>(room));  // a reader may still have the one before
    // The handler may come in between: then it has the larger copy, and thinks it the smaller.
    copy_.store(copies_.back().get(), std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    room_.store(room, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  /// The transaction is about to end. From its end on the participant may be another thread's: so, if it still needs what it has read
  /// (`commits`), that stands in a list of its own until `clear`.
  void close(bool commits) {
    using cow::detail::ReadLog;
    last_.clear();
    if (commits) {
      ReadLog::for_each(log(), [&](cow::detail::StateHandle state) { last_.push_back(state); });
      make_room(last_.size());
    }
    std::atomic_signal_fence(std::memory_order_seq_cst);
    last_size_.store(last_.size(), std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    participant_.store(nullptr, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void clear() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    last_size_.store(0, std::memory_order_relaxed);
  }

 private:
  friend class PingDomain;
  static constexpr std::size_t kMinRoom = 64,
                               kSpare = 4;  // a read logs one, and may have logged another that it takes back

  cow::detail::LogTable& log() const noexcept {
    return *participant_.load(std::memory_order_relaxed)->log.load(std::memory_order_relaxed);  // this thread's
  }

  /// On the list's own thread, in a handler or not.
  void publish() noexcept {
    cow::detail::StateHandle* copy = copy_.load(std::memory_order_relaxed);
    std::size_t room = room_.load(std::memory_order_relaxed), count = 0;
    auto add = [&](cow::detail::StateHandle state) {
      if (count < room) copy[count] = state;
      ++count;
    };
    if (participant_.load(std::memory_order_relaxed) != nullptr) {
      cow::detail::ReadLog::for_each(log(), add);
    } else {
      for (std::size_t i = 0, size = last_size_.load(std::memory_order_relaxed); i < size; ++i) add(last_[i]);
    }
    published_ = {copy, std::min(count, room), count <= room};
  }

  struct Published {
    const cow::detail::StateHandle* states = nullptr;
    std::size_t count = 0;
    bool is_complete = true;
  };

  Thread* const thread_;
  std::atomic<PrivateList*> next_{nullptr};
  // Atomic for the handler alone, which may come between any two instructions.
  std::atomic<cow::detail::Participant*> participant_{nullptr};
  std::atomic<std::size_t> last_size_{0}, room_{0};
  std::atomic<cow::detail::StateHandle*> copy_{nullptr};
  std::vector<cow::detail::StateHandle> last_;
  std::vector<std::unique_ptr<cow::detail::StateHandle[]>> copies_;  // they double: all of them are twice the last
  Published published_;                                              // handed over by `answered`
};

inline void PingDomain::answer(Thread& thread) noexcept {
  std::uint64_t asked = thread.asked.load(std::memory_order_acquire);
  // Relaxed: this thread writes it. Somebody else's signal: nothing to do, and the copies may be being read.
  if (thread.answered.load(std::memory_order_relaxed) == asked) return;
  for (PrivateList* list = thread.first.load(std::memory_order_relaxed); list != nullptr;
       list = list->next_.load(std::memory_order_relaxed)) {
    list->publish();
  }
  thread.answered.store(asked, std::memory_order_release);
}

template <class Visitor>
bool PingDomain::visit_copies(const Thread& thread, Visitor& visit) {
  bool complete = true;
  // Lists are made and removed under the lock, which is taken.
  for (const PrivateList* list = thread.first.load(std::memory_order_relaxed); list != nullptr;
       list = list->next_.load(std::memory_order_relaxed)) {
    const PrivateList::Published& published = list->published_;
    std::for_each(published.states, published.states + published.count, visit);
    complete &= published.is_complete;
  }
  return complete;
}

}  // namespace cow::bench
