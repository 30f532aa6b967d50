// Keys: types and caches that must not be taken for each other, and what happens when the numbers run out.
#include "cow_cache/detail/state/key.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {

using cow::detail::CacheTag;
using cow::detail::decode_state;
using cow::detail::destroy_state;
using cow::detail::erased_operations;
using cow::detail::kDeadMark;
using cow::detail::kMaxValueBytes;
using cow::detail::kNoCache;
using cow::detail::kTypeMask;
using cow::detail::kUnnumberedType;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::type_bits;
using cow::detail::TypeOperations;

namespace {

template <int kNumber>
struct Numbered {
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

template <std::size_t... kNumbers>
std::set<std::uint64_t> bits_of_types(std::index_sequence<kNumbers...>) {
  return {type_bits<Numbered<static_cast<int>(kNumbers)>>()...};
}

TEST(Key, TypesDiffer) {
  EXPECT_EQ(bits_of_types(std::make_index_sequence<50>()).size(), 50u);
  EXPECT_EQ(type_bits<Numbered<7>>(), type_bits<Numbered<7>>());
  EXPECT_EQ(type_bits<Numbered<7>>() & ~kTypeMask, 0u);
  EXPECT_NE(type_bits<Numbered<7>>(), 0u);
}

// Publishing cannot fail, and needs the number, which takes memory the first time.
TEST(Key, ATypeHasItsNumberBeforeAStateOfItIsBuilt) {
  static bool has_memory = false;
  TypeOperations operations = erased_operations;
  operations.type_bits = []() -> std::uint64_t {
    if (!has_memory) throw std::bad_alloc();
    return kUnnumberedType;
  };
  auto build = [&]() -> StateHeader& { return decode_state(Revision{}, Oid{7}, operations); };
  std::size_t in_use = StateMemory::instance().usage().in_use();
  EXPECT_THROW(build(), std::bad_alloc);
  EXPECT_EQ(StateMemory::instance().usage().in_use(), in_use);
  has_memory = true;
  destroy_state(build());
}

TEST(Key, CachesDifferWhileTheyLiveAndGiveTheirNumbersBack) {
  std::uint64_t first = 0;
  for (int round = 0; round < 10'000; ++round) {  // more than there are numbers
    CacheTag one, other;
    ASSERT_NE(one.bits(), other.bits());
    ASSERT_NE(one.bits(), kNoCache);
    ASSERT_NE(other.bits(), kNoCache);
    if (round == 0) first = one.bits();
  }
  std::vector<std::unique_ptr<CacheTag>> tags;
  EXPECT_THROW(while (tags.size() < 5'000) tags.push_back(std::make_unique<CacheTag>()), LimitError);
  EXPECT_GE(tags.size(), 4'000u);
  tags.clear();
  EXPECT_NE(first, 0u);
  EXPECT_NO_THROW(CacheTag());
}

TEST(Key, ACacheOwnsItsLiveKeysOnly) {
  CacheTag one, other;
  std::uint64_t key = one.bits() | type_bits<Numbered<1>>() | 42;
  EXPECT_TRUE(one.owns(key));
  EXPECT_FALSE(other.owns(key));
  EXPECT_FALSE(one.owns(key | kDeadMark));
  EXPECT_FALSE(one.owns(0));
}

// The last tests: from here on every new type of this program is unnumbered.
TEST(Key, TypesBeyondTheNumbersAreFoundByOid) {
  EXPECT_GE(bits_of_types(std::make_index_sequence<2'200>()).size(), 2'000u);
  using Late = Numbered<1'000'000>;
  using Later = Numbered<1'000'001>;
  ASSERT_EQ(type_bits<Late>(), kUnnumberedType);
  ASSERT_EQ(type_bits<Later>(), kUnnumberedType);
  MemoryStore store;
  Database database(store, {});
  Ref<Late> late = database.transact([](Transaction& txn) { return txn.create(Late{.value = 1}); });
  Ref<Later> later = database.transact([](Transaction& txn) { return txn.create(Later{.value = 2}); });
  for (int round = 0; round < 3; ++round) {
    Transaction txn = database.begin();
    EXPECT_EQ(txn.read(late).value, 1 + round);
    EXPECT_EQ(txn.read(later).value, 2);
    EXPECT_THROW(txn.read(Ref<Later>(late.oid())), TypeMismatchError);
    EXPECT_THROW(txn.read(Ref<Late>(later.oid())), TypeMismatchError);
    EXPECT_THROW(txn.write(Ref<Later>(late.oid())), TypeMismatchError);
    txn.write(late).value += 1;
    EXPECT_EQ(txn.read(late).value, 2 + round);
    txn.commit();
  }
  Transaction old = database.begin();
  database.transact([&](Transaction& txn) { txn.erase(late); });
  Transaction txn = database.begin();
  EXPECT_THROW(txn.read(late), DanglingReferenceError);
  EXPECT_THROW(txn.write(late), DanglingReferenceError);
  EXPECT_THROW(txn.read(Ref<Later>(late.oid())), DanglingReferenceError);
  EXPECT_EQ(old.read(late).value, 4);
}

struct Vast {
  int value = 0;
  std::array<char, kMaxValueBytes - sizeof(int)> unused = {};
  MSGPACK_DEFINE_MAP(value);
};
static_assert(sizeof(Vast) == kMaxValueBytes);

// The address of its operations has room in the slot as well.
TEST(Key, ATypeBeyondTheNumbersMayBeAsLargeAsAnyOther) {
  ASSERT_EQ(type_bits<Vast>(), kUnnumberedType);
  MemoryStore store;
  Database database(store, {});
  Ref<Vast> vast = database.transact([](Transaction& txn) {
    auto value = std::make_unique<Vast>();
    value->value = 7;
    value->unused.fill('x');
    return txn.create(*value);
  });
  database.transact([&](Transaction& txn) { txn.write(vast).value += 1; });
  database.evict_all();
  EXPECT_EQ(database.begin().read(vast).value, 8);
}

}  // namespace
}  // namespace cow
