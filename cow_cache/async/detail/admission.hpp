// Admission: a bound on how many transactions are in flight, and on how many wait for their turn.
//
// Thread safety: all functions may be called from any thread; a task that waits runs on a serial executor (sleep.hpp).
//
// Invariants:
//  1. running + free places = most_running. A place that is given back while somebody waits passes to the one who has
//     waited longest; nobody overtakes.
//  2. A waiter stands in the list from the moment it waits until it is given a place or gives up, never both.
//     However the waiting ends (an exception too), it leaves the list, and gives a place back that it was given meanwhile.
//  3. More than `most_waiting` never wait: a task that comes then is refused at once, by OverloadedError. (Little's law: a longer
//     queue makes everybody later and nobody faster.)
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "cow_cache/async/cancellation.hpp"
#include "cow_cache/async/sleep.hpp"
#include "cow_cache/async/task.hpp"
#include "cow_cache/errors.hpp"

namespace cow::detail {

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

  /// `name`: what OverloadedError calls it. Throws std::invalid_argument if nobody could ever be admitted.
  Admission(std::string name, std::size_t most_running, std::size_t most_waiting)
      : name_(std::move(name)), most_running_(most_running), most_waiting_(most_waiting) {
    if (most_running == 0) throw std::invalid_argument(name_ + ": a bound of no transactions in flight");
  }
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
    Waiter waiter(*this, sleeper.waker());
    {
      std::scoped_lock lock(mutex_);
      if (running_ < most_running_ && waiting_.empty()) {
        ++running_;
        co_return Permit(*this);
      }
      if (waiting_.size() >= most_waiting_) throw OverloadedError(name_, running_, waiting_.size());
      waiter.join();
    }
    {
      std::stop_callback wake(cancellation.stop, sleeper.waker());
      co_await sleeper.until(cancellation.deadline);
    }
    std::optional<Permit> permit = waiter.leave();
    cancellation.throw_if_requested();  // a permit is given back then
    co_return *std::move(permit);
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
  class Waiter;
  using Waiting = std::list<Waiter*>;

  /// A task's place in the list. It leaves it in any case (invariant 2).
  class Waiter {
   public:
    Waiter(Admission& admission, Sleeper::Waker wake) noexcept : admission_(admission), wake_(std::move(wake)) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() { (void)leave(); }

    /// REQUIRES: the lock. Throws std::bad_alloc.
    void join() { place_ = admission_.waiting_.insert(admission_.waiting_.end(), this); }

    /// REQUIRES: the lock; it has joined and is the first.
    void admit() noexcept {
      admission_.waiting_.erase(*place_);
      place_.reset();
      admitted_ = true;
      wake_();  // under the lock: without it the waiter could give up, and be gone
    }

    /// What it was given, if it was.
    std::optional<Permit> leave() noexcept {
      std::scoped_lock lock(admission_.mutex_);
      if (place_) admission_.waiting_.erase(*std::exchange(place_, std::nullopt));
      if (!std::exchange(admitted_, false)) return std::nullopt;
      return Permit(admission_);
    }

   private:
    Admission& admission_;
    Sleeper::Waker wake_;
    std::optional<Waiting::iterator> place_{};
    bool admitted_ = false;
  };

  void give_back() noexcept {
    std::scoped_lock lock(mutex_);
    if (waiting_.empty()) {
      --running_;
      return;
    }
    waiting_.front()->admit();
  }

  const std::string name_;
  const std::size_t most_running_, most_waiting_;
  mutable std::mutex mutex_;
  std::size_t running_ = 0;
  Waiting waiting_;  // longest first
};

}  // namespace cow::detail
