// LogStore: a MemoryStore, and a log to which every commit is appended before anybody sees it. Opening reads the log back.
//
// Thread safety: as Store. `mutex_` guards the log; a load takes no lock but the MemoryStore's.
//
// Invariants:
//  1. [log-before-memory] What memory has, an entry of the log has: a group is one entry, so it is whole or absent after a crash.
//  2. [reserved-before-given] Each oid that is given out is below the reservation of some entry, and a store that is opened gives out
//     none below the last reservation.
#pragma once

#include <msgpack.hpp>
#include <tuple>

#include "bench/support/append_log.hpp"
#include "persistence/detail/group_check.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

class LogStore final : public Store {
 public:
  /// Throws what an AppendLog throws.
  explicit LogStore(const std::filesystem::path& path) : log_(path, [&](std::string_view entry) { replay(entry); }) {}

  std::optional<Revision> load(Oid oid, Tid at) override { return memory_.load(oid, at); }
  Tid last_tid() override { return memory_.last_tid(); }

  OidBlock allocate_oids(std::uint64_t count) override {
    const std::scoped_lock lock(mutex_);
    const OidBlock block = memory_.allocate_oids(count);
    if (const std::uint64_t end = block.first.value + count; end > reserved_)
      append({}, std::min(end + 4096, kMaxOid.value + 1));
    return block;
  }

  void commit(std::span<const TransactionWrite> group) override {
    const std::scoped_lock lock(mutex_);
    check_.require_valid(group, last_tid());
    if (!group.empty()) append(group, reserved_);
    try {
      memory_.commit(group);
    } catch (const std::bad_alloc&) {  // when it is opened again, it is there
      log_.refuse_from_now_on(group.back().tid, "no memory for what was logged");
    }
  }

 private:
  using Written = std::vector<std::tuple<std::uint64_t, bool, std::string_view>>;          // oid, erased, record
  using Entry = std::pair<std::uint64_t, std::vector<std::pair<std::uint64_t, Written>>>;  // reserved; tids

  void append(std::span<const TransactionWrite> group, std::uint64_t reserved) {
    Entry entry(reserved, {});
    for (const auto& [tid, objects, note] : group) {
      Written& written = entry.second.emplace_back(tid.value, Written()).second;
      for (const ObjectWrite& one : objects) written.emplace_back(one.oid.value, one.erase, one.record);
    }
    msgpack::sbuffer bytes;
    msgpack::pack(bytes, entry);
    log_.append({bytes.data(), bytes.size()}, group.empty() ? last_tid() : group.back().tid);
    reserved_ = reserved;
  }

  void replay(std::string_view bytes) {
    const msgpack::object_handle unpacked = msgpack::unpack(bytes.data(), bytes.size());
    const auto [reserved, group] = unpacked.get().as<Entry>();
    for (const auto& [tid, written] : group) {
      std::vector<ObjectWrite> objects;
      for (const auto& [oid, erased, record] : written) objects.push_back({Oid{oid}, erased, record});
      memory_.commit(std::array{TransactionWrite{Tid{tid}, objects}});
    }
    if (reserved > reserved_) memory_.allocate_oids(reserved - std::exchange(reserved_, reserved));
  }

  MemoryStore memory_;
  std::mutex mutex_;
  cow::detail::GroupCheck check_;
  std::uint64_t reserved_ = kRootOid.value + 1;
  AppendLog log_;  // last: it is opened when all that `replay` fills is there
};

}  // namespace cow::bench
