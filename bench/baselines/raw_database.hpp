// RawDatabase: plain C++ pointers behind the interface of a database. The physical limit that caches are measured
// against: no transactions, no store, no snapshot, nothing but memory.
//
// Thread safety: what a C++ program with plain pointers has. Any number of threads may read; a thread that writes or
// creates must be alone.
//
// Memory policy, explicit because a ratio to this class means little without it:
//  1. Values of one type lie side by side in the order of their creation, as a C++ program that cares would place them,
//     and as a database whose states lie in size classes places them too. No header, no padding between values.
//  2. Chunks double from 64 KB to 2 MB, then stay there. All of them lie in blocks of 2 MB, aligned to 2 MB, that ask for
//     transparent huge pages (RawDatabase::kHugePages), like the states of caches: neither side of a comparison wins by the
//     TLB, or by which physical pages it was given, alone. (Small pages collide in the processor's second cache by chance.)
//  3. Heap members of values (strings, vectors) come from the program's allocator, as they do in every other database.
//  4. An erased value keeps its memory until the database ends; all values are destroyed then.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cow_cache/retry_policy.hpp"
#include "cow_cache/types.hpp"
#include "session.hpp"

namespace cow::bench {

/// A plain pointer with the interface of a reference. Eight bytes, no checks.
template <class T>
struct RawRef {
  using Value = T;

  T* pointer = nullptr;

  explicit operator bool() const noexcept { return pointer != nullptr; }
  friend bool operator==(RawRef, RawRef) = default;
  friend auto operator<=>(RawRef, RawRef) = default;
};
static_assert(sizeof(RawRef<int>) == sizeof(int*));

/// The pointer family of RawDatabase: what persistent structs use in place of cow::Ref.
struct RawPointers {
  template <class T>
  using Ref = RawRef<T>;
};

namespace detail {

/// Blocks of 2 MB, in which the chunks of all types lie one after the other. Freed when it ends, not before.
class RawBlocks {
 public:
  static constexpr std::size_t kBytes = 2 << 20;

  explicit RawBlocks(bool huge_pages) : huge_pages_(huge_pages) {}
  RawBlocks(const RawBlocks&) = delete;
  RawBlocks& operator=(const RawBlocks&) = delete;
  ~RawBlocks() {
    for (std::byte* block : blocks_) ::operator delete (block, std::align_val_t{kBytes});
  }

  /// Memory aligned to 64 bytes. What does not fit into what is left of a block begins a new one.
  std::byte* take(std::size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (blocks_.empty() || bytes > kBytes - used_) {
      std::size_t block_bytes = std::max(bytes, kBytes);
      blocks_.reserve(blocks_.size() + 1);
      blocks_.push_back(static_cast<std::byte*>(::operator new (block_bytes, std::align_val_t{kBytes})));
      if (huge_pages_) ::madvise(blocks_.back(), block_bytes, MADV_HUGEPAGE);  // a wish; failure costs only speed
      used_ = 0;
    }
    std::byte* memory = blocks_.back() + used_;
    used_ = std::min(used_ + bytes, kBytes);
    return memory;
  }

 private:
  const bool huge_pages_;
  std::vector<std::byte*> blocks_;
  std::size_t used_ = 0;  // of the last one
};

/// All values of one type, side by side. The base class lets the database own arenas of any type.
class RawArenaBase {
 public:
  virtual ~RawArenaBase() = default;
  virtual std::size_t reserved_bytes() const noexcept = 0;
  virtual std::size_t size() const noexcept = 0;
};

template <class T>
class RawArena final : public RawArenaBase {
 public:
  explicit RawArena(RawBlocks& blocks) : blocks_(blocks) {}
  RawArena(const RawArena&) = delete;
  RawArena& operator=(const RawArena&) = delete;

  ~RawArena() override {
    for (Chunk& chunk : chunks_) std::destroy_n(chunk.values, chunk.used);
  }

  T* create(T&& value) {
    if (chunks_.empty() || chunks_.back().used == chunks_.back().bytes / sizeof(T)) grow();
    Chunk& chunk = chunks_.back();
    T* created = new (chunk.values + chunk.used) T(std::move(value));
    ++chunk.used;
    ++size_;
    return created;
  }

  std::size_t reserved_bytes() const noexcept override { return reserved_bytes_; }
  std::size_t size() const noexcept override { return size_; }

 private:
  static_assert(alignof(T) <= 64);
  static constexpr std::size_t kFirstChunk = 64 << 10;

  struct Chunk {
    T* values;
    std::size_t bytes;
    std::size_t used = 0;
  };

  void grow() {
    std::size_t bytes = chunks_.empty() ? kFirstChunk : std::min(2 * chunks_.back().bytes, RawBlocks::kBytes);
    bytes = std::max(bytes, sizeof(T));
    chunks_.push_back({reinterpret_cast<T*>(blocks_.take(bytes)), bytes});
    reserved_bytes_ += bytes;
  }

  RawBlocks& blocks_;
  std::vector<Chunk> chunks_;
  std::size_t reserved_bytes_ = 0;
  std::size_t size_ = 0;
};

}  // namespace detail

/// A "database" of plain pointers.
class RawDatabase {
 public:
  using Pointers = RawPointers;
  template <class T>
  using Ref = RawRef<T>;

  /// Whether blocks of 2 MB ask for transparent huge pages. REQUIRES: the same choice as the caches compared with.
  static constexpr bool kHugePages = true;

  struct Statistics {
    std::uint64_t cache_bytes = 0;  ///< reserved for values, without their heap members
    std::uint64_t limbo_bytes = 0;
    std::uint64_t resident_states = 0;
    std::uint64_t loads = 0;
    std::uint64_t commits = 0;
    std::uint64_t conflicts = 0;
  };

  class Root;
  class Transaction;

  RawDatabase() = default;
  RawDatabase(const RawDatabase&) = delete;
  RawDatabase& operator=(const RawDatabase&) = delete;

  Transaction begin();
  /// Nothing conflicts here, so nothing is tried again.
  template <class Body>
  auto transact(Body&& body, const RetryPolicy& = {});

  Statistics statistics() const {
    Statistics statistics;
    for (const auto& [type, arena] : arenas_) {
      statistics.cache_bytes += arena->reserved_bytes();
      statistics.resident_states += arena->size();
    }
    return statistics;
  }

 private:
  struct Named {
    void* pointer;
    std::type_index type;
  };

  template <class T>
  T* create(T&& value) {
    std::unique_ptr<detail::RawArenaBase>& arena = arenas_[typeid(T)];
    if (!arena) arena = std::make_unique<detail::RawArena<T>>(blocks_);
    return static_cast<detail::RawArena<T>&>(*arena).create(std::move(value));
  }

  detail::RawBlocks blocks_{kHugePages};
  std::unordered_map<std::type_index, std::unique_ptr<detail::RawArenaBase>> arenas_;
  std::map<std::string, Named, std::less<>> names_;
};

/// The named entry points.
class RawDatabase::Root {
 public:
  explicit Root(RawDatabase& database) : database_(&database) {}

  bool contains(std::string_view name) const { return database_->names_.contains(name); }

  template <class T>
  RawRef<T> get(std::string_view name) const {
    auto found = database_->names_.find(name);
    if (found == database_->names_.end()) throw std::out_of_range("no root object '" + std::string(name) + "'");
    if (found->second.type != typeid(T))
      throw std::logic_error("root object '" + std::string(name) + "' has another type");
    return {static_cast<T*>(found->second.pointer)};
  }

  template <class T>
  void set(std::string_view name, RawRef<T> reference) {
    database_->names_.insert_or_assign(std::string(name), Named{reference.pointer, typeid(T)});
  }

  template <class T>
  RawRef<T> emplace(std::string_view name, T value) {
    RawRef<T> created{database_->create(std::move(value))};
    set(name, created);
    return created;
  }

  void erase(std::string_view name) {
    auto found = database_->names_.find(name);
    if (found != database_->names_.end()) database_->names_.erase(found);
  }

 private:
  RawDatabase* database_;
};

/// Nothing is isolated and nothing can be undone: a write is a write to memory. So `abort` is unsupported and throws,
/// and a transaction that ends without `commit` keeps what it wrote; a workload that relies on aborts cannot run raw.
class RawDatabase::Transaction {
 public:
  explicit Transaction(RawDatabase& database) : database_(&database) {}
  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) noexcept = default;

  template <class T>
  const T& read(const RawRef<T>& reference) const noexcept {
    return *reference.pointer;
  }
  template <class T>
  T& write(const RawRef<T>& reference) const noexcept {
    return *reference.pointer;
  }
  template <class T>
  RawRef<T> create(T value) {
    return {database_->create(std::move(value))};
  }
  /// Keeps the memory: see the memory policy above.
  template <class T>
  void erase(const RawRef<T>&) const noexcept {}

  Root root() { return Root(*database_); }
  void commit() const noexcept {}
  [[noreturn]] void abort() const { throw std::logic_error("RawDatabase cannot undo writes: abort is unsupported"); }
  Tid snapshot() const noexcept { return Tid{0}; }

 private:
  RawDatabase* database_;
};

inline RawDatabase::Transaction RawDatabase::begin() { return Transaction(*this); }
template <class Body>
auto RawDatabase::transact(Body&& body, const RetryPolicy&) {
  Transaction transaction(*this);
  return std::forward<Body>(body)(transaction);
}

static_assert(ObjectDatabase<RawDatabase>);

}  // namespace cow::bench

template <class T>
struct std::hash<cow::bench::RawRef<T>> {
  std::size_t operator()(cow::bench::RawRef<T> reference) const noexcept { return std::hash<T*>{}(reference.pointer); }
};
