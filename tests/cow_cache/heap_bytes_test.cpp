// What a state is charged for: the allocator knows it exactly. This program links jemalloc, which counts.
#include "cow_cache/heap_bytes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {

using cow::detail::clone_state;
using cow::detail::decode_state;
using cow::detail::destroy_state;
using cow::detail::encode_record;
using cow::detail::new_state;
using cow::detail::StateHeader;
using cow::detail::StateMemory;
using cow::detail::type_operations;
using cow::detail::value_of;
using cow::detail::weigh;
namespace size_classes = cow::detail::size_classes;

/// Keeps something on the heap that it does not write, and says so.
struct Memo {
  std::string text;
  std::vector<int> cached;
  MSGPACK_DEFINE(text);
};
template <>
struct HeapBytes<Memo> {
  static void add(const Memo& memo, HeapSum& sum) {
    sum.add(memo.text);
    sum.add(memo.cached);
  }
};

namespace {

const std::string kLong(100, 'x');

/// What the allocator says that a value takes: by building it under the meter.
template <class Make>
std::size_t measured(Make&& make) {
  detail::HeapMeter meter;
  [[maybe_unused]] auto value = make();
  return meter.kept();
}

/// Builds a value twice: what it takes must be what it says.
template <class Make>
void expect_exact(Make&& make) {
  auto value = make();
  HeapSum sum;
  sum.add(value);
  EXPECT_TRUE(sum.complete());
  EXPECT_EQ(sum.bytes(), measured(make));
}

/// What jemalloc adds to a block of this size and does not count.
std::size_t uncounted(std::size_t bytes) { return bytes < std::size_t{16} << 10 ? 0 : detail::padding_of_large(); }

TEST(HeapBytes, TheAllocatorCounts) {
  ASSERT_TRUE(detail::HeapMeter::counts()) << "this program must be linked with jemalloc";
  EXPECT_GE(measured([] { return std::vector<char>(1000); }), 1000u);
}

TEST(HeapBytes, ScalarsAndReferencesHaveNone) {
  expect_exact([] { return 7; });
  expect_exact([] { return std::array<double, 100>{}; });
  expect_exact([] { return Ref<int>(Oid{7}); });
}

TEST(HeapBytes, StringsInsideAndOutside) {
  for (std::size_t size : {0, 1, 15, 16, 17, 31, 100, 5000}) {
    expect_exact([&] { return std::string(size, 'x'); });
  }
  expect_exact([] {
    std::string grown;
    for (int i = 0; i < 100; ++i) grown.push_back('x');
    return grown;
  });
}

TEST(HeapBytes, LargeBlocksWithWhatTheAllocatorAddsToThem) {
  HeapSum sum;
  sum.add(std::string(100'000, 'x'));
  EXPECT_EQ(sum.bytes(), measured([] { return std::string(100'000, 'x'); }) + uncounted(100'000));
}

TEST(HeapBytes, VectorsWithTheRoomThatTheyKeep) {
  expect_exact([] { return std::vector<std::int64_t>(); });
  expect_exact([] { return std::vector<std::int64_t>(37); });
  expect_exact([] { return std::vector<bool>(1000); });
  expect_exact([] { return std::vector<Ref<int>>(50); });
  expect_exact([] {
    std::vector<std::string> grown;
    for (int i = 0; i < 37; ++i) grown.push_back(i % 2 == 0 ? kLong : "short");
    return grown;
  });
}

TEST(HeapBytes, TreesAndTables) {
  expect_exact([] { return std::map<int, std::string>{{1, kLong}, {2, "short"}}; });
  expect_exact([] { return std::multimap<std::string, int>{{kLong, 1}, {kLong, 2}}; });
  expect_exact([] { return std::set<std::uint8_t>{1, 2, 3}; });
  expect_exact([] { return std::list<std::string>{kLong, "short"}; });
  expect_exact([] { return std::unordered_set<std::int64_t>{}; });
  expect_exact([] { return std::unordered_set<std::int64_t>{1, 2, 3, 4, 5}; });
  expect_exact([] { return std::unordered_map<std::string, std::int64_t>{{kLong, 1}, {"short", 2}}; });
}

TEST(HeapBytes, WhatIsInsideOfValues) {
  expect_exact([] { return std::optional<std::string>(kLong); });
  expect_exact([] { return std::optional<std::string>(); });
  expect_exact([] { return std::tuple<int, std::string, std::pair<std::string, int>>{1, kLong, {kLong, 2}}; });
  expect_exact([] { return std::variant<int, std::string>(kLong); });
  expect_exact([] { return std::array<std::string, 3>{kLong, "", kLong}; });
}

// ---- states

struct Small {
  std::int64_t a = 0;
  std::array<std::int32_t, 8> more{};
  MSGPACK_DEFINE(a, more);
};

struct Named {
  std::string name, street, note;
  MSGPACK_DEFINE_MAP(name, street, note);
};

struct Folder {
  std::vector<Named> members;
  std::map<std::string, Ref<Named>> index;
  MSGPACK_DEFINE(members, index);
};

struct Table {
  std::vector<std::int64_t> numbers;
  std::unordered_map<std::string, std::vector<double>> columns;
  MSGPACK_DEFINE_MAP(numbers, columns);
};

struct Blob {
  std::string bytes;
  MSGPACK_DEFINE(bytes);
};

/// Written by hand, with a header that msgpack-cxx packs.
struct HandMade {
  std::string text;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2);
    packer.pack_str(2).pack_str_body("v1", 2);
    packer.pack(text);
  }
  void msgpack_unpack(const msgpack::object& object) { object.via.array.ptr[1].convert(text); }
};

/// Nobody knows what a deque has on the heap.
struct Unknown {
  std::deque<std::int64_t> numbers;
  MSGPACK_DEFINE(numbers);
};

/// What a committed state is charged with for its heap members, against what destroying it frees. `change` works on a
/// clone of `base`.
template <class T, class Change>
double charge_error(T base, Change&& change) {
  StateHeader& first = new_state(std::move(base));
  StateHeader& clone = clone_state(first);
  change(value_of<T>(clone));
  std::string record;
  clone.operations().encode(clone, Oid{1}, record);
  weigh(clone, record.size());
  double charged =
      static_cast<double>(clone.charge()) - static_cast<double>(size_classes::bytes_of(clone.size_class()));
  detail::HeapMeter meter;
  clone.operations().destroy(clone);
  double freed = -static_cast<double>(meter.change());
  StateMemory::instance().release(&clone);
  destroy_state(first);
  return charged - freed;
}

TEST(Charge, OfAChangedCloneIsWhatDestroyingItFrees) {
  EXPECT_EQ(charge_error(Small{}, [](Small& small) { small.a = 1; }), 0);
  EXPECT_EQ(charge_error(Named{kLong, "short", ""}, [](Named& named) { named.note += kLong; }), 0);
  EXPECT_EQ(charge_error(Named{kLong, kLong, kLong}, [](Named& named) { named = {}; }), 0);
  EXPECT_EQ(charge_error(Folder{},
                         [](Folder& folder) {
                           for (int i = 0; i < 40; ++i) {
                             folder.members.push_back({kLong, std::to_string(i), ""});
                             folder.index["a key that is too long for the inside " + std::to_string(i)] = {};
                           }
                         }),
            0);
  EXPECT_EQ(charge_error(Table{},
                         [](Table& table) {
                           for (int i = 0; i < 300; ++i) table.numbers.push_back(i);
                           for (int i = 0; i < 20; ++i) table.columns[std::to_string(i)].resize(33);
                         }),
            0);
  EXPECT_EQ(charge_error(Blob{std::string(10'000, 'x')}, [](Blob& blob) { blob.bytes.resize(100'000); }),
            uncounted(100'000));
  EXPECT_EQ(charge_error(HandMade{kLong}, [](HandMade& object) { object.text += kLong; }), 0);
  EXPECT_EQ(charge_error(Memo{kLong, {}}, [](Memo& memo) { memo.cached.resize(1000); }), 0);
}

TEST(Charge, OfATypeThatIsNotKnownIsAtLeastWhatItsRecordSays) {
  double error = charge_error(Unknown{}, [](Unknown& unknown) { unknown.numbers.resize(10'000, 1'000'000); });
  EXPECT_GE(error, -50'000) << "five bytes of eight are in the record";
  EXPECT_LE(error, 0);
}

/// Has something on the heap as soon as it is built, and does not write it.
struct Prepared {
  std::vector<int> room = std::vector<int>(1000);
  std::int64_t number = 0;
  MSGPACK_DEFINE(number);
};

TEST(Charge, OfALoadedStateIsWhatItsDecodingAllocated) {
  std::string record;
  encode_record(Prepared{}, record);
  Revision revision{.begin = Tid{1}, .end = kInfinity, .record = record};
  StateHeader& state = decode_state(revision, Oid{1}, type_operations<Prepared>);
  EXPECT_EQ(state.charge() - size_classes::bytes_of(state.size_class()), detail::allocation_size(4000));
  destroy_state(state);
}

TEST(Charge, AddedAtTheInstallIsSubtractedAtTheKill) {
  MemoryStore store;
  Database db(store);
  std::vector<Ref<Folder>> folders;
  for (int i = 0; i < 20; ++i) {
    folders.push_back(db.transact([](Transaction& txn) { return txn.create(Folder{}); }));
  }
  for (int round = 0; round < 10; ++round) {
    for (const Ref<Folder>& folder : folders) {
      db.transact([&](Transaction& txn) {
        Folder& mine = txn.write(folder);
        round % 3 == 2 ? mine.members.clear() : mine.members.push_back({kLong, kLong, "short"});
      });
    }
    if (round % 4 == 3) db.evict_all();
  }
  EXPECT_GT(db.statistics().heap_bytes, 0u);
  db.evict_all();
  Statistics statistics = db.statistics();
  EXPECT_EQ(statistics.cache_bytes, 0u);
  EXPECT_EQ(statistics.heap_bytes, 0u);
  EXPECT_EQ(statistics.limbo_bytes, 0u);
}

}  // namespace
}  // namespace cow
