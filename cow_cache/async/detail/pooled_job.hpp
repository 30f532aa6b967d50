// A job on a pool's thread for which a task waits, and which it gives up while the job has to wait itself.
//
// Thread safety: `begin`, `wait_for_another` and `end` are the pool's side; `give_up` and `was_given_up`
// that of the task.
//
// Invariants:
//  1. The job is shared by the task, the pool's queue and the load or commit that it waits for: what is given up stays in their queues.
//  2. Of the task's things (its transaction, its references) the job uses nothing but between `begin` and `end` or
//     `wait_for_another`. Once it was given up it does not begin any more, and the task may go on.
//  3. A task that is cancelled while its job runs waits for its end, or until it waits for another.
//  4. Once the job is in the queue, nothing fails before the task has been resumed, once.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "alarm.hpp"
#include "cow_cache/async/cancellation.hpp"
#include "cow_cache/async/spawn.hpp"
#include "cow_cache/async/task.hpp"

namespace cow::detail {

class PooledJob {
 public:
  /// Throws std::bad_alloc.
  PooledJob(const AnyExecutor& executor, Cancellation cancellation)
      : cancellation_(std::move(cancellation)), alarm_(std::make_shared<Alarm>(executor)) {}

  /// False: it was given up.
  bool begin() noexcept {
    std::scoped_lock lock(mutex_);
    if (stage_ != Stage::waits) return false;
    stage_ = Stage::runs;
    return true;
  }

  /// It has found that another job does its work. REQUIRES: it runs, or has been ended by that other one already.
  void wait_for_another() noexcept {
    std::scoped_lock lock(mutex_);
    if (stage_ != Stage::runs) return;
    stage_ = Stage::waits;
    if (is_unwanted_) give_up_under_lock();
  }

  /// Has ended. Wakes the task; if that has given it up, nothing.
  void end() noexcept {
    std::scoped_lock lock(mutex_);
    if (stage_ == Stage::given_up) return;
    stage_ = Stage::ended;
    alarm_->wake();
  }

  /// Wakes the task without the job, at once or as soon as the job waits. If that ends before: nothing.
  void give_up() noexcept {
    std::scoped_lock lock(mutex_);
    is_unwanted_ = true;
    if (stage_ == Stage::waits) give_up_under_lock();
  }

  bool was_given_up() noexcept {
    std::scoped_lock lock(mutex_);
    return stage_ == Stage::given_up;
  }

  Alarm& alarm() noexcept { return *alarm_; }
  /// Looked at by the pool's thread too: the task's loop may be busy at the time.
  const Cancellation& cancellation() const noexcept { return cancellation_; }

 private:
  enum class Stage { waits, runs, ended, given_up };

  void give_up_under_lock() noexcept {
    stage_ = Stage::given_up;
    alarm_->wake();
  }

  std::mutex mutex_;
  Stage stage_ = Stage::waits;
  bool is_unwanted_ = false;
  const Cancellation cancellation_;
  const std::shared_ptr<Alarm> alarm_;
};

/// The task's share of a job: it has nothing more to do with the loop when the task goes on.
template <class Job>
class JobOfTask {
 public:
  explicit JobOfTask(std::shared_ptr<Job> job) noexcept : job_(std::move(job)) {}
  JobOfTask(const JobOfTask&) = delete;
  JobOfTask& operator=(const JobOfTask&) = delete;
  ~JobOfTask() {
    job_->alarm().close();
    job_->drop();
  }

 private:
  std::shared_ptr<Job> job_;
};

/// Awaits the end of `job->run()` on a pool's thread. Throws what posting throws, and CancelledError or
/// DeadlineExceededError at the time that it is cancelled, unless the job runs then.
template <class Pool, class Job>
Task<> on_pool(Pool& pool, std::shared_ptr<Job> job) {
  const Cancellation& cancellation = job->cancellation();
  cancellation.throw_if_requested();
  job->alarm().set(Alarm::kNever);
  // A second timer, which does not resume the task: the wait for the job's end must not fail, so it is not begun anew when the
  // deadline passes while the job runs.
  std::optional<AlarmTimer> deadline;
  if (cancellation.deadline != Cancellation::Clock::time_point::max()) {
    deadline.emplace(job->alarm().inline_executor(), cancellation.deadline);
    deadline->async_wait([job](const boost::system::error_code& error) {
      if (!error) job->give_up();
    });
  }
  pool.post([job] { job->run(); });
  std::stop_callback stop(cancellation.stop, [&job]() noexcept { job->give_up(); });
  co_await job->alarm().over();
  if (job->was_given_up()) cancellation.throw_if_requested();
}

}  // namespace cow::detail
