// What a codec's own reads allocate is not charged to the value that it decodes. With jemalloc, which counts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

struct Big {
  static constexpr std::string_view cow_type_name = "test.Big";
  std::string text;
  MSGPACK_DEFINE(text);
};
/// Of a type that does not say what it has on the heap, so that decoding is measured.
struct Opaque {
  static constexpr std::string_view cow_type_name = "test.Opaque";
  Ref<Big> big;
  std::string text;
  static inline Database* database = nullptr;
};

}  // namespace

template <>
struct Codec<Opaque> {
  static void encode(const Opaque& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::packer<detail::StringSink> packer(sink);
    packer.pack_array(2).pack(value.big).pack(value.text);
  }
  static Opaque decode(const msgpack::object& object, std::uint32_t) {
    Opaque value;
    object.via.array.ptr[0].convert(value.big);
    object.via.array.ptr[1].convert(value.text);
    if (Opaque::database != nullptr) (void)Opaque::database->begin().read(value.big);
    return value;
  }
};

namespace {

std::size_t charge_of(const Opaque& value) {
  auto* address = const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&value));
  return detail::state_at(address)->charge();
}

TEST(NestedCharge, IsWhatTheValueKeeps) {
  if (!detail::HeapMeter::counts()) GTEST_SKIP() << "nobody counts allocations";
  MemoryStore store;
  Database db(store);
  Ref<Opaque> opaque = db.transact([](Transaction& txn) {
    Ref<Big> big = txn.create(Big{std::string(1 << 20, 'x')});
    return txn.create(Opaque{big, std::string(10'000, 'y')});
  });
  db.evict_all();
  std::size_t alone = charge_of(db.begin().read(Ref<Opaque>(opaque.oid())));
  db.evict_all();
  Opaque::database = &db;
  std::size_t nested = charge_of(db.begin().read(Ref<Opaque>(opaque.oid())));
  Opaque::database = nullptr;
  EXPECT_GE(alone, 10'000U);
  EXPECT_LT(nested, alone + 4096) << "the object that the codec read was charged as well";
  EXPECT_GE(nested, alone - std::min<std::size_t>(alone, 4096));
}

}  // namespace
}  // namespace cow
