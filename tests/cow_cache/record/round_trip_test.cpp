// COW_CACHE_CHECKED=1: a commit whose record would not come back as it was is refused; one that would is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

static_assert(COW_CACHE_CHECKED, "the tests are built with it");

namespace cow {
namespace {

class RoundTrip : public ::testing::Test {
 protected:
  template <class T>
  void expect_accepted(const T& value) {
    EXPECT_NO_THROW(db.transact([&](Transaction& txn) { return txn.create(value); }));
  }
  template <class T>
  void expect_refused(const T& value) {
    const int commits = store.commits;
    Ref<T> reference;
    try {
      db.transact([&](Transaction& txn) { reference = txn.create(value); });
      ADD_FAILURE() << "not noticed";
    } catch (const RoundTripError& error) {
      EXPECT_EQ(error.oid, reference.oid());
      EXPECT_EQ(error.type, type_name<T>());
    }
    EXPECT_EQ(store.commits, commits);
    EXPECT_THROW(db.begin().read(reference), DanglingReferenceError);
  }

  MemoryStore memory;
  testing::CountingStore store{memory};
  Database db{store};
};

struct Hashed {
  std::unordered_map<std::string, std::unordered_set<int>> sets;
  std::unordered_multimap<int, std::optional<std::string>> many;
  std::unordered_multiset<double> numbers;
  std::map<int, std::unordered_map<int, int>> ordered;
  MSGPACK_DEFINE_MAP(sets, many, numbers, ordered);
};

TEST_F(RoundTrip, UnorderedContainersAreComparedAsSets) {
  Hashed hashed;
  hashed.sets.reserve(4000);  // another number of buckets than after decoding
  for (int i = 0; i < 300; ++i) {
    hashed.sets["set " + std::to_string(i % 20)].insert(i * 7919);
    hashed.many.emplace(i % 10, i % 3 == 0 ? std::nullopt : std::optional(std::to_string(i)));
    hashed.numbers.insert(i % 50);
    hashed.ordered[i % 5][i * 31] = i;
  }
  expect_accepted(hashed);
  expect_accepted(Hashed{});
}

struct WithNaN {
  double number = std::numeric_limits<double>::quiet_NaN();
  float narrow = std::numeric_limits<float>::signaling_NaN();
  MSGPACK_DEFINE(number, narrow);
  bool operator==(const WithNaN&) const = default;
};

TEST_F(RoundTrip, WhatDiffersFromItselfIsComparedByItsBits) { expect_accepted(WithNaN{}); }

struct Forgetful {
  int written = 0, forgotten = 0;
  MSGPACK_DEFINE(written);
  bool operator==(const Forgetful&) const = default;
};

TEST_F(RoundTrip, AMemberThatNobodyWritesIsNoticedByTheEquality) {
  expect_accepted(Forgetful{1, 0});
  expect_refused(Forgetful{1, 2});
}

/// Reads less than it writes.
struct Rounded {
  double number = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(number);
  }
  void msgpack_unpack(const msgpack::object& object) { number = std::floor(object.as<double>()); }
};
struct HoldsRounded {
  std::vector<Rounded> numbers;
  MSGPACK_DEFINE(numbers);
};

TEST_F(RoundTrip, AMemberThatComesBackOtherwiseIsNoticed) {
  expect_accepted(HoldsRounded{{{1}, {2}}});
  expect_refused(HoldsRounded{{{1}, {2.5}}});
}

/// What the compiler cannot know to be nil at times.
struct Nilable {
  bool nil = true;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    nil ? packer.pack_nil() : packer.pack(1);
  }
  void msgpack_unpack(const msgpack::object& object) { nil = object.is_nil(); }
};
struct HoldsNilable {
  std::optional<Nilable> maybe;
  MSGPACK_DEFINE(maybe);
};

TEST_F(RoundTrip, AnOptionalThatHoldsNilIsNoticed) {
  expect_accepted(HoldsNilable{});
  expect_accepted(HoldsNilable{Nilable{false}});
  expect_refused(HoldsNilable{Nilable{true}});
}

/// What a record holds is refused by what reads it.
struct OneWay {
  int number = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(number);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.as<int>() > 10) throw msgpack::type_error();
    number = object.as<int>();
  }
};

TEST_F(RoundTrip, WhatCannotBeReadAtAllIsNoticed) {
  expect_accepted(OneWay{10});
  expect_refused(OneWay{11});
}

// Codecs.

template <int kKind>
struct Coded {
  std::unordered_set<int> numbers;
};
using Comparable = Coded<0>;
using Incomparable = Coded<1>;
using Lossy = Coded<2>;
bool operator==(const Comparable& a, const Comparable& b) { return a.numbers == b.numbers; }
bool operator==(const Lossy& a, const Lossy& b) { return a.numbers == b.numbers; }

}  // namespace

template <int kKind>
struct Codec<Coded<kKind>> {
  static void encode(const Coded<kKind>& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::packer<detail::StringSink> packer(sink);
    packer.pack_array(static_cast<std::uint32_t>(value.numbers.size()));
    std::vector<int> numbers(value.numbers.begin(), value.numbers.end());
    if (kKind == 1) std::sort(numbers.begin(), numbers.end());
    for (int number : numbers) packer.pack(number);
  }
  static Coded<kKind> decode(const msgpack::object& object, std::uint32_t) {
    auto numbers = object.as<std::vector<int>>();
    if (kKind == 2 && numbers.size() > 3) numbers.pop_back();
    return {std::unordered_set<int>(numbers.rbegin(), numbers.rend())};
  }
};

namespace {

template <class T>
T coded(int count) {
  T value;
  value.numbers.reserve(10000);
  for (int i = 0; i < count; ++i) value.numbers.insert(i * 7919);
  return value;
}

TEST_F(RoundTrip, ACodecIsComparedByItsBytesOrByItsTypesEquality) {
  expect_accepted(coded<Comparable>(100));    // comes in another order
  expect_accepted(coded<Incomparable>(100));  // sorts
  expect_accepted(coded<Lossy>(3));
  expect_refused(coded<Lossy>(4));
}

// A container of one's own that has no order.

struct Bag {
  std::vector<int> numbers;
  auto begin() const { return numbers.begin(); }
  auto end() const { return numbers.end(); }
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(numbers);
  }
  void msgpack_unpack(const msgpack::object& object) {
    numbers = object.as<std::vector<int>>();
    std::reverse(numbers.begin(), numbers.end());
  }
};
struct OrderedBag : Bag {};
struct Bags {
  Bag bag;
  OrderedBag ordered;
  MSGPACK_DEFINE(bag, ordered);
};

}  // namespace

template <>
inline constexpr bool kUnordered<Bag> = true;

namespace {

TEST_F(RoundTrip, AContainerMaySayThatItHasNoOrder) {
  expect_accepted(Bags{{{1, 2, 3}}, {}});
  expect_refused(Bags{{}, {{{1, 2, 3}}}});
}

TEST_F(RoundTrip, WritesOfLoadedObjectsAreComparedToo) {
  auto reference = db.transact([](Transaction& txn) { return txn.create(Forgetful{1, 0}); });
  db.evict_all();
  EXPECT_THROW(db.transact([&](Transaction& txn) { txn.write(reference).forgotten = 3; }), RoundTripError);
  db.transact([&](Transaction& txn) { txn.write(reference).written = 3; });
  EXPECT_EQ(db.begin().read(reference).written, 3);
}

}  // namespace
}  // namespace cow
