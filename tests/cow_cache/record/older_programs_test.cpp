// Stores that older programs have left (older_programs/README.md), and what comes of them with programs that have changed since.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/broken.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

// The program that has written them.

struct OldLine {
  std::string article;
  std::int16_t count = 0;
  MSGPACK_DEFINE_MAP(article, count);
};
struct Order {
  static constexpr std::string_view cow_type_name = "shop.Order";
  std::string customer;
  std::int32_t year = 0;
  std::string fax;
  std::vector<OldLine> lines;
  Ref<Order> before;
  MSGPACK_DEFINE_MAP(customer, year, fax, lines, before);
};
struct Point {
  static constexpr std::string_view cow_type_name = "shop.Point";
  std::int32_t x = 0, y = 0;
  MSGPACK_DEFINE(x, y);
};

void write_older(Store& store) {
  Database db(store);
  db.transact([](Transaction& txn) {
    auto first = txn.root().emplace("first", Order{"Ada", 1843, "12", {{"pen", 3}, {"ink", 1}}, {}});
    txn.root().emplace("second", Order{"Ben", 1844, "", {}, first});
    txn.root().emplace("point", Point{3, -4});
  });
}

// Files.

const std::string kFolder = COW_CACHE_OLDER_PROGRAMS;

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// Notes what a database writes.
class NotingStore : public testing::ForwardingStore {
 public:
  NotingStore(Store& inner, const std::string& file) : ForwardingStore(inner), out_(file) {}
  void commit(std::span<const TransactionWrite> group) override {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (const TransactionWrite& transaction : group) {
      for (const ObjectWrite& object : transaction.objects) {
        out_ << transaction.tid.value << ' ' << object.oid.value << ' ';
        for (const char byte : object.record)
          out_ << kDigits[static_cast<unsigned char>(byte) >> 4] << kDigits[static_cast<unsigned char>(byte) & 0xf];
        out_ << '\n';
      }
    }
    inner_.commit(group);
  }

 private:
  std::ofstream out_;
};

void read_older(const std::string& name, MemoryStore& store) {
  std::ifstream in(kFolder + '/' + name + ".txt");
  std::map<std::uint64_t, std::map<std::uint64_t, std::string>> transactions;
  std::uint64_t tid = 0, oid = 0;
  for (std::string digits; in >> tid >> oid >> digits;) transactions[tid][oid] = from_hex(digits);
  if (transactions.empty()) throw std::runtime_error("no store " + name);
  std::uint64_t highest = 0;
  for (const auto& [number, objects] : transactions) {
    std::vector<ObjectWrite> writes;
    for (const auto& [object, record] : objects) {
      writes.push_back({.oid = Oid{object}, .record = record});
      highest = std::max(highest, object);
    }
    const TransactionWrite write{.tid = Tid{number}, .objects = writes};
    store.commit({&write, 1});
  }
  (void)store.allocate_oids(highest);
}

// Programs after it.

template <class Line>
struct OrderOf {
  static constexpr std::string_view cow_type_name = "shop.Order";
  std::string customer;
  std::int32_t year = 0;
  std::string fax;
  std::vector<Line> lines;
  Ref<OrderOf> before;
};
struct NewLine {
  std::string article;
  std::int16_t number = 0;
  MSGPACK_DEFINE_MAP(article, number);
};

struct Same : OrderOf<OldLine> {
  MSGPACK_DEFINE_MAP(customer, year, fax, lines, before);
};
struct Added : OrderOf<OldLine> {
  static constexpr std::uint32_t cow_schema = 2;
  double discount = 0.5;
  MSGPACK_DEFINE_MAP(customer, year, fax, lines, before, discount);
};
struct Renamed : OrderOf<NewLine> {
  static constexpr std::uint32_t cow_schema = 2;
  static constexpr FormerName cow_former_names[] = {{"customer", "buyer"}, {"lines[].count", "lines[].number"}};
  std::string buyer;
  MSGPACK_DEFINE_MAP(buyer, year, fax, lines, before);
};
struct Dropped : OrderOf<OldLine> {
  static constexpr std::uint32_t cow_schema = 2;
  static constexpr std::string_view cow_dropped[] = {"fax"};
  MSGPACK_DEFINE_MAP(customer, year, lines, before);
};
struct Removed : OrderOf<OldLine> {
  static constexpr std::uint32_t cow_schema = 2;
  MSGPACK_DEFINE_MAP(customer, year, lines, before);
};
struct RemovedUnderOneNumber : OrderOf<OldLine> {
  MSGPACK_DEFINE_MAP(customer, year, lines, before);
};
struct Retyped : OrderOf<OldLine> {
  static constexpr std::uint32_t cow_schema = 2;
  std::string year;
  MSGPACK_DEFINE_MAP(customer, year, fax, lines, before);
};
struct RenamedClass : OrderOf<OldLine> {
  static constexpr std::string_view cow_type_name = "shop.Purchase";
  static constexpr std::string_view cow_former_type_names[] = {"shop.Order"};
  MSGPACK_DEFINE_MAP(customer, year, fax, lines, before);
};

class OlderPrograms : public ::testing::TestWithParam<const char*> {
 protected:
  OlderPrograms() { read_older(GetParam(), store); }

  bool has_directory() const { return std::string_view(GetParam()) == "with_directory"; }

  /// What the first order is to a program that calls its class T.
  template <class T>
  T read() {
    Database db(store);
    Transaction txn = db.begin();
    return txn.read(txn.root().get<T>("first"));
  }
  /// Whether that program may write it. What the store does not know of nobody can refuse.
  template <class T>
  bool writes() {
    Database db(store);
    try {
      db.transact([](Transaction& txn) { (void)txn.write(txn.root().get<T>("first")); });
      return true;
    } catch (const FieldsChangedError& error) {
      EXPECT_EQ(error.changes.removed, std::vector<std::string>{"fax"});
      return false;
    }
  }

  MemoryStore store;
};

TEST_P(OlderPrograms, TheSameProgramReadsAndWrites) {
  EXPECT_EQ(read<Same>().fax, "12");
  EXPECT_EQ(read<Same>().lines.at(1).article, "ink");
  EXPECT_TRUE(writes<Same>());
}
TEST_P(OlderPrograms, AnAddedFieldHasItsDefault) {
  EXPECT_EQ(read<Added>().discount, 0.5);
  EXPECT_EQ(read<Added>().year, 1843);
  EXPECT_TRUE(writes<Added>());
  EXPECT_THROW((void)read<Same>(), NewerSchemaError);
}
TEST_P(OlderPrograms, ARenamedFieldHasItsValue) {
  EXPECT_EQ(read<Renamed>().buyer, "Ada");
  EXPECT_EQ(read<Renamed>().lines.at(0).number, 3);
  EXPECT_TRUE(writes<Renamed>());
  EXPECT_EQ(read<Renamed>().buyer, "Ada");
  EXPECT_EQ(read<Renamed>().lines.at(0).number, 3);
}
TEST_P(OlderPrograms, AFieldIsDroppedOnPurposeOnly) {
  EXPECT_EQ(writes<Removed>(), !has_directory());
  EXPECT_TRUE(writes<Dropped>());
}
TEST_P(OlderPrograms, AFieldLessUnderOneNumberIsRefused) {
  EXPECT_EQ(writes<RemovedUnderOneNumber>(), !has_directory());
}
TEST_P(OlderPrograms, ARetypedFieldIsNamed) {
  try {
    (void)read<Retyped>();
    FAIL();
  } catch (const UnfitRecordError& error) {
    EXPECT_EQ(error.field, "year");
    EXPECT_NE(std::string(error.what())
                  .find("field `year` of 'shop.Order': the integer 1843, not a string; schema 1 wrote it"),
              std::string::npos)
        << error.what();
  }
}
TEST_P(OlderPrograms, ARenamedClassFindsItsObjects) {
  EXPECT_EQ(read<RenamedClass>().customer, "Ada");
  EXPECT_TRUE(writes<RenamedClass>());
  EXPECT_EQ(read<Broken>().type(), "shop.Purchase");
  EXPECT_EQ(read<RenamedClass>().fax, "12");
}
TEST_P(OlderPrograms, AnUnknownClassIsBrokenAndKept) {
  const Broken before = read<Broken>();
  EXPECT_EQ(before.json(),
            R"({"customer": "Ada", "year": 1843, "fax": "12", "lines": [{"article": "pen", "count": 3}, )"
            R"({"article": "ink", "count": 1}], "before": null})");
  EXPECT_TRUE(writes<Broken>());
  EXPECT_EQ(read<Broken>().record(), before.record());
  EXPECT_EQ(read<Order>().fax, "12");
}
TEST_P(OlderPrograms, AnArrayIsReadByItsPlaces) {
  Database db(store);
  Transaction txn = db.begin();
  EXPECT_EQ(txn.read(txn.root().get<Point>("point")).y, -4);
  EXPECT_EQ(txn.root().contains(kTypesName), has_directory());
}

INSTANTIATE_TEST_SUITE_P(Stores, OlderPrograms, ::testing::Values("without_directory", "with_directory"));

TEST(WriteOlderPrograms, IfAsked) {
  const char* file = std::getenv("COW_CACHE_WRITE_OLDER");
  if (file == nullptr) return;
  MemoryStore memory;
  NotingStore store(memory, file);
  write_older(store);
}

}  // namespace
}  // namespace cow
