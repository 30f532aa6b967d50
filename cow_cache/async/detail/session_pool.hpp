// Sessions for transactions that run at once, as ZODB's pool of connections: for caches whose sessions own something.
//
// Thread safety: `lend` may be called from any thread; a lease belongs to one transaction at a time.
//
// Invariants:
//  1. A session is lent to one transaction at a time. The one that was given back last is lent first: it is the warmest.
//  2. There are as many sessions as transactions ever ran at once. With the shared cache there is nothing to lend: all use
//     one, which is empty.
#pragma once

#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

namespace cow::detail {

template <class Database>
class SessionPool {
 public:
  using Session = typename Database::Session;

  class Lease {
   public:
    Lease(Lease&& other) noexcept : pool_(other.pool_), own_(std::move(other.own_)) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(own_, other.own_);
      return *this;
    }
    ~Lease() {
      if (own_ != nullptr) pool_->give_back(std::move(own_));
    }
    Session& session() const noexcept { return own_ != nullptr ? *own_ : pool_->common_; }

   private:
    friend SessionPool;
    Lease(SessionPool& pool, std::unique_ptr<Session> own) noexcept : pool_(&pool), own_(std::move(own)) {}
    SessionPool* pool_;
    std::unique_ptr<Session> own_;
  };

  explicit SessionPool(Database& database) : database_(database), common_(database.open_session()) {}

  Lease lend() {
    if constexpr (Database::kSessionsAreEmpty) return Lease(*this, nullptr);
    {
      std::scoped_lock lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Session> session = std::move(idle_.back());
        idle_.pop_back();
        return Lease(*this, std::move(session));
      }
    }
    return Lease(*this, std::make_unique<Session>(database_.open_session()));
  }

 private:
  void give_back(std::unique_ptr<Session> session) {
    std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(session));
  }

  Database& database_;
  Session common_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace cow::detail
