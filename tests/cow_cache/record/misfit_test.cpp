// Records that do not fit the program's type: the error names the field, what stands there and what was wanted, and it is no
// "corrupt" record. All who wait for a load get it.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow {
namespace {

struct LineBefore {
  std::string article;
  std::int64_t count = 0;
  MSGPACK_DEFINE_MAP(article, count);
};
struct Item {
  std::string article;
  std::int8_t count = 0;
  MSGPACK_DEFINE_MAP(article, count);
};
struct PointBefore {
  std::string x;
  int y = 0;
  MSGPACK_DEFINE(x, y);
};
struct Point {
  int x = 0, y = 0;
  MSGPACK_DEFINE(x, y);
};

/// The type of today, by either macro.
template <int kMacro>
struct Author;
template <>
struct Author<0> {
  static constexpr std::string_view cow_type_name = "cms.User";
  std::int32_t born = 0;
  std::vector<Item> lines;
  std::map<std::string, Point> points;
  std::optional<Item> home;
  std::vector<std::string> tags;
  std::chrono::system_clock::time_point since;
  Ref<Author> boss;
  std::pair<int, bool> pair;
  MSGPACK_DEFINE_MAP(born, lines, points, home, tags, since, boss, pair);
};
template <>
struct Author<1> {
  static constexpr std::string_view cow_type_name = "cms.User";
  std::int32_t born = 0;
  std::vector<Item> lines;
  std::map<std::string, Point> points;
  std::optional<Item> home;
  std::vector<std::string> tags;
  std::chrono::system_clock::time_point since;
  Ref<Author> boss;
  std::pair<int, bool> pair;
  COW_CACHE_DEFINE_MAP(born, lines, points, home, tags, since, boss, pair)
};

/// A record of `type` around one value.
template <class T>
std::string sealed(const T& value, std::string_view type = "cms.User", unsigned char schema = 1) {
  std::string record = std::string("\x94\xce\0\0\0\0", 6) + static_cast<char>(0xa0 | type.size()) + std::string(type) +
                       static_cast<char>(schema);
  detail::StringSink sink{record};
  msgpack::pack(sink, value);
  detail::store_big_endian(record.data() + 2, detail::record_checksum(record));
  return record;
}

template <class T>
void expect_misfit(const std::string& record, std::string_view field, std::string_view why) {
  try {
    (void)detail::decode_record<T>(record, Oid{42}, Tid{7});
    ADD_FAILURE() << field << ": was read";
  } catch (const UnfitRecordError& error) {
    EXPECT_EQ(error.oid, Oid{42});
    EXPECT_EQ(error.tid, Tid{7});
    EXPECT_EQ(error.type, type_name<T>());
    EXPECT_EQ(error.schema, 1u);
    EXPECT_EQ(error.field, field);
    const std::string at = field.empty() ? "" : "field `" + std::string(field) + "` of ";
    EXPECT_EQ(std::string(error.what()), "record of oid 42 at tid 7 does not fit: " + at + "'" + error.type +
                                             "': " + std::string(why) + "; schema 1 wrote it");
  }
}

template <class Value>
void expect_misfit(const char* member, const Value& value, std::string_view field, std::string_view why) {
  const std::string record = sealed(std::map<std::string, Value>{{member, value}});
  expect_misfit<Author<0>>(record, field, why);
  expect_misfit<Author<1>>(record, field, why);
}

TEST(Misfit, NamesTheField) {
  expect_misfit("born", std::string("1815"), "born", "a string, not an integer");
  expect_misfit("born", 1e300, "born", "a floating point number, not an integer");
  expect_misfit("born", std::int64_t{1} << 40, "born", "the integer 1099511627776, which 32 bits do not hold");
  expect_misfit("born", msgpack::type::nil_t{}, "born", "nil, not an integer");
  expect_misfit("tags", std::string("a"), "tags", "a string, not an array");
  expect_misfit("since", 3, "since", "the integer 3, not a point in time");
  expect_misfit("boss", std::string("Ada"), "boss", "a string, not a reference");
  expect_misfit("pair", std::map<int, int>{}, "pair", "a map, not an array");
}

TEST(Misfit, NamesThePlaceInsideOfAField) {
  expect_misfit("lines", std::vector<LineBefore>{{"pen", 1}, {"ink", 300}}, "lines[1].count",
                "the integer 300, which 8 bits do not hold");
  expect_misfit("lines", std::vector<int>{1}, "lines[0]", "the integer 1, not a map");
  expect_misfit("lines", std::vector<std::map<int, int>>{{{1, 2}}}, "lines[0]",
                "a map with the integer 1 in the place of a name");
  expect_misfit("points", std::map<std::string, PointBefore>{{"a", {"one", 1}}}, "points[\"a\"].0",
                "a string, not an integer");
  expect_misfit("points", std::map<int, Point>{{5, {}}}, "points[key 5]", "the integer 5, not a string");
  expect_misfit("home", LineBefore{"pen", -129}, "home.count", "the integer -129, which 8 bits do not hold");
  expect_misfit("tags", std::vector<int>{1}, "tags[0]", "the integer 1, not a string");
}

TEST(Misfit, OfTheWholeValueNamesNoField) {
  expect_misfit<Author<0>>(sealed(std::vector<int>{1}), "", "an array of 1, not a map");
  expect_misfit<Author<1>>(sealed(std::string("Ada")), "", "a string, not a map");
}

struct Holder {
  static constexpr std::string_view cow_type_name = "test.Holder";
  std::map<std::string, int> table;
  MSGPACK_DEFINE(table);

  static constexpr std::uint32_t cow_schema = 2;
  static Holder cow_upgrade(const msgpack::object&, std::uint32_t) { throw std::runtime_error("not any more"); }
};

TEST(Misfit, OfAnUpgradeSaysWhatTheUpgradeSays) {
  expect_misfit<Holder>(sealed(std::vector<int>{1}, "test.Holder"), "", "cow_upgrade: not any more");
}

TEST(Misfit, ADamagedRecordIsCorruptStill) {
  std::string record = sealed(std::map<std::string, int>{{"born", 1815}});
  record.back() ^= 1;
  EXPECT_THROW((void)detail::decode_record<Author<0>>(record, Oid{1}, Tid{1}), CorruptRecordError);
  std::string two = sealed(std::map<std::string, int>{{"born", 1815}}) + '\xc0';
  detail::store_big_endian(two.data() + 2, detail::record_checksum(two));
  EXPECT_THROW((void)detail::decode_record<Author<0>>(two, Oid{1}, Tid{1}), CorruptRecordError);
}

/// A store with one record besides what a database has put into it.
Oid put(MemoryStore& store, std::string_view record) {
  const Oid oid = store.allocate_oids(1).first;
  const ObjectWrite object{.oid = oid, .record = record};
  const TransactionWrite write{.tid = Tid{store.last_tid().value + 1}, .objects = {&object, 1}};
  store.commit({&write, 1});
  return oid;
}

TEST(Misfit, IsThrownByReadAndWriteAndTheTransactionGoesOn) {
  MemoryStore store;
  { Database empty(store); }
  const Oid old = put(store, sealed(std::map<std::string, std::string>{{"born", "1815"}}));
  const Oid newer = put(store, sealed(std::map<std::string, int>{{"born", 1815}}, "cms.User", 9));
  Database db(store);
  Transaction txn = db.begin();
  EXPECT_THROW((void)txn.read(Ref<Author<0>>(old)), UnfitRecordError);
  EXPECT_THROW((void)txn.write(Ref<Author<0>>(old)), UnfitRecordError);
  EXPECT_THROW((void)txn.read(Ref<Author<0>>(newer)), NewerSchemaError);
  EXPECT_THROW((void)txn.write(Ref<Author<0>>(newer)), NewerSchemaError);
  Ref<Author<0>> fresh = txn.create(Author<0>{});
  txn.commit();
  EXPECT_EQ(db.begin().read(fresh).born, 0);
}

}  // namespace
}  // namespace cow
