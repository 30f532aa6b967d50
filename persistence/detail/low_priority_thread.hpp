// A thread that stands behind others where they want the same processor, for housekeeping that commits must not wait for.
//
// A commit sleeps until the device has answered, again and again. Where every processor is busy when it wakes, the kernel lets it run at
// once only if what runs there is of lower priority; from Linux 6.12 on, only if that has asked for longer time slices (sched(7) and
// sched_setattr(2); PREEMPT_SHORT in kernel/sched/fair.c). Otherwise it waits for the end of a slice, which is ten times what it takes.
// A thread that was put behind others cannot come forward again without a privilege, so what is to be slow needs a thread of its own; and
// what others wait for, as a batch that is written, must not be done in it: a thread that holds what they need would hardly run.
//
// Thread safety: `run` and `post` belong to the thread that made it, `call_back` to what it executes.
//
// Invariants:
//  1. [one-at-a-time] While `run` executes, its caller does nothing but what `call_back` asks for: both may use the same data.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "cow_cache/errors.hpp"
#include "rocksdb_status.hpp"

namespace cow::detail {

class LowPriorityThread {
 public:
  using Job = std::function<void()>;

  /// Throws StoreError, which names the store and what is to be done, if there can be no more threads.
  LowPriorityThread(const std::filesystem::path& store, std::string_view operation) {
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& error) {
      throw StoreError(store_message(store, operation, std::string("no thread to work in: ") + error.what()));
    }
  }
  ~LowPriorityThread() {
    {
      const std::lock_guard lock(mutex_);
      stops_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  LowPriorityThread(const LowPriorityThread&) = delete;
  LowPriorityThread& operator=(const LowPriorityThread&) = delete;

  /// Has `job` executed, before the thread is destroyed at the latest. REQUIRES: it does not throw.
  void post(Job job) {
    {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    }
    changed_.notify_all();
  }

  /// Executes `job`, and returns when it has; throws what it throws.
  void run(const Job& job) {
    bool done = false;
    std::exception_ptr failure;
    post([&] {
      try {
        job();
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      done = true;
      changed_.notify_all();
    });
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return done || favour_ != nullptr; });
      if (favour_ == nullptr) break;
      const Job& favour = *favour_;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        favour();
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      favour_ = nullptr;
      favour_failure_ = thrown;
      changed_.notify_all();
    }
    if (failure) std::rethrow_exception(failure);
  }

  /// Has the caller of `run` execute `job`; throws what it throws. REQUIRES: the job of `run` calls it.
  void call_back(const Job& job) {
    std::unique_lock lock(mutex_);
    favour_ = &job;
    changed_.notify_all();
    changed_.wait(lock, [&] { return favour_ == nullptr; });
    if (favour_failure_) std::rethrow_exception(std::exchange(favour_failure_, nullptr));
  }

 private:
  // Of 19: an eighth of another thread's share. With more a pack hardly gets on beside busy threads.
  static constexpr int kNiceness = 9;
  static constexpr std::uint64_t kSlice = 100'000'000;  // nanoseconds, the most that can be asked for

  /// Of this thread only. If it may not be, it works as others do.
  static void step_back() noexcept {
    // The C library has neither the call nor its parameter (sched_setattr(2)); older kernels leave the slice as it is.
    struct {
      std::uint32_t size, policy;
      std::uint64_t flags;
      std::int32_t niceness;
      std::uint32_t priority;
      std::uint64_t runtime, deadline, period;
    } attributes{};
    attributes.size = sizeof attributes;
    attributes.policy = SCHED_OTHER;
    attributes.niceness = std::min(::getpriority(PRIO_PROCESS, 0) + kNiceness, 19);
    attributes.runtime = kSlice;
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) static_cast<void>(::nice(kNiceness));
  }

  void work() {
    step_back();
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stops_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;         // guarded by mutex_
  const Job* favour_ = nullptr;  // guarded by mutex_
  std::exception_ptr favour_failure_;
  bool stops_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace cow::detail
