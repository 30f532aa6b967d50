// Programs that change their types: nothing that a store has is lost unnoticed. Each case is a program before and one after it, as
// two types with one name in records.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "cow_cache/broken.hpp"
#include "cow_cache/cow_cache.hpp"
#include "cow_cache/field_set.hpp"
#include "cow_cache/migrate.hpp"
#include "cow_cache/store/hears_of_types.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

// Field sets.

struct Line {
  std::string article;
  std::int16_t count = 0;
  MSGPACK_DEFINE_MAP(article, count);
};
struct Pair {
  float x = 0;
  double y = 0;
  MSGPACK_DEFINE(x, y);
};
struct Base {
  bool flag = false;
  MSGPACK_DEFINE_MAP(flag);
};
template <int kMacro>
struct Everything;
template <>
struct Everything<0> : Base {
  static constexpr std::string_view cow_type_name = "test.Everything";
  std::string text;
  std::uint8_t number = 0;
  std::vector<Line> lines;
  std::map<std::string, Pair> table;
  std::optional<Line> one;
  std::tuple<int, Pair> both;
  std::vector<char> bytes;
  Ref<Line> reference;
  std::vector<Everything> same;
  MSGPACK_DEFINE_MAP(MSGPACK_BASE_MAP(Base), text, MSGPACK_NVP("n", number), lines, table, one, both, bytes, reference,
                     same);
};

std::string text_of(const FieldSet& set) {
  std::string text = set.form + ':';
  for (const Field& field : set.fields) text += ' ' + field.name + '=' + field.type;
  return text;
}

TEST(FieldSets, HaveNamesAndTypesOfAllFields) {
  EXPECT_EQ(text_of(detail::field_set_of<Everything<0>>()),
            "map: Base=struct Base.flag=bool text=str n=int lines=list<struct> lines[].article=str lines[].count=int "
            "table=map<str, struct> table{}.0=float32 table{}.1=float64 one=struct? one.article=str one.count=int "
            "both=tuple<int, struct> both.1.0=float32 both.1.1=float64 bytes=bin reference=ref same=list<struct>");
  EXPECT_EQ(text_of(detail::field_set_of<Pair>()), "array: 0=float32 1=float64");
  EXPECT_EQ(text_of(detail::field_set_of<std::vector<Line>>()), "value: =list<struct> [].article=str [].count=int");
}

template <class T>
concept Lists = detail::lists_all_members<T>();

struct ListsAll {
  std::string text;
  char code[4] = {};
  std::optional<int> maybe;
  Line line;
  COW_CACHE_DEFINE_MAP(text, code, maybe, line)
};
struct ListsFewer {
  std::string text;
  char code[4] = {};
  std::optional<int> maybe;
  Line line;
  COW_CACHE_DEFINE_MAP(text, maybe, line)
};
struct LeavesOneOut {
  static constexpr std::size_t cow_members_left_out = 1;
  std::string text;
  int computed = 0;
  COW_CACHE_DEFINE_ARRAY(text)
};
struct LeavesTwoOut {
  static constexpr std::size_t cow_members_left_out = 1;
  std::string text;
  int computed = 0;
  std::vector<int> more;
  COW_CACHE_DEFINE_ARRAY(text)
};
struct OneVector {
  std::vector<std::string> texts;
  COW_CACHE_DEFINE_MAP(texts)
};
static_assert(Lists<ListsAll> && Lists<LeavesOneOut> && Lists<OneVector> && Lists<Line>);
static_assert(!Lists<ListsFewer> && !Lists<LeavesTwoOut>);

// A store in which one program has been, and then another one.

template <int kVersion>
struct User;

#define COW_TEST_USER(VERSION, SCHEMA)                          \
  static constexpr std::string_view cow_type_name = "cms.User"; \
  static constexpr std::uint32_t cow_schema = SCHEMA

template <>
struct User<0> {
  COW_TEST_USER(0, 1);
  std::string name = "Ada";
  std::int32_t born = 1815;
  std::string fax = "12345";
  std::vector<Line> lines = {{"pen", 3}};
  MSGPACK_DEFINE_MAP(name, born, fax, lines);
};

class Evolution : public ::testing::Test {
 protected:
  Evolution() {
    Database db(store);
    oid = db.transact([](Transaction& txn) { return txn.root().emplace("ada", User<0>{}); }).oid();
  }

  /// The program of that version reads, and stores another object of its type. Empty, or what its commit was refused for.
  template <int kVersion, class Check>
  std::string visit(Check&& check) {
    Database db(store);
    {
      Transaction txn = db.begin();
      check(txn.read(Ref<User<kVersion>>(oid)));
    }
    const Tid before = store.last_tid();
    try {
      db.transact([&](Transaction& txn) { (void)txn.write(Ref<User<kVersion>>(oid)); });
    } catch (const FieldsChangedError& error) {
      EXPECT_EQ(store.last_tid(), before);
      EXPECT_EQ(error.type, "cms.User");
      found = error.changes;
      // The database goes on.
      db.transact([](Transaction& txn) { txn.create(Line{}); });
      return error.what();
    }
    return {};
  }
  template <int kVersion>
  std::string visit() {
    return visit<kVersion>([](const auto&) {});
  }
  TypeDirectory directory() {
    Database db(store);
    Transaction txn = db.begin();
    return txn.read(txn.root().get<TypeDirectory>(kTypesName));
  }

  MemoryStore store;
  Oid oid;
  FieldChanges found;
};

TEST_F(Evolution, TheSameProgramIsWelcome) {
  EXPECT_EQ(visit<0>(), "");
  const TypeDirectory types = directory();
  ASSERT_EQ(types.types.size(), 1u);
  ASSERT_EQ(types.types.at("cms.User").size(), 1u);
  EXPECT_EQ(text_of(types.types.at("cms.User")[0].set),
            "map: name=str born=int fax=str lines=list<struct> "
            "lines[].article=str lines[].count=int");
}

template <>
struct User<1> {  // a field more, a field less, another type, inside of a member too; under the same number
  COW_TEST_USER(1, 1);
  struct OtherLine {
    std::string article;
    std::int16_t number = 0;
    MSGPACK_DEFINE_MAP(article, number);
  };
  std::string name;
  double born = 0;
  std::string email;
  std::vector<OtherLine> lines;
  MSGPACK_DEFINE_MAP(name, born, email, lines);
};

TEST_F(Evolution, OtherFieldsUnderTheSameNumberAreRefused) {
  const std::string why = visit<1>();
  EXPECT_EQ(
      why,
      "type 'cms.User' has other fields than the store knows under schema 1; added `email`, `lines[].number`; removed "
      "`fax`, `lines[].count`; `born` was int and is float64. Raise cow_schema to 2, and say what became of what is no "
      "longer there: cow_former_names for what is called otherwise, cow_dropped for what is dropped on purpose, "
      "cow_upgrade for all else");
  EXPECT_EQ(found.added, (std::vector<std::string>{"email", "lines[].number"}));
  EXPECT_EQ(found.removed, (std::vector<std::string>{"fax", "lines[].count"}));
  ASSERT_EQ(found.retyped.size(), 1u);
  EXPECT_EQ(found.retyped[0].name, "born");
  EXPECT_EQ(visit<0>([](const User<0>& user) { EXPECT_EQ(user.fax, "12345"); }), "");
}

template <>
struct User<2> {  // one more
  COW_TEST_USER(2, 2);
  std::string name;
  std::int64_t born = 0;
  std::string fax;
  std::vector<Line> lines;
  std::string email = "unknown";
  MSGPACK_DEFINE_MAP(name, born, fax, lines, email);
};

TEST_F(Evolution, AnAddedFieldTakesItsDefault) {
  EXPECT_EQ(visit<2>([](const User<2>& user) {
              EXPECT_EQ(user.email, "unknown");
              EXPECT_EQ(user.born, 1815);
            }),
            "");
  EXPECT_EQ(directory().types.at("cms.User").size(), 2u);
  // The program before it would lose the new field, and so it is told.
  Database db(store);
  EXPECT_THROW((void)db.begin().read(Ref<User<0>>(oid)), NewerSchemaError);
}

template <>
struct User<3> {  // says nothing of what has gone
  COW_TEST_USER(3, 2);
  std::string name;
  std::vector<Line> lines;
  MSGPACK_DEFINE_MAP(name, lines);
};
template <>
struct User<4> {
  COW_TEST_USER(4, 2);
  static constexpr std::string_view cow_dropped[] = {"born", "fax"};
  std::string name;
  std::vector<Line> lines;
  MSGPACK_DEFINE_MAP(name, lines);
};

TEST_F(Evolution, ARemovedFieldIsRefusedUnlessItIsDroppedOnPurpose) {
  EXPECT_EQ(
      visit<3>(),
      "type 'cms.User' has other fields than the store knows under schema 1; removed `born`, `fax`. Say what became of "
      "what is no longer there: cow_former_names for what is called otherwise, cow_dropped for what is dropped on "
      "purpose, cow_upgrade for all else");
  EXPECT_EQ(visit<4>(), "");
}

template <>
struct User<5> {  // called otherwise, inside of a member too
  COW_TEST_USER(5, 2);
  static constexpr FormerName cow_former_names[] = {{"name", "full_name"}, {"lines[].count", "lines[].number"}};
  struct OtherLine {
    std::string article;
    std::int16_t number = 0;
    MSGPACK_DEFINE_MAP(article, number);
  };
  std::string full_name;
  std::int32_t born = 0;
  std::string fax;
  std::vector<OtherLine> lines;
  COW_CACHE_DEFINE_MAP(full_name, born, fax, lines)
};
template <>
struct User<6> {  // and the old name means something else now
  COW_TEST_USER(6, 3);
  static constexpr FormerName cow_former_names[] = {{"name", "full_name"}, {"lines[].count", "lines[].number"}};
  using OtherLine = User<5>::OtherLine;
  std::string full_name;
  std::int32_t born = 0;
  std::string fax;
  std::vector<OtherLine> lines;
  std::string email = "unknown";
  COW_CACHE_DEFINE_MAP(full_name, born, fax, lines, email)
};

TEST_F(Evolution, ARenamedFieldKeepsItsValue) {
  EXPECT_EQ(visit<5>([](const User<5>& user) {
              EXPECT_EQ(user.full_name, "Ada");
              ASSERT_EQ(user.lines.size(), 1u);
              EXPECT_EQ(user.lines[0].number, 3);
              EXPECT_EQ(user.lines[0].article, "pen");
            }),
            "");
  EXPECT_EQ(visit<6>([](const User<6>& user) {
              EXPECT_EQ(user.full_name, "Ada");
              EXPECT_EQ(user.lines.at(0).number, 3);
              EXPECT_EQ(user.email, "unknown");
            }),
            "");
}

template <>
struct User<7> {  // a type that loses
  COW_TEST_USER(7, 2);
  std::string name;
  std::vector<std::int32_t> born;
  std::string fax;
  std::vector<Line> lines;
  MSGPACK_DEFINE_MAP(name, born, fax, lines);
};
template <>
struct User<8> : User<7> {  // an upgrade answers for all
  COW_TEST_USER(8, 2);
  static User cow_upgrade(const msgpack::object& old, std::uint32_t) {
    const auto before = old.as<User<0>>();
    User user;
    user.name = before.name;
    user.born = {before.born};
    return user;
  }
};
template <>
struct User<9> {  // types that lose nothing
  COW_TEST_USER(9, 2);
  std::optional<std::string> name;
  std::int64_t born = 0;
  std::string fax;
  std::vector<Line> lines;
  MSGPACK_DEFINE_MAP(name, born, fax, lines);
};

TEST_F(Evolution, ARetypedFieldIsRefusedUnlessThereIsAnUpgradeOrNothingIsLost) {
  Database db(store);
  try {
    (void)db.begin().read(Ref<User<7>>(oid));
    FAIL();
  } catch (const UnfitRecordError& error) {
    EXPECT_EQ(error.field, "born");
  }
  try {
    db.transact([&](Transaction& txn) { txn.create(User<7>{}); });
    FAIL();
  } catch (const FieldsChangedError& error) {
    ASSERT_EQ(error.changes.retyped.size(), 1u);
    EXPECT_EQ(error.changes.retyped[0].before, "int");
    EXPECT_EQ(error.changes.retyped[0].now, "list<int>");
  }
}
TEST_F(Evolution, AnUpgradeAnswersForAllFields) {
  EXPECT_EQ(visit<8>([](const User<8>& user) { EXPECT_EQ(user.born, std::vector<std::int32_t>{1815}); }), "");
}
TEST_F(Evolution, AWiderTypeLosesNothing) {
  EXPECT_EQ(visit<9>([](const User<9>& user) { EXPECT_EQ(user.name, "Ada"); }), "");
}

template <>
struct User<10> {  // an array under the next number
  COW_TEST_USER(10, 2);
  std::string name;
  MSGPACK_DEFINE(name);
};
TEST_F(Evolution, AnotherFormIsRefused) {
  Database db(store);
  try {
    db.transact([&](Transaction& txn) { txn.create(User<10>{}); });
    FAIL();
  } catch (const FieldsChangedError& error) {
    EXPECT_EQ(error.changes.forms, (std::pair<std::string, std::string>("map", "array")));
  }
}

// Classes that are called otherwise.

struct Person {
  static constexpr std::string_view cow_type_name = "cms.Person";
  static constexpr std::string_view cow_former_type_names[] = {"cms.Author", "cms.User"};
  std::string name;
  std::int32_t born = 0;
  std::string fax;
  std::vector<Line> lines;
  MSGPACK_DEFINE_MAP(name, born, fax, lines);
};
struct ShortPerson {
  static constexpr std::string_view cow_type_name = "cms.ShortPerson";
  static constexpr std::string_view cow_former_type_names[] = {"cms.User"};
  std::string name;
  MSGPACK_DEFINE_MAP(name);
};

TEST_F(Evolution, ARenamedClassFindsItsRecords) {
  Database db(store);
  EXPECT_EQ(db.begin().read(Ref<Person>(oid)).born, 1815);
  db.transact([&](Transaction& txn) { txn.write(Ref<Person>(oid)).born = 1816; });
  db.evict_all();
  EXPECT_EQ(db.begin().read(Ref<Person>(oid)).born, 1816);
  db.evict_all();
  EXPECT_EQ(db.begin().read(Ref<Broken>(oid)).type(), "cms.Person");
}
TEST_F(Evolution, ARenamedClassThatLacksFieldsIsRefused) {
  Database db(store);
  EXPECT_EQ(db.begin().read(Ref<ShortPerson>(oid)).name, "Ada");
  EXPECT_THROW(db.transact([&](Transaction& txn) { (void)txn.write(Ref<ShortPerson>(oid)); }), FieldsChangedError);
  db.evict_all();
  EXPECT_EQ(db.begin().read(Ref<Person>(oid)).fax, "12345");
}
TEST_F(Evolution, AnUnknownClassIsBrokenAndKeepsEveryByte) {
  const std::string before = store.load(oid, kInfinity)->record;
  {
    Database db(store);
    EXPECT_THROW((void)db.begin().read(Ref<Line>(oid)), TypeMismatchError);
  }
  Database(store).transact([&](Transaction& txn) {
    const Broken& broken = txn.read(txn.root().get<Broken>("ada"));
    EXPECT_EQ(broken.type(), "cms.User");
    EXPECT_EQ(broken.schema(), 1u);
    EXPECT_EQ(broken.json(),
              R"({"name": "Ada", "born": 1815, "fax": "12345", "lines": [{"article": "pen", "count": 3}]})");
    (void)txn.write(Ref<Broken>(oid));
  });
  const auto after = store.load(oid, kInfinity);
  EXPECT_EQ(after->record, before);
  EXPECT_EQ(after->begin, store.last_tid());
  EXPECT_EQ(directory().types.size(), 1u) << "a Broken has no fields of its own";
}

// Codecs of one's own.

struct Blob {
  static constexpr std::string_view cow_type_name = "test.Blob";
  std::string bytes;
};
struct Pixels {
  static constexpr std::string_view cow_type_name = "test.Pixels";
  std::string bytes;
};

}  // namespace

template <>
struct Codec<Blob> {
  static void encode(const Blob& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::pack(sink, value.bytes);
  }
  static Blob decode(const msgpack::object& object, std::uint32_t) { return {object.as<std::string>()}; }
};
template <>
struct Codec<Pixels> {
  static void encode(const Pixels& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::pack(sink, value.bytes);
  }
  static Pixels decode(const msgpack::object& object, std::uint32_t) { return {object.as<std::string>()}; }
  static FieldSet fields() { return {"value", {{"", "str"}}}; }
};

namespace {

TEST_F(Evolution, CodecsGiveTheirSetOrAreListedAsExempt) {
  Database(store).transact([](Transaction& txn) {
    txn.create(Blob{"a"});
    txn.create(Pixels{"b"});
  });
  const TypeDirectory types = directory();
  EXPECT_EQ(text_of(types.types.at("test.Blob").at(0).set), "codec:");
  EXPECT_EQ(text_of(types.types.at("test.Pixels").at(0).set), "value: =str");
}

// Rewriting what is old.

TEST_F(Evolution, OldRecordsAreMigratedInBatches) {
  std::vector<Ref<User<2>>> references;
  {
    Database db(store);
    for (int i = 0; i < 25; ++i)
      references.push_back(Ref<User<2>>(db.transact([](Transaction& txn) { return txn.create(User<0>{}); }).oid()));
    Ref<User<0>> erased = db.transact([](Transaction& txn) { return txn.create(User<0>{}); });
    db.transact([&](Transaction& txn) { txn.erase(erased); });
    references.push_back(Ref<User<2>>(erased.oid()));
  }
  Database db(store);
  db.transact([&](Transaction& txn) { txn.write(references[3]).email = "there already"; });
  const std::uint64_t commits = db.statistics().commits;
  std::vector<std::uint64_t> seen;
  MigrateOptions options;
  options.batch = 10;
  options.progress = [&](const Migration& now) { seen.push_back(now.seen); };
  const Migration done = migrate<User<2>>(db, references, options);
  EXPECT_EQ(done.seen, 26u);
  EXPECT_EQ(done.rewritten, 24u);
  EXPECT_EQ(done.missing, 1u);
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{10, 20, 26}));
  EXPECT_EQ(db.statistics().commits, commits + 3);
  for (int i = 0; i < 25; ++i) {
    const auto revision = store.load(references[static_cast<std::size_t>(i)].oid(), kInfinity);
    EXPECT_EQ(detail::read_record_header(revision->record, {}, {}).schema, 2u);
  }
  EXPECT_EQ(db.begin().read(references[3]).email, "there already");
  EXPECT_EQ(db.begin().read(references[4]).fax, "12345");
  EXPECT_EQ(migrate<User<2>>(db, references).rewritten, 0u);
  EXPECT_EQ(db.statistics().commits, commits + 3);
}
TEST_F(Evolution, AMigrationStopsBetweenBatchesAndIsRefusedLikeOtherCommits) {
  Database db(store);
  std::stop_source stop;
  const std::vector<Ref<User<2>>> twice(2, Ref<User<2>>(oid));
  MigrateOptions options;
  options.batch = 1;
  options.stop = stop.get_token();
  options.progress = [&](const Migration&) { stop.request_stop(); };
  EXPECT_EQ(migrate<User<2>>(db, twice, options).seen, 1u);
  const std::vector<Ref<ShortPerson>> others{Ref<ShortPerson>(oid)};
  db.evict_all();
  EXPECT_THROW((void)migrate<ShortPerson>(db, others), NewerSchemaError);
}

// Where and when it is written.

/// Counts what commits write, and fails on demand.
class WatchedStore : public testing::ForwardingStore, public HearsOfTypes {
 public:
  using ForwardingStore::ForwardingStore;
  void commit(std::span<const TransactionWrite> group) override {
    if (fails) throw StoreFullError("full on purpose");
    transactions += group.size();
    for (const TransactionWrite& transaction : group) last_objects = transaction.objects.size();
    inner_.commit(group);
  }
  void warn(const std::string& text) noexcept override { warnings.push_back(text); }

  std::size_t transactions = 0, last_objects = 0;
  bool fails = false;
  std::vector<std::string> warnings;
};

TEST(TypeDirectories, AreWrittenByTheCommitThatUsesThemAndByNoOther) {
  MemoryStore memory;
  WatchedStore store(memory);
  Database db(store);
  EXPECT_EQ(store.transactions, 1u) << "the root";
  Ref<Line> line = db.transact([](Transaction& txn) { return txn.create(Line{}); });
  EXPECT_EQ(store.transactions, 2u);
  EXPECT_EQ(store.last_objects, 2u) << "the line and the directory";
  db.transact([&](Transaction& txn) { txn.write(line).count = 1; });
  EXPECT_EQ(store.last_objects, 1u);
  db.transact([&](Transaction& txn) { txn.erase(line); });
  EXPECT_EQ(store.last_objects, 1u);
  Transaction txn = db.begin();
  const std::size_t transactions = store.transactions;
  (void)txn.root().get<TypeDirectory>(kTypesName);
  txn.commit();
  EXPECT_EQ(store.transactions, transactions);
  EXPECT_TRUE(store.warnings.empty());
}

TEST(TypeDirectories, AreNotKeptWhereTheFirstObjectIsNoRoot) {
  MemoryStore store;
  std::string record;
  detail::DefinedCodec<Line>::encode(Line{}, kRootOid, record);
  const ObjectWrite line{.oid = kRootOid, .erase = false, .record = record};
  const TransactionWrite first{.tid = Tid{1}, .objects = {&line, 1}};
  store.commit({&first, 1});
  Database db(store);
  for (int i = 0; i < 2; ++i) {
    const Tid tid = db.transact([](Transaction& txn) {
      (void)txn.create(Line{});
      ++txn.write(Ref<Line>(kRootOid)).count;
      return txn.snapshot();
    });
    EXPECT_EQ(db.transactions(Tid{tid.value + 1}, kInfinity).begin()->objects.size(), 2u) << "and no directory";
  }
  EXPECT_EQ(db.begin().read(Ref<Line>(kRootOid)).count, 2);
}

TEST(TypeDirectories, AreNotWrittenByACommitThatFails) {
  MemoryStore memory;
  WatchedStore store(memory);
  Database db(store);
  store.fails = true;
  EXPECT_THROW(db.transact([](Transaction& txn) { txn.create(Line{}); }), StoreFullError);
  store.fails = false;
  {
    Transaction txn = db.begin();
    EXPECT_TRUE(txn.read(txn.root().get<TypeDirectory>(kTypesName)).types.empty());
  }
  db.transact([](Transaction& txn) { txn.create(Line{}); });
  EXPECT_EQ(store.last_objects, 2u);
}

TEST(TypeDirectories, AStoreIsToldOnceWhatArraysDoNotShow) {
  MemoryStore memory;
  WatchedStore store(memory);
  for (int open = 0; open < 2; ++open) {
    Database db(store);
    for (int again = 0; again < 3; ++again) db.transact([](Transaction& txn) { txn.create(Pair{}); });
    EXPECT_EQ(store.warnings.size(), static_cast<std::size_t>(open) + 1);
  }
  EXPECT_NE(store.warnings[0].find("Pair"), std::string::npos) << store.warnings[0];
}

TEST(TypeDirectories, TheirNameIsTheLibrarys) {
  MemoryStore store;
  Database db(store);
  Transaction txn = db.begin();
  EXPECT_THROW(txn.root().erase(kTypesName), std::invalid_argument);
  EXPECT_THROW((void)txn.root().emplace(kTypesName, Line{}), std::invalid_argument);
  EXPECT_THROW(txn.root().set(kTypesName, Ref<Line>()), std::invalid_argument);
  EXPECT_EQ(txn.writes(), 0u);
}

template <int kNumber>
struct Numbered {
  int number = kNumber;
  MSGPACK_DEFINE_MAP(number);
};

/// Commits that are the first ones of different types, all at once, by transactions that began before any of them.
template <int... kNumber>
void commit_at_once(Database& db, std::integer_sequence<int, kNumber...>) {
  std::atomic<int> ready{0};
  auto run = [&]<class T>(T value) {
    Transaction txn = db.begin();
    txn.create(std::move(value));
    ++ready;
    while (ready < static_cast<int>(sizeof...(kNumber))) std::this_thread::yield();
    txn.commit();
  };
  std::vector<std::thread> threads;
  (threads.emplace_back([&] { run(Numbered<kNumber>{}); }), ...);
  for (std::thread& thread : threads) thread.join();
}

/// A store as versions before this one left it: a root without a type directory.
void make_old(Store& store) {
  std::string record;
  detail::encode_record(RootDirectory{}, record);
  const ObjectWrite root{.oid = kRootOid, .record = record};
  const TransactionWrite first{.tid = Tid{1}, .objects = {&root, 1}};
  store.commit({&first, 1});
}

TEST(TypeDirectories, FirstCommitsAtOnceDoNotFailEachOther) {
  for (bool is_old : {false, true}) {
    MemoryStore store;
    if (is_old) make_old(store);
    Database db(store);
    commit_at_once(db, std::make_integer_sequence<int, 8>());
    Transaction txn = db.begin();
    EXPECT_EQ(txn.read(txn.root().get<TypeDirectory>(kTypesName)).types.size(), 8u) << is_old;
    EXPECT_EQ(db.statistics().conflicts, 0u) << is_old;
  }
}

TEST(TypeDirectories, ATransactionThatWritesTheRootOfAnOldStoreBringsThemAlong) {
  MemoryStore store;
  make_old(store);
  Database db(store);
  Transaction txn = db.begin();
  (void)txn.root().emplace("line", Line{});
  txn.commit();
  EXPECT_EQ(db.last_tid(), Tid{2});
  Transaction later = db.begin();
  EXPECT_EQ(later.read(later.root().get<TypeDirectory>(kTypesName)).types.size(), 1u);
  EXPECT_EQ(later.read(later.root().get<Line>("line")).count, 0);
}

TEST(TypeDirectories, ASerializableTransactionOfAnOldStoreGetsThemToo) {
  MemoryStore store;
  make_old(store);
  Database db(store, {}, Isolation::serializable);
  db.transact([](Transaction& txn) {
    EXPECT_FALSE(txn.root().contains("line"));
    txn.create(Line{});
  });
  Transaction txn = db.begin();
  EXPECT_EQ(txn.read(txn.root().get<TypeDirectory>(kTypesName)).types.size(), 1u);
}

/// Its default constructor is user code, which a commit calls for its fields.
struct Curious {
  static inline Database* db = nullptr;
  static inline int commits = 0;
  Curious() {
    if (db == nullptr || commits > 0) return;
    ++commits;
    db->transact([](Transaction& txn) { txn.create(Numbered<100>{}); });
  }
  Curious(const Curious&) = default;
  int number = 0;
  MSGPACK_DEFINE_MAP(number);
};

TEST(TypeDirectories, DefaultConstructorsMayUseTheDatabase) {
  MemoryStore store;
  Database db(store);
  Curious value;
  Curious::db = &db;
  db.transact([&](Transaction& txn) { txn.create(value); });
  Curious::db = nullptr;
  EXPECT_EQ(Curious::commits, 1);
  Transaction txn = db.begin();
  EXPECT_EQ(txn.read(txn.root().get<TypeDirectory>(kTypesName)).types.size(), 2u);
}

}  // namespace
}  // namespace cow
