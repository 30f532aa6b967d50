// Backups keep RocksDB from removing files, and a pack is complete only when what it has dropped is in none: so it waits for them.
//
// Thread safety: every function may be called from any thread at once; one Removal at a time.
//
// Invariants:
//  1. While a Removal that has waited goes on there is no Keeper: what RocksDB needs no more, it removes.
//  2. A Keeper that comes while a Removal waits or goes on, waits for that. So backups one after another do not hold up a pack for ever.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace cow::detail {

class FileKeepers {
 public:
  /// What needs files to stay, for as long as it lives.
  class Keeper {
   public:
    explicit Keeper(FileKeepers& keepers) : keepers_(keepers) {
      std::unique_lock lock(keepers_.mutex_);
      keepers_.changed_.wait(lock, [&] { return !keepers_.removes_; });
      ++keepers_.count_;
    }
    ~Keeper() {
      const std::lock_guard lock(keepers_.mutex_);
      --keepers_.count_;
      keepers_.changed_.notify_all();
    }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

   private:
    FileKeepers& keepers_;
  };

  /// What needs files to go.
  class Removal {
   public:
    explicit Removal(FileKeepers& keepers) : keepers_(keepers) {
      const std::lock_guard lock(keepers_.mutex_);
      keepers_.removes_ = true;
    }
    ~Removal() {
      const std::lock_guard lock(keepers_.mutex_);
      keepers_.removes_ = false;
      keepers_.changed_.notify_all();
    }
    Removal(const Removal&) = delete;
    Removal& operator=(const Removal&) = delete;

    /// Waits until there is no Keeper, and asks `goes_on` now and then. False: that has said no. Throws what it throws.
    template <class GoesOn>
    bool wait(GoesOn&& goes_on) {
      std::unique_lock lock(keepers_.mutex_);
      while (!keepers_.changed_.wait_for(lock, kBetweenCalls, [&] { return keepers_.count_ == 0; })) {
        lock.unlock();
        if (!goes_on()) return false;
        lock.lock();
      }
      return true;
    }

   private:
    static constexpr std::chrono::milliseconds kBetweenCalls{50};

    FileKeepers& keepers_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;  // guarded by mutex_, as is the other
  bool removes_ = false;
};

}  // namespace cow::detail
