// Admission: a bound on how many transactions are in flight, and on how many wait for their turn.
//
// Thread safety: all functions may be called from any thread; a task that waits runs on a serial executor (sleep.hpp).
//
// Invariants:
//  1. running + free places = most_running. A place that is given back while somebody waits passes to the one who has
//     waited longest; nobody overtakes.
//  2. A waiter stands in the list from the moment it waits until it is given a place or gives up, never both.
//  3. More than `most_waiting` never wait: who comes then is refused at once, by OverloadedError. (Little's law: a longer
//     queue makes everybody later and nobody faster.)
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "../errors.hpp"
#include "cancellation.hpp"
#include "sleep.hpp"
#include "task.hpp"

namespace cow {

class Admission {
 public:
  /// A place among the running, given back by its destructor.
  class Permit {
   public:
    Permit() noexcept = default;
    Permit(Permit&& other) noexcept : admission_(std::exchange(other.admission_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(admission_, other.admission_);
      return *this;
    }
    ~Permit() {
      if (admission_ != nullptr) admission_->give_back();
    }

   private:
    friend Admission;
    explicit Permit(Admission& admission) noexcept : admission_(&admission) {}
    Admission* admission_ = nullptr;
  };

  /// `name`: what OverloadedError calls it.
  Admission(std::string name, std::size_t most_running, std::size_t most_waiting)
      : name_(std::move(name)), most_running_(most_running), most_waiting_(most_waiting) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  /// A place now, or nothing: none is free, or others wait.
  std::optional<Permit> try_acquire() {
    std::scoped_lock lock(mutex_);
    if (running_ >= most_running_ || !waiting_.empty()) return std::nullopt;
    ++running_;
    return Permit(*this);
  }

  /// A place, in the order of calls. Throws OverloadedError, CancelledError, DeadlineExceededError.
  Task<Permit> acquire(AnyExecutor executor, Cancellation cancellation) {
    cancellation.throw_if_requested();
    if (auto permit = try_acquire()) co_return *std::move(permit);
    Sleeper sleeper(executor);
    Waiter waiter{sleeper.waker()};
    Waiting::iterator place;
    {
      std::scoped_lock lock(mutex_);
      if (running_ < most_running_ && waiting_.empty()) {
        ++running_;
        co_return Permit(*this);
      }
      if (waiting_.size() >= most_waiting_) throw OverloadedError(name_, running_, waiting_.size());
      place = waiting_.insert(waiting_.end(), &waiter);
    }
    {
      std::stop_callback wake(cancellation.stop, sleeper.waker());
      co_await sleeper.until(cancellation.deadline);
    }
    std::unique_lock lock(mutex_);
    if (!waiter.admitted) {
      waiting_.erase(place);
      lock.unlock();
      if (cancellation.stop.stop_requested()) throw CancelledError();
      throw DeadlineExceededError();
    }
    lock.unlock();
    Permit permit(*this);  // from here on: given back, whatever happens
    cancellation.throw_if_requested();
    co_return permit;
  }

  std::size_t running() const {
    std::scoped_lock lock(mutex_);
    return running_;
  }
  std::size_t waiting() const {
    std::scoped_lock lock(mutex_);
    return waiting_.size();
  }

 private:
  struct Waiter {
    Sleeper::Waker wake;
    bool admitted = false;
  };
  using Waiting = std::list<Waiter*>;

  void give_back() noexcept {
    std::scoped_lock lock(mutex_);
    if (waiting_.empty()) {
      --running_;
      return;
    }
    Waiter& first = *waiting_.front();
    waiting_.pop_front();
    first.admitted = true;
    first.wake();  // under the lock: without it the waiter could give up, and be gone
  }

  const std::string name_;
  const std::size_t most_running_, most_waiting_;
  mutable std::mutex mutex_;
  std::size_t running_ = 0;
  Waiting waiting_;  // longest first
};

}  // namespace cow
