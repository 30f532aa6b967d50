// Who wants to hear of changes, and what they have not heard yet.
//
// Thread safety: all functions may be called from any thread.
//
// Invariants:
//  1. A subscriber hears of every change after its subscription, in the order of `announce`, or is cut off: one that lags
//     `kMaxBehind` messages behind is closed rather than remembered for ever.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "cow_cache/async/sleep.hpp"

namespace cow::bench::publisher {

class Changes {
 public:
  static constexpr std::size_t kMaxBehind = 256;

  class Subscription {
   public:
    ~Subscription() {
      std::scoped_lock lock(changes_.mutex_);
      changes_.subscriptions_.remove(this);
    }
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    /// Waits for the next message; nothing: the subscription is closed.
    Task<std::optional<std::string>> next(AnyExecutor executor) {
      for (;;) {
        Sleeper sleeper(executor);
        {
          std::scoped_lock lock(changes_.mutex_);
          if (closed_) co_return std::nullopt;
          if (!unheard_.empty()) {
            std::string message = std::move(unheard_.front());
            unheard_.pop_front();
            co_return message;
          }
          wake_ = sleeper.waker();
        }
        co_await sleeper.until(Cancellation::Clock::time_point::max());
      }
    }
    void close() {
      std::scoped_lock lock(changes_.mutex_);
      closed_ = true;
      wake();
    }

   private:
    friend Changes;
    explicit Subscription(Changes& changes) : changes_(changes) {}
    void wake() {
      if (auto waker = std::exchange(wake_, std::nullopt)) (*waker)();
    }

    Changes& changes_;
    std::deque<std::string> unheard_;
    std::optional<Sleeper::Waker> wake_;
    bool closed_ = false;
  };

  std::shared_ptr<Subscription> subscribe() {
    std::shared_ptr<Subscription> subscription(new Subscription(*this));
    std::scoped_lock lock(mutex_);
    subscriptions_.push_back(subscription.get());
    return subscription;
  }

  void announce(const std::string& message) {
    std::scoped_lock lock(mutex_);
    for (Subscription* subscription : subscriptions_) {
      if (subscription->unheard_.size() >= kMaxBehind) subscription->closed_ = true;
      if (!subscription->closed_) subscription->unheard_.push_back(message);
      subscription->wake();
    }
  }

 private:
  std::mutex mutex_;
  std::list<Subscription*> subscriptions_;
};

}  // namespace cow::bench::publisher
