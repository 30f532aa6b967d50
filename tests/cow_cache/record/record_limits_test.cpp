// What a commit accepts can be read back, bit for bit; what cannot is refused before anything is written, by name.
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {

using cow::detail::decode_record;
using cow::detail::encode_record;
using cow::detail::kMaxRecordBytes;

namespace {

// Nesting. Each type nests in another way, one MessagePack level at each step.

struct Tree {
  static constexpr std::string_view cow_type_name = "test.Tree";
  std::vector<Tree> children;
  MSGPACK_DEFINE_MAP(children);
  static constexpr int kLevelsOfStep = 2;
  static Tree nested(int steps) {
    Tree tree;
    for (int i = 1; i < steps; ++i) {
      Tree parent;
      parent.children.push_back(std::move(tree));
      tree = std::move(parent);
    }
    return tree;
  }
};

struct Chain {
  static constexpr std::string_view cow_type_name = "test.Chain";
  std::shared_ptr<Chain> next;
  MSGPACK_DEFINE(next);
  static constexpr int kLevelsOfStep = 1;
  static Chain nested(int steps) {
    Chain chain;
    for (int i = 1; i < steps; ++i) chain = Chain{std::make_shared<Chain>(std::move(chain))};
    return chain;
  }
};

/// Describes itself by hand, several containers in one function.
struct ByHand {
  static constexpr std::string_view cow_type_name = "test.ByHand";
  std::uint32_t levels = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    for (std::uint32_t i = 0; i < levels; ++i) packer.pack_array(1);
    packer.pack(levels);
  }
  void msgpack_unpack(const msgpack::object& object) {
    const msgpack::object* at = &object;
    while (at->type == msgpack::type::ARRAY) at = at->via.array.ptr;
    levels = at->as<std::uint32_t>();
  }
  static constexpr int kLevelsOfStep = 1;
  static ByHand nested(int steps) { return {static_cast<std::uint32_t>(steps)}; }
};

struct ByCodec {
  static constexpr std::string_view cow_type_name = "test.ByCodec";
  std::string bytes;
  static constexpr int kLevelsOfStep = 1;
  static ByCodec nested(int steps) { return {std::string(static_cast<std::size_t>(steps), '\x91') + '\x07'}; }
};

}  // namespace

template <>
struct Codec<ByCodec> {
  static void encode(const ByCodec& value, std::string& out) { out += value.bytes; }
  static ByCodec decode(const msgpack::object& object, std::uint32_t) {
    ByCodec value;
    detail::StringSink sink{value.bytes};
    msgpack::pack(sink, object);
    return value;
  }
};

namespace {

template <class T>
std::string record_of(const T& value) {
  std::string record;
  encode_record(value, record, Oid{1});
  return record;
}

template <class T>
class Nesting : public ::testing::Test {};
using NestingTypes = ::testing::Types<Tree, Chain, ByHand, ByCodec>;
TYPED_TEST_SUITE(Nesting, NestingTypes);

TYPED_TEST(Nesting, IsReadBackOrRefusedByName) {
  constexpr int kMaxSteps = static_cast<int>(detail::kDeepestNesting) / TypeParam::kLevelsOfStep;
  MemoryStore memory;
  testing::CountingStore store(memory);
  Database db(store);
  for (int steps : {1, 2, kMaxSteps - 1, kMaxSteps, kMaxSteps + 1, kMaxSteps + 2, 2 * kMaxSteps}) {
    SCOPED_TRACE(std::to_string(steps) + " steps");
    const TypeParam value = TypeParam::nested(steps);
    const int commits = store.commits;
    Ref<TypeParam> reference;
    try {
      reference = db.transact([&](Transaction& txn) { return reference = txn.create(value); });
    } catch (const UnstorableValueError& error) {
      EXPECT_GT(steps, kMaxSteps);
      EXPECT_EQ(error.oid, reference.oid());
      EXPECT_EQ(error.type, TypeParam::cow_type_name);
      EXPECT_NE(std::string(error.what()).find("oid " + std::to_string(reference.oid().value)), std::string::npos);
      EXPECT_EQ(store.commits, commits) << "written all the same";
      EXPECT_THROW(db.begin().read(reference), DanglingReferenceError);
      continue;
    }
    EXPECT_LE(steps, kMaxSteps);
    db.evict_all();
    Transaction txn = db.begin();
    EXPECT_EQ(record_of(txn.read(reference)), record_of(value));
  }
}

struct Wide {
  std::vector<std::vector<int>> rows;
  MSGPACK_DEFINE(rows);
};
struct WideByHand {
  std::uint32_t count = 5000;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(count);
    for (std::uint32_t i = 0; i < count; ++i) packer.pack_array(1).pack(i);
  }
  void msgpack_unpack(const msgpack::object& object) { count = object.via.array.size; }
};

TEST(RecordLimits, ManyContainersSideBySideAreNoNesting) {
  Wide wide{std::vector<std::vector<int>>(5000)};
  wide.rows.back().push_back(1);
  EXPECT_EQ(decode_record<Wide>(record_of(wide), Oid{1}, Tid{1}).rows, wide.rows);
  EXPECT_EQ(decode_record<WideByHand>(record_of(WideByHand{}), Oid{1}, Tid{1}).count, 5000u);
}

TEST(RecordLimits, ACircleOfPointersIsRefused) {
  auto chain = std::make_shared<Chain>();
  chain->next = chain;
  std::string record;
  EXPECT_THROW(encode_record(*chain, record, Oid{7}), UnstorableValueError);
  chain->next.reset();
}

TEST(RecordLimits, ARecordOfMoreThanTwoGigabytesIsRefused) {
  EXPECT_NO_THROW(detail::check_record_size(kMaxRecordBytes, Oid{7}, "test.Large"));
  try {
    detail::check_record_size(kMaxRecordBytes + 1, Oid{7}, "test.Large");
    FAIL();
  } catch (const UnstorableValueError& error) {
    EXPECT_EQ(error.oid, Oid{7});
    EXPECT_EQ(error.type, "test.Large");
  }
}

// Form: what a codec or a description by hand writes is exactly one value.

TEST(RecordLimits, ACodecThatDoesNotWriteOneValueIsRefused) {
  using namespace std::string_literals;
  const std::pair<const char*, std::string> cases[] = {
      {"nothing", ""},
      {"two values", "\x01\x02"},
      {"a byte that means nothing", "\xc1"},
      {"a number cut off", "\xcd\x01"},
      {"a header cut off", "\xdc\x01"},
      {"a string cut off",
       "\xa5"
       "abc"s},
      {"a binary value whose length was cut to 32 bits", "\xc6\0\0\0\x01"s + std::string(10, 'x')},
      {"an array of fewer elements than announced", "\x93\x01\x02"},
      {"an array of more elements than announced", "\x91\x01\x02"},
      {"a map without its last value", "\x82\x01\x02\x03"},
      {"an array of four billion", "\xdd\xff\xff\xff\xff"s},
      {"an extension without its bytes", "\xd7\x4f\0\0"s},
  };
  MemoryStore memory;
  testing::CountingStore store(memory);
  Database db(store);
  auto bystander = db.transact([](Transaction& txn) { return txn.create(Tree{}); });
  for (const auto& [what, bytes] : cases) {
    const int commits = store.commits;
    Ref<ByCodec> reference;
    try {
      db.transact([&, &bytes = bytes](Transaction& txn) {
        txn.write(bystander).children.emplace_back();
        reference = txn.create(ByCodec{bytes});
      });
      ADD_FAILURE() << what << ": not noticed";
    } catch (const UnstorableValueError& error) {
      EXPECT_EQ(error.oid, reference.oid()) << what;
    }
    EXPECT_EQ(store.commits, commits) << what;
    EXPECT_TRUE(db.begin().read(bystander).children.empty()) << what;
  }
  // Every form of header is passed right.
  for (const std::string& right : {"\x07"s,
                                   "\xff"s,
                                   "\xc0"s,
                                   "\xc2"s,
                                   "\xc3"s,
                                   "\xca\0\0\0\0"s,
                                   "\xcb\0\0\0\0\0\0\0\0"s,
                                   "\xcc\x80"s,
                                   "\xcd\1\0"s,
                                   "\xce\0\1\0\0"s,
                                   "\xcf\0\0\0\1\0\0\0\0"s,
                                   "\xd0\x80"s,
                                   "\xd1\x80\0"s,
                                   "\xd2\x80\0\0\0"s,
                                   "\xd3\x80\0\0\0\0\0\0\0"s,
                                   "\xd4\x01x"s,
                                   "\xd5\x01xx"s,
                                   "\xd6\x01xxxx"s,
                                   "\xd7\x01xxxxxxxx"s,
                                   "\xd8\x01xxxxxxxxxxxxxxxx"s,
                                   "\xc7\x03\x01xxx"s,
                                   "\xc8\0\1\1x"s,
                                   "\xc9\0\0\0\1\1x"s,
                                   "\xc4\x01x"s,
                                   "\xc5\0\1x"s,
                                   "\xc6\0\0\0\1x"s,
                                   "\xa0"s,
                                   "\xa1x"s,
                                   "\xd9\x01x"s,
                                   "\xda\0\1x"s,
                                   "\xdb\0\0\0\1x"s,
                                   "\x90"s,
                                   "\x92\1\x90"s,
                                   "\xdc\0\1\1"s,
                                   "\xdd\0\0\0\1\1"s,
                                   "\x80"s,
                                   "\x81\1\x80"s,
                                   "\xde\0\1\1\1"s,
                                   "\xdf\0\0\0\1\1\1"s}) {
    EXPECT_EQ(detail::fault_of(right), nullptr) << static_cast<int>(static_cast<unsigned char>(right[0]));
    EXPECT_NO_THROW(msgpack::unpack(right.data(), right.size()));
    EXPECT_NE(detail::fault_of(right + '\0'), nullptr);
    for (std::size_t size = 0; size < right.size(); ++size) {
      EXPECT_NE(detail::fault_of(right.substr(0, size)), nullptr) << size;
    }
  }
}

struct Miscounted {
  int announced = 2;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_map(static_cast<std::uint32_t>(announced));
    for (int i = 0; i < 2; ++i) packer.pack(i).pack(i);
  }
  void msgpack_unpack(const msgpack::object& object) { announced = static_cast<int>(object.via.map.size); }
};
struct HoldsMiscounted {
  std::vector<Miscounted> all;
  MSGPACK_DEFINE(all);
};

TEST(RecordLimits, ADescriptionByHandIsCountedWhereverItStands) {
  EXPECT_NO_THROW(record_of(HoldsMiscounted{{{2}, {2}}}));
  EXPECT_THROW(record_of(HoldsMiscounted{{{2}, {3}}}), UnstorableValueError);
  EXPECT_THROW(record_of(HoldsMiscounted{{{2}, {1}}}), UnstorableValueError);
  EXPECT_THROW(record_of(Miscounted{3}), UnstorableValueError);
}

// Values at the ends of their types.

template <class T>
T through_a_record(const T& value) {
  return decode_record<T>(record_of(value), Oid{1}, Tid{1});
}

struct Doubles {
  std::vector<double> wide;
  std::vector<float> narrow;
  MSGPACK_DEFINE(wide, narrow);
};

TEST(RecordLimits, FloatingPointKeepsEveryBit) {
  using Wide = std::numeric_limits<double>;
  using Narrow = std::numeric_limits<float>;
  Doubles values{{0.0,
                  -0.0,
                  1,
                  -1,
                  0.1,
                  -0.1,
                  1e300,
                  0x1p53,
                  0x1p53 + 2,
                  0x1p63,
                  -0x1p63,
                  0x1p64,
                  -0x1p64,
                  0x1.fffffffffffffp63,
                  Wide::min(),
                  Wide::denorm_min(),
                  -Wide::denorm_min(),
                  Wide::max(),
                  Wide::lowest(),
                  Wide::infinity(),
                  -Wide::infinity(),
                  Wide::quiet_NaN(),
                  -Wide::quiet_NaN(),
                  std::bit_cast<double>(0x7ff8'dead'beef'0001),
                  std::bit_cast<double>(0x7ff0'dead'beef'0001)},
                 {0.0f, -0.0f, 1, -1, 0.1f, 0x1p24f, 0x1p63f, -0x1p63f, 0x1p64f, Narrow::min(), Narrow::denorm_min(),
                  Narrow::max(), Narrow::lowest(), Narrow::infinity(), -Narrow::infinity(), Narrow::quiet_NaN(),
                  -Narrow::quiet_NaN(), std::bit_cast<float>(0x7fc0'beefu)}};
  Doubles read = through_a_record(values);
  ASSERT_EQ(read.wide.size(), values.wide.size());
  ASSERT_EQ(read.narrow.size(), values.narrow.size());
  for (std::size_t i = 0; i < read.wide.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read.wide[i]), std::bit_cast<std::uint64_t>(values.wide[i]))
        << values.wide[i];
  }
  for (std::size_t i = 0; i < read.narrow.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(read.narrow[i]), std::bit_cast<std::uint32_t>(values.narrow[i]))
        << values.narrow[i];
  }
}

enum class Colour : std::uint8_t { red, green = 255 };

}  // namespace
}  // namespace cow

MSGPACK_ADD_ENUM(cow::Colour)

namespace cow {
namespace {

template <class... T>
struct Ends {
  std::tuple<T..., T...> ends{std::numeric_limits<T>::min()..., std::numeric_limits<T>::max()...};
  MSGPACK_DEFINE(ends);
};

TEST(RecordLimits, IntegersKeepTheirEnds) {
  Ends<bool, char, signed char, unsigned char, short, unsigned short, int, unsigned, long, unsigned long, long long,
       unsigned long long>
      ends;
  auto read = ends;
  read.ends = {};
  read = through_a_record(ends);
  EXPECT_EQ(read.ends, ends.ends);
}

struct Times {
  std::vector<std::chrono::system_clock::time_point> fine;
  std::vector<std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>> coarse;
  Colour colour = Colour::red;
  MSGPACK_DEFINE(fine, coarse, colour);
  bool operator==(const Times&) const = default;
};

TEST(RecordLimits, TimesAndEnumsComeBack) {
  using std::chrono::nanoseconds;
  using std::chrono::seconds;
  Times times;
  times.colour = Colour::green;
  for (std::int64_t count :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{999'999'999}, std::int64_t{-999'999'999},
        std::int64_t{1'700'000'000'123'456'789}, std::int64_t{-1'700'000'000'123'456'789},
        std::int64_t{4'294'967'296'000'000'000}, std::int64_t{-1'000'000'000}}) {
    times.fine.emplace_back(nanoseconds(count));
    times.coarse.emplace_back(seconds(count / 1'000'000'000));
  }
  times.coarse.push_back(decltype(times.coarse)::value_type::max());
  times.coarse.push_back(decltype(times.coarse)::value_type::min());
  EXPECT_EQ(through_a_record(times), times);
}

TEST(RecordLimits, ATimeThatItsTypeCannotHoldIsACorruptRecord) {
  auto record = [](std::int64_t seconds) {
    Times times;
    times.coarse.emplace_back(std::chrono::seconds(seconds));
    std::string bytes(detail::record_prefix<Times>.bytes, detail::record_prefix<Times>.size);
    detail::StringSink sink{bytes};
    msgpack::packer<detail::StringSink> packer(sink);
    packer.pack_array(3)
        .pack(times.coarse)
        .pack(times.fine)
        .pack(times.colour);  // the coarse ones in place of the fine
    detail::store_big_endian(bytes.data() + 2, detail::record_checksum(bytes));
    return bytes;
  };
  EXPECT_NO_THROW((void)decode_record<Times>(record(9'223'372'036), Oid{1}, Tid{1}));
  EXPECT_NO_THROW((void)decode_record<Times>(record(-9'223'372'036), Oid{1}, Tid{1}));
  for (std::int64_t seconds : {std::int64_t{9'223'372'037}, std::int64_t{-9'223'372'038},
                               std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    EXPECT_THROW((void)decode_record<Times>(record(seconds), Oid{1}, Tid{1}), UnfitRecordError) << seconds;
  }
}

// A codec that decodes another record meanwhile.

struct Inner {
  std::vector<std::string> texts;
  MSGPACK_DEFINE(texts);
};
struct Outer {
  std::string before, inner, after;
};

}  // namespace

template <>
struct Codec<Outer> {
  static void encode(const Outer& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::packer<detail::StringSink> packer(sink);
    packer.pack_array(3).pack(value.before).pack(value.inner).pack(value.after);
  }
  static Outer decode(const msgpack::object& object, std::uint32_t) {
    if (object.type != msgpack::type::ARRAY || object.via.array.size != 3) throw msgpack::type_error();
    const msgpack::object* fields = object.via.array.ptr;
    Outer value;
    value.before = fields[0].as<std::string>();
    (void)decode_record<Inner>(fields[1].as<std::string>(), Oid{2}, Tid{1});
    value.inner = fields[1].as<std::string>();  // these objects are still there
    value.after = fields[2].as<std::string>();
    return value;
  }
};

namespace {

TEST(RecordLimits, ACodecMayDecodeAnotherRecord) {
  Outer outer{"before", record_of(Inner{{"text", std::string(1000, 'x')}}), "after"};
  Outer read = through_a_record(outer);
  EXPECT_EQ(read.before, "before");
  EXPECT_EQ(read.inner, outer.inner);
  EXPECT_EQ(read.after, "after");
}

}  // namespace
}  // namespace cow
