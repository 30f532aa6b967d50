// The oid table: oid -> newest resident state, or the ticket of the load under way, or nothing.
//
// Thread safety: any thread may look up and read cells; a cell is changed only under the lock of its oid's stripe
// (SharedCache), so reading needs no lock and changing needs no compare-and-swap loop.
//
// Invariants:
//  1. A page, once made, stays until the table ends; so a cell's address is good for ever.
//  2. A cell is written with release after what it points at is complete, and read with acquire.
//
// A radix of two levels: a directory over the whole range of oids, reserved as addresses and backed by memory only where
// it is used, and pages of 512 cells. Dense oids, the norm, cost two dependent loads, the first of a hot line.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "errors.hpp"
#include "state.hpp"
#include "types.hpp"

namespace cow {

struct LoadTicket;

/// What a cell holds, decoded.
class CellContent {
 public:
  CellContent() noexcept = default;
  explicit CellContent(std::uint64_t bits) noexcept : bits_(bits) {}
  explicit CellContent(StateHeader& state) noexcept : bits_(reinterpret_cast<std::uintptr_t>(&state)) {}
  explicit CellContent(LoadTicket& ticket) noexcept : bits_(reinterpret_cast<std::uintptr_t>(&ticket) | 1) {}

  bool is_empty() const noexcept { return bits_ == 0; }
  StateHeader* state() const noexcept { return bits_ & 1 ? nullptr : reinterpret_cast<StateHeader*>(bits_); }
  LoadTicket* ticket() const noexcept { return bits_ & 1 ? reinterpret_cast<LoadTicket*>(bits_ ^ 1) : nullptr; }
  std::uint64_t bits() const noexcept { return bits_; }

 private:
  std::uint64_t bits_ = 0;
};

class OidTable {
 public:
  using Cell = std::atomic<std::uint64_t>;

  OidTable() {
    void* range = ::mmap(nullptr, kDirectoryEntries * sizeof(Directory), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) throw std::bad_alloc();
    directory_ = static_cast<Directory*>(range);
  }
  OidTable(const OidTable&) = delete;
  OidTable& operator=(const OidTable&) = delete;

  ~OidTable() { ::munmap(directory_, kDirectoryEntries * sizeof(Directory)); }

  /// The content of an oid's cell; empty if the oid has no page. Throws OidRangeError.
  CellContent find(Oid oid) const {
    // Acquire: pairs with the release in `make_page`, so the page is seen zeroed; then with the stores of invariant 2.
    const Page* page = directory_entry(oid).load(std::memory_order_acquire);
    if (page == nullptr) return {};
    return CellContent(page->cells[oid.value % kCellsPerPage].load(std::memory_order_acquire));
  }

  /// The cell itself, its page made if need be. Throws OidRangeError, std::bad_alloc.
  Cell& cell(Oid oid) {
    Directory& entry = directory_entry(oid);
    Page* page = entry.load(std::memory_order_acquire);
    if (page == nullptr) page = &make_page(entry);
    return page->cells[oid.value % kCellsPerPage];
  }

  /// Bytes of pages and of their directory entries.
  std::size_t bytes() const {
    std::scoped_lock lock(pages_mutex_);
    return pages_.size() * (sizeof(Page) + sizeof(Directory));
  }

 private:
  static constexpr std::uint64_t kCellsPerPage = 512;
  static constexpr std::uint64_t kDirectoryEntries = (kMaxOid.value + 1) / kCellsPerPage;

  struct Page {
    std::array<Cell, kCellsPerPage> cells{};
  };
  using Directory = std::atomic<Page*>;

  Directory& directory_entry(Oid oid) const {
    if (oid > kMaxOid || oid == Oid{}) throw OidRangeError(oid);
    return directory_[oid.value / kCellsPerPage];
  }

  Page& make_page(Directory& entry) {
    std::scoped_lock lock(pages_mutex_);
    if (Page* page = entry.load(std::memory_order_relaxed)) return *page;  // another thread was first, under this mutex
    Page& page = *pages_.emplace_back(std::make_unique<Page>());
    entry.store(&page, std::memory_order_release);  // pairs with the acquire loads in `find` and `cell`
    return page;
  }

  Directory* directory_ = nullptr;
  mutable std::mutex pages_mutex_;
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace cow
