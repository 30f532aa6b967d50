// Records: what goes in comes out, over changes of the schema too; what was damaged is refused by name, never misread.
#include "cow_cache/detail/record/record.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

constexpr Oid kOid{42};
constexpr Tid kTid{7};

template <class T>
std::string record_of(const T& value) {
  std::string record;
  detail::encode_record(value, record);
  return record;
}

template <class T>
T from_record(std::string_view record) {
  return detail::decode_record<T>(record, kOid, kTid);
}

struct Everything {
  std::string text;
  std::int64_t number = 0;
  double fraction = 0;
  std::vector<std::string> list;
  std::map<std::string, std::int32_t> table;
  std::optional<std::string> maybe;
  std::vector<Ref<Everything>> references;
  MSGPACK_DEFINE_MAP(text, number, fraction, list, table, maybe, references);
  bool operator==(const Everything&) const = default;
};

Everything full_value() {
  return {.text = std::string("zero \0 inside", 13),
          .number = std::numeric_limits<std::int64_t>::min(),
          .fraction = -0.1,
          .list = {"", "a", std::string(1000, 'x')},
          .table = {{"one", 1}, {"minus one", -1}},
          .maybe = "there",
          .references = {Ref<Everything>(Oid{5}), Ref<Everything>(), Ref<Everything>(kMaxOid)}};
}

TEST(Record, ValuesComeBackAsTheyWere) {
  EXPECT_EQ(from_record<Everything>(record_of(Everything{})), Everything{});
  EXPECT_EQ(from_record<Everything>(record_of(full_value())), full_value());
}

TEST(Record, IsPlainMessagePackWithReferencesAsExtensions) {
  // What a program without this library sees: [checksum, type name, schema, value].
  std::string record = record_of(full_value());
  msgpack::object_handle handle = msgpack::unpack(record.data(), record.size());
  const msgpack::object& array = handle.get();
  ASSERT_EQ(array.type, msgpack::type::ARRAY);
  ASSERT_EQ(array.via.array.size, 4u);
  EXPECT_EQ(array.via.array.ptr[1].as<std::string>(), type_name<Everything>());
  EXPECT_EQ(array.via.array.ptr[2].as<int>(), 1);
  auto value = array.via.array.ptr[3].as<std::map<std::string, msgpack::object>>();
  const msgpack::object_array& references = value.at("references").via.array;
  ASSERT_EQ(references.size, 3u);
  ASSERT_EQ(references.ptr[0].type, msgpack::type::EXT);
  EXPECT_EQ(references.ptr[0].via.ext.type(), kReferenceExtension);
  EXPECT_EQ(std::string(references.ptr[0].via.ext.data(), references.ptr[0].via.ext.size),
            std::string("\0\0\0\0\0\0\0\5", 8));
  EXPECT_TRUE(references.ptr[1].is_nil());
}

// Damage.

/// Calls `read` with every damaged form of a record: each bit of each byte flipped, and cut off after each byte.
void for_each_damage(const std::string& record,
                     const std::function<void(const std::string&, const std::string&)>& read) {
  for (std::size_t i = 0; i < record.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = record;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      read(damaged, "bit " + std::to_string(bit) + " of byte " + std::to_string(i) + " flipped");
    }
    read(record.substr(0, i), "cut off after " + std::to_string(i) + " bytes");
  }
  read(record + '\0', "a byte added");
  read(record + record, "doubled");
}

TEST(Record, EveryDamageIsRefusedNamingOidAndTid) {
  Everything value = full_value();
  value.list.resize(2);
  for (const Everything& original : {Everything{}, value}) {
    for_each_damage(record_of(original), [](const std::string& damaged, const std::string& damage) {
      try {
        from_record<Everything>(damaged);
        ADD_FAILURE() << damage << ": not noticed";
      } catch (const CorruptRecordError& error) {
        ASSERT_EQ(error.oid, kOid);
        ASSERT_EQ(error.tid, kTid);
        ASSERT_NE(std::string(error.what()).find("oid 42 at tid 7"), std::string::npos) << error.what();
      }
    });
  }
}

/// A record with a right checksum around any bytes: written by another program, or by a broken one.
std::string sealed(std::string body) {
  std::string record = std::string("\x94\xce\0\0\0\0", 6) + std::move(body);
  detail::store_big_endian(record.data() + 2, detail::record_checksum(record));
  return record;
}

std::string packed_string(std::string_view text) {
  std::string out;
  detail::StringSink sink{out};
  msgpack::packer<detail::StringSink>(sink).pack(text);
  return out;
}

const std::string kPrefix = packed_string(type_name<Everything>()) + '\x01';

TEST(Record, SealedNonsenseIsRefusedToo) {
  using namespace std::string_literals;
  const std::pair<const char*, std::string> cases[] = {
      {"nothing", ""},
      {"no value", kPrefix},
      {"two values", kPrefix + "\x80\x80"},
      {"an array for a map", kPrefix + "\x93\x01\x02\x03"},
      {"a reserved byte", kPrefix + "\xc1"},
      {"a number for a string", kPrefix + "\x81" + packed_string("text") + "\x05"},
      {"a string for a reference", kPrefix + "\x81" + packed_string("references") + "\x91" + packed_string("x")},
      {"an extension of another type",
       kPrefix + "\x81" + packed_string("references") + "\x91\xd7\x01\0\0\0\0\0\0\0\5"s},
      {"a reference of four bytes", kPrefix + "\x81" + packed_string("references") + "\x91\xd6\x4f\0\0\0\5"s},
      {"a reference beyond all oids",
       kPrefix + "\x81" + packed_string("references") + "\x91\xd7\x4f\xff\0\0\0\0\0\0\5"s},
      {"a value cut off", kPrefix + "\x82" + packed_string("text")},
      {"an array of four billion", kPrefix + "\xdd\xff\xff\xff\xff"s},
      {"a map of two billion", kPrefix + "\xdf\x7f\xff\xff\xff"s},
      {"a string of four billion", kPrefix + "\xdb\xff\xff\xff\xff"s},
      {"a number as type name", "\x05\x01\x80"},
      {"a negative schema", packed_string(type_name<Everything>()) + "\xff\x80"},
      {"a huge type name", "\xdb\xff\xff\xff\xff\x01\x80"s},
      {"a huge array as type name", "\xdd\xff\xff\xff\xff\x01\x80"s},
      {"deep nesting", kPrefix + std::string(100'000, '\x91') + "\x80"},
  };
  for (const auto& [what, body] : cases) {
    try {
      from_record<Everything>(sealed(body));
      ADD_FAILURE() << what << ": not noticed";
    } catch (const RecordError& error) {
      EXPECT_EQ(error.oid, kOid) << what;
      EXPECT_EQ(error.tid, kTid) << what;
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }
}

// Types and schemas.

struct Before {
  static constexpr std::string_view cow_type_name = "test.Person";
  std::string name;
  std::int32_t age = 0;
  MSGPACK_DEFINE_MAP(name, age);
};

struct WithAnotherField {
  static constexpr std::string_view cow_type_name = "test.Person";
  std::string name;
  std::string email = "unknown";
  MSGPACK_DEFINE_MAP(name, email);
};

struct Person {  // schema 3: the name in two parts
  static constexpr std::string_view cow_type_name = "test.Person";
  static constexpr std::uint32_t cow_schema = 3;
  std::string first, last;
  MSGPACK_DEFINE_MAP(first, last);

  static Person cow_upgrade(const msgpack::object& old, std::uint32_t schema) {
    if (schema != 1) throw std::runtime_error("there never was a schema " + std::to_string(schema));
    auto before = old.as<Before>();
    std::size_t space = before.name.find(' ');
    return {before.name.substr(0, space), space == std::string::npos ? "" : before.name.substr(space + 1)};
  }
};

struct Stranger {
  static constexpr std::string_view cow_type_name = "test.Stranger";
  std::string name;
  MSGPACK_DEFINE_MAP(name);
};

TEST(Record, MissingFieldsKeepDefaultsAndUnknownOnesAreSkipped) {
  auto read = from_record<WithAnotherField>(record_of(Before{"Ada", 36}));
  EXPECT_EQ(read.name, "Ada");
  EXPECT_EQ(read.email, "unknown");
}

TEST(Record, AnOldSchemaIsUpgraded) {
  auto person = from_record<Person>(record_of(Before{"Ada Lovelace", 36}));
  EXPECT_EQ(person.first, "Ada");
  EXPECT_EQ(person.last, "Lovelace");
  auto same = from_record<Person>(record_of(person));  // now in schema 3: read as it is
  EXPECT_EQ(same.last, "Lovelace");
}

TEST(Record, AnUpgradeThatFailsIsARecordThatDoesNotFit) {
  std::string value;
  detail::StringSink sink{value};
  msgpack::pack(sink, Before{"Ada", 36});
  try {
    from_record<Person>(sealed(packed_string("test.Person") + '\x02' + value));
    FAIL();
  } catch (const UnfitRecordError& error) {
    EXPECT_NE(std::string(error.what()).find("there never was a schema 2"), std::string::npos) << error.what();
  }
}

TEST(Record, ANewerSchemaIsRefused) {
  try {
    from_record<Before>(record_of(Person{"Ada", "Lovelace"}));
    FAIL();
  } catch (const NewerSchemaError& error) {
    EXPECT_EQ(error.oid, kOid);
    EXPECT_EQ(error.tid, kTid);
    EXPECT_EQ(error.type, "test.Person");
    EXPECT_EQ(error.schema, 3u);
    EXPECT_EQ(error.known, 1u);
    EXPECT_NE(std::string(error.what()).find("newer"), std::string::npos) << error.what();
  }
}

TEST(Record, AnotherTypeIsRefusedByName) {
  try {
    from_record<Stranger>(record_of(Before{"Ada", 36}));
    FAIL();
  } catch (const TypeMismatchError& error) {
    EXPECT_EQ(error.oid, kOid);
    EXPECT_EQ(error.tid, kTid);
    EXPECT_EQ(error.expected, "test.Stranger");
    EXPECT_EQ(error.found, "test.Person");
  }
}

template <int... kNumbers>
struct Numbered {};

TEST(Record, TypesThatDoNotSayTheirNameHaveDistinctOnes) {
  EXPECT_NE(type_name<Everything>(), type_name<Before>());
  EXPECT_NE((type_name<Numbered<1, 2>>()), (type_name<Numbered<1, 3>>()));
  EXPECT_NE((type_name<std::pair<int[3], int>>()), (type_name<std::pair<int[3], long>>()));
}

// A codec of one's own: it writes one MessagePack value, here a binary one.

struct Pixels {
  std::vector<std::uint8_t> bytes;
};

}  // namespace

template <>
struct Codec<Pixels> {
  static void encode(const Pixels& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::packer<detail::StringSink> packer(sink);
    packer.pack_bin(static_cast<std::uint32_t>(value.bytes.size()));
    packer.pack_bin_body(reinterpret_cast<const char*>(value.bytes.data()),
                         static_cast<std::uint32_t>(value.bytes.size()));
  }
  static Pixels decode(const msgpack::object& object, std::uint32_t) {
    if (object.type != msgpack::type::BIN) throw msgpack::type_error();
    const auto& bin = object.via.bin;
    return {std::vector<std::uint8_t>(bin.ptr, bin.ptr + bin.size)};
  }
};

namespace {

TEST(Record, ACustomCodecIsUsed) {
  Pixels pixels{{0, 255, 1, 254}};
  std::string record = record_of(pixels);
  EXPECT_EQ(from_record<Pixels>(record).bytes, pixels.bytes);
  for_each_damage(record, [](const std::string& damaged, const std::string& damage) {
    EXPECT_THROW(from_record<Pixels>(damaged), CorruptRecordError) << damage;
  });
}

// Through a database: bad bytes in the store.

/// Serves other bytes for one object.
class TamperingStore : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  std::optional<Revision> load(Oid oid, Tid at) override {
    std::optional<Revision> revision = inner_.load(oid, at);
    if (revision && oid == victim) revision->record = bytes;
    return revision;
  }
  Oid victim;
  std::string bytes;
};

TEST(DamagedStore, ADamagedObjectIsAnErrorAndTheRestStaysUsable) {
  MemoryStore memory;
  TamperingStore store(memory);
  Database db(store);
  auto [bad, good] = db.transact([](Transaction& txn) {
    return std::pair(txn.create(Before{"victim", 1}), txn.create(Before{"bystander", 2}));
  });
  const Tid written = db.last_tid();
  const std::string original = record_of(Before{"victim", 1});
  store.victim = bad.oid();
  for_each_damage(original, [&, bad = bad, good = good](const std::string& damaged, const std::string& damage) {
    store.bytes = damaged;
    db.evict_all();
    Transaction txn = db.begin();
    for (int attempt = 0; attempt < 2; ++attempt) {  // the failed load left nothing behind that the second could find
      try {
        txn.read(bad);
        ADD_FAILURE() << damage << ": not noticed";
      } catch (const CorruptRecordError& error) {
        ASSERT_EQ(error.oid, bad.oid());
        ASSERT_EQ(error.tid, written);
      }
    }
    ASSERT_THROW(txn.write(bad), CorruptRecordError);
    ASSERT_EQ(txn.read(good).name, "bystander");  // the same transaction goes on
    txn.write(good).age++;
    txn.commit();
  });
  store.bytes = original;  // the disk has healed: nothing remembers the damage
  Transaction txn = db.begin();
  EXPECT_EQ(txn.read(bad).name, "victim");
  EXPECT_GT(txn.read(good).age, 100);
}

TEST(DamagedStore, AnOldRevisionIsCheckedAsWell) {
  MemoryStore memory;
  TamperingStore store(memory);
  Database db(store);
  auto bad = db.transact([](Transaction& txn) { return txn.create(Before{"victim", 1}); });
  const Tid written = db.last_tid();
  Transaction old = db.begin();
  db.transact([&](Transaction& txn) { txn.write(bad).age = 2; });
  db.evict_all();
  { EXPECT_EQ(db.begin().read(bad).age, 2); }
  store.victim = bad.oid();
  store.bytes = "nonsense";
  try {
    old.read(bad);
    FAIL();
  } catch (const CorruptRecordError& error) {
    EXPECT_EQ(error.oid, bad.oid());
    EXPECT_EQ(error.tid, written);
  }
  store.victim = {};
  EXPECT_EQ(old.read(bad).age, 1);
}

}  // namespace
}  // namespace cow
