// Items of a known size, and a store of any number of them.
//
// Thread safety: as GeneratedStore.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/ref.hpp"
#include "generated_store.hpp"

namespace cow::bench {

/// 256 bytes in the state itself, and a text on the heap.
struct Item {
  static constexpr std::string_view cow_type_name = "claims.Item";
  std::int64_t value = 0;
  std::string text;
  std::array<char, 216> padding{};
  MSGPACK_DEFINE(value, text, padding);
};

/// Any number of equal items.
class ItemStore final : public GeneratedStore {
 public:
  static constexpr std::size_t kShortText = 40, kLongText = 200;

  explicit ItemStore(std::size_t text_bytes = kShortText)
      : GeneratedStore([record = record_of(text_bytes)](Oid) { return record; }) {}

 private:
  static std::string record_of(std::size_t text_bytes) {
    Item item;
    item.text.assign(text_bytes, 'x');
    std::string record;
    cow::detail::encode_record(item, record);
    return record;
  }
};

/// The item of that number, from 0 on, by its oid alone.
inline Ref<Item> item(std::uint64_t number) { return Ref<Item>(Oid{kRootOid.value + 1 + number}); }

}  // namespace cow::bench
