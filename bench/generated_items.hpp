// Items of a known size, and a store that makes their records up: nothing but the cache takes memory or time.
//
// Thread safety: as Store demands.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cow_cache/record.hpp"
#include "cow_cache/ref.hpp"
#include "cow_cache/store.hpp"

namespace cow::bench {

/// 256 bytes in the state itself, and a text on the heap.
struct Item {
  static constexpr std::string_view cow_type_name = "claims.Item";
  std::int64_t value = 0;
  std::string text;
  std::array<char, 216> padding{};
  MSGPACK_DEFINE(value, text, padding);
};

/// A store of any number of equal items that remembers only its tids: what is read back has the first value. Nobody who
/// uses it asks for a value that it wrote.
class GeneratedStore final : public Store {
 public:
  static constexpr std::size_t kShortText = 40, kLongText = 200;

  explicit GeneratedStore(std::size_t text_bytes = kShortText) {
    Item item;
    item.text.assign(text_bytes, 'x');
    encode_record(item, record_);
  }

  std::optional<Revision> load(Oid, Tid) override { return Revision{.begin = Tid{1}, .record = record_}; }
  Tid last_tid() override { return Tid{last_.load()}; }
  OidBlock allocate_oids(std::uint64_t count) override { return {Oid{next_oid_.fetch_add(count)}, count}; }
  void commit(std::span<const TransactionWrite> group) override { last_ = group.back().tid.value; }

 private:
  std::string record_;
  std::atomic<std::uint64_t> last_{1}, next_oid_{std::uint64_t{1} << 39};
};

/// The item of that number, from 0 on, by its oid alone.
inline Ref<Item> item(std::uint64_t number) { return Ref<Item>(Oid{kRootOid.value + 1 + number}); }

}  // namespace cow::bench
