// Stores that earlier versions have written are opened, and every revision of every object is what it was. How new ones
// are written is in fixtures/README.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "fixtures/fixture_types.hpp"
#include "fixtures/manifest.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;
using fixtures::Manifest;

/// "format/name" of all fixtures.
std::vector<std::string> all_fixtures() {
  std::vector<std::string> names;
  for (const auto& format : fs::directory_iterator(kStoreFixtures)) {
    if (!format.is_directory()) continue;
    for (const auto& entry : fs::directory_iterator(format)) {
      if (entry.is_directory()) names.push_back(format.path().filename() / entry.path().filename());
    }
  }
  std::ranges::sort(names);
  return names;
}

class StoreFixture : public ::testing::TestWithParam<std::string> {
 protected:
  StoreFixture() {
    const fs::path fixture = fs::path(kStoreFixtures) / GetParam();
    fs::copy(fixture, directory(), fs::copy_options::recursive);
    manifest_ = Manifest::read(fixture.string() + ".txt");
  }

  void SetUp() override {
    // g++ has written them, and what has no cow_type_name is called as the compiler spells it.
    constexpr std::string_view kSpelledByGcc = "std::vector<std::__cxx11::basic_string<char> >";
    if (GetParam().find("/types") != std::string::npos && type_name<std::vector<std::string>>() != kSpelledByGcc) {
      GTEST_SKIP() << "this compiler spells the names of its types otherwise than g++";
    }
  }

  fs::path directory() const { return scratch_.store(); }

  RocksDbStore open() const {
    RocksDbOptions options;
    options.create_if_missing = false;
    return RocksDbStore(directory(), options);
  }

  /// What is left of the transactions; of a store that was packed also the one at which the chain begins.
  std::uint64_t transactions_left(RocksDbStore& store) const {
    const std::uint64_t oldest = store.oldest_tid().value;
    return oldest == 0 ? manifest_.transactions : manifest_.last_tid.value - oldest + 1;
  }

  /// Every object at every tid, and one beyond the last of both; below a pack nothing.
  void expect_history(RocksDbStore& store) const {
    const bool packed = GetParam().find("/packed") != std::string::npos;
    EXPECT_EQ(store.oldest_tid() != Tid{}, packed);
    for (std::uint64_t oid = 0; oid <= manifest_.oids_up_to.value + 1; ++oid) {
      for (std::uint64_t tid = 0; tid <= manifest_.last_tid.value; ++tid) {
        if (Tid{tid} < store.oldest_tid()) {
          ASSERT_THROW(store.load(Oid{oid}, Tid{tid}), SnapshotTooOldError);
        } else {
          expect_revision(store, Oid{oid}, Tid{tid});
        }
      }
    }
  }

  void expect_revision(RocksDbStore& store, Oid oid, Tid at) const {
    const std::optional<Revision> found = store.load(oid, at);
    const Manifest::Entry* expected = manifest_.visible(oid, at);
    if (expected != nullptr && expected->erased && expected->begin <= store.oldest_tid()) expected = nullptr;
    const std::string where = "oid " + std::to_string(oid.value) + " at tid " + std::to_string(at.value);
    ASSERT_EQ(found.has_value(), expected != nullptr) << where;
    if (!found) return;
    ASSERT_EQ(found->begin, expected->begin) << where;
    ASSERT_EQ(found->end, expected->end) << where;
    ASSERT_EQ(found->erased, expected->erased) << where;
    if (found->erased) return;
    ASSERT_EQ(Manifest::hash_of(found->record), expected->hash) << where;
    ASSERT_EQ(fixtures::text_of_record(found->record, oid, found->begin), expected->text) << where;
  }

  /// Every transaction, what it says of itself, and which objects it has written.
  void expect_transactions(RocksDbStore& store) const {
    std::map<Tid, std::vector<Oid>> written;
    for (const auto& [key, entry] : manifest_.revisions) written[key.second].push_back(key.first);
    const bool is_packed = GetParam().ends_with("/packed");
    const bool has_notes = GetParam().find("/noted") != std::string::npos;
    std::uint64_t transactions = store.oldest_tid() == Tid{} ? 0 : 1;  // as `verify` counts them
    CommitTime time{};
    for (Tid next{store.oldest_tid().value + 1}; next <= manifest_.last_tid;) {
      const std::vector<TransactionInfo> page = store.transactions(next, kInfinity, HistoryOrder::oldest_first, 7);
      ASSERT_FALSE(page.empty()) << next;
      for (const TransactionInfo& info : page) {
        ASSERT_GE(info.tid, next);
        next = Tid{info.tid.value + 1};
        ++transactions;
        std::vector<Oid> objects = info.objects;
        std::ranges::sort(objects);
        EXPECT_EQ(objects, written[info.tid]) << info.tid;
        EXPECT_GE(info.time, time) << info.tid;
        time = info.time;
        const bool is_root = objects == std::vector<Oid>{kRootOid};
        // The packed store's last five transactions have notes, written after the pack.
        const bool is_noted = has_notes ? !is_root : is_packed && info.tid.value + 5 > manifest_.last_tid.value;
        EXPECT_EQ(info.note, is_noted ? fixtures::note_of(info.tid) : TransactionNote{}) << info.tid;
      }
    }
    EXPECT_EQ(transactions, transactions_left(store));
  }

  /// What transactions see of the newest state. Returns the number of objects.
  int expect_newest(Database& db) const {
    int objects = 0;
    Transaction txn = db.begin();
    for (const auto& [key, entry] : manifest_.revisions) {
      if (entry.end != kInfinity) continue;
      ++objects;
      if (entry.erased) {
        EXPECT_THROW(txn.read(Ref<fixtures::Mapped>(key.first)), DanglingReferenceError) << key.first;
        continue;
      }
      const std::string type = entry.text.substr(0, entry.text.find(": "));
      const std::string value = fixtures::with_type(
          type, [&, &key = key]<class T>() { return type + ": " + fixtures::text_of(txn.read(Ref<T>(key.first))); });
      EXPECT_EQ(value, entry.text) << key.first;
    }
    return objects;
  }

  const ScratchDirectory scratch_;
  Manifest manifest_;
};

TEST_P(StoreFixture, GivesEveryRevision) {
  {
    RocksDbStore store = open();
    EXPECT_EQ(store.last_tid(), manifest_.last_tid);
    EXPECT_EQ(store.verify(), transactions_left(store));
    expect_history(store);
    expect_transactions(store);
  }
  RocksDbStore store = open();  // and again, after whatever the first open has changed
  const std::uint64_t transactions = transactions_left(store);
  EXPECT_EQ(store.verify(), transactions);
  expect_history(store);
  expect_transactions(store);
  if (store.oldest_tid() != Tid{}) {  // a pack that was killed is gone on with, another one finds nothing to do
    EXPECT_TRUE(store.pack({.before = store.oldest_tid(), .is_garbage = {}, .progress = {}}).complete);
    EXPECT_EQ(store.verify(), transactions);
    expect_history(store);
  }
  const TransactionNote note{"today", "", {}};  // whatever its format was
  commit(store, manifest_.last_tid.value + 1, {put(1, "r")});
  const ObjectWrite object = put(1, "s");
  const TransactionWrite transaction{Tid{manifest_.last_tid.value + 2}, {&object, 1}, &note};
  store.commit({&transaction, 1});
  EXPECT_EQ(store.verify(), transactions + 2);
  EXPECT_EQ(store.transactions(transaction.tid, kInfinity, HistoryOrder::newest_first, 5).at(0).note, note);
}

TEST_P(StoreFixture, IsADatabaseThatGoesOn) {
  Oid created;
  {
    RocksDbStore store = open();
    Database db(store);
    EXPECT_EQ(expect_newest(db) > 0, manifest_.transactions > 0);
    fixtures::Listed value;
    value.text = "new";
    created = db.transact([&](Transaction& txn) { return txn.create(value); }).oid();
    EXPECT_GT(created, manifest_.oids_up_to) << "an oid is never given away twice";
    // The first commit of a type gives an older store its type directory, which the root names.
    for (auto& [key, entry] : manifest_.revisions) {
      if (key.first == kRootOid && entry.end == kInfinity) entry.end = Tid{manifest_.last_tid.value + 1};
    }
  }
  RocksDbStore store = open();
  expect_history(store);
  Database db(store);
  EXPECT_EQ(db.begin().read(Ref<fixtures::Listed>(created)).text, "new");
  store.verify();
}

INSTANTIATE_TEST_SUITE_P(All, StoreFixture, ::testing::ValuesIn(all_fixtures()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return "format" + name;
});

TEST(StoreFixtures, HaveEveryTypeAndErasures) {
  std::set<std::string> types;
  int erased = 0;
  for (const std::string& name : all_fixtures()) {
    const Manifest manifest = Manifest::read(fs::path(kStoreFixtures) / (name + ".txt"));
    for (const auto& [key, entry] : manifest.revisions) {
      if (entry.erased)
        ++erased;
      else
        types.insert(entry.text.substr(0, entry.text.find(": ")));
    }
  }
  EXPECT_EQ(types.size(), std::tuple_size_v<fixtures::Types>);
  EXPECT_GT(erased, 100);
  EXPECT_GE(all_fixtures().size(), 9u);
}

}  // namespace
}  // namespace cow::testing
