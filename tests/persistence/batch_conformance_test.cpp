// What `cow_cache/store/batch.hpp` promises, for every store that loads in batches; and which store has which capability.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cow_cache/store/batch.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/store_kinds.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

class BatchConformance : public StoreOfKind {
 protected:
  void expect_answers(const std::vector<Oid>& oids, Tid at) {
    const std::vector<std::optional<Revision>> found = capabilities().batch->load_many(oids, at);
    ASSERT_EQ(found.size(), oids.size());
    for (std::size_t i = 0; i < oids.size(); ++i) {
      const std::optional<Revision> expected = store().load(oids[i], at);
      ASSERT_EQ(found[i].has_value(), expected.has_value()) << oids[i] << " at " << at;
      if (!expected) continue;
      EXPECT_EQ(found[i]->begin, expected->begin) << oids[i] << " at " << at;
      EXPECT_EQ(found[i]->end, expected->end) << oids[i] << " at " << at;
      EXPECT_EQ(found[i]->erased, expected->erased) << oids[i] << " at " << at;
      EXPECT_EQ(found[i]->record, expected->record) << oids[i] << " at " << at;
    }
  }
};

TEST_P(BatchConformance, AnswersAsLoadDoes) {
  std::mt19937_64 random(11);
  std::uint64_t tid = 0;
  for (int round = 0; round < 120; ++round) {
    std::map<std::uint64_t, std::string> content;
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t oid = 1 + random() % 200;
      content[oid] = random() % 9 == 0 ? "" : record_of(oid, tid + 1, 1 + random() % 400);
    }
    std::vector<ObjectWrite> writes;
    for (const auto& [oid, record] : content) writes.push_back({Oid{oid}, record.empty(), record});
    commit(store(), ++tid, writes);
  }
  expect_answers({}, kInfinity);
  for (int question = 0; question < 50; ++question) {
    std::vector<Oid> oids;  // in any order, some absent, some twice
    for (std::uint64_t n = random() % 60; n > 0; --n) oids.push_back(Oid{random() % 230});
    if (!oids.empty()) oids.push_back(oids.front());
    expect_answers(oids, random() % 4 == 0 ? kInfinity : Tid{random() % (tid + 5)});
  }
}

INSTANTIATE_TEST_SUITE_P(Stores, BatchConformance, ::testing::ValuesIn(stores_with(&StoreKind::has_batches)),
                         name_of_store);

TEST(StoreCapabilities, AreWhatTheStoreDerivesFrom) {
  for (const StoreKind& kind : all_stores()) {
    const ScratchDirectory scratch;
    const std::unique_ptr<Store> store = kind.make(scratch.store());
    const bool is_shared = kind.name.starts_with("Memory") || kind.name.starts_with("Postgres");
    const bool is_example = kind.name == "Log";  // four functions, and no more
    EXPECT_TRUE(kind.has_history != is_example && kind.has_batches != is_example) << kind.name;
    EXPECT_EQ(kind.is_packable, !is_example) << kind.name;
    EXPECT_EQ(kind.is_shared, is_shared) << kind.name;
    const StoreCapabilities found(*store);
    EXPECT_EQ(found.history != nullptr, kind.has_history) << kind.name;
    EXPECT_EQ(found.batch != nullptr, kind.has_batches) << kind.name;
    EXPECT_EQ(found.packable != nullptr, kind.is_packable) << kind.name;
    EXPECT_EQ(found.shared != nullptr, kind.is_shared) << kind.name;
    EXPECT_EQ(found.oldest_tid(), Tid{0}) << kind.name;
  }
}

TEST(StoreCapabilities, OfOnesOwnStoreAreNone) {
  MemoryStore inner;
  ForwardingStore store(inner);
  const StoreCapabilities found(store);
  EXPECT_EQ(found.history, nullptr);
  EXPECT_EQ(found.packable, nullptr);
  EXPECT_EQ(found.batch, nullptr);
  EXPECT_EQ(found.shared, nullptr);
  EXPECT_EQ(found.oldest_tid(), Tid{0});
  EXPECT_THROW(found.require_history("Database::history"), MissingCapabilityError);
  try {
    found.require_packable("Database::pack");
    FAIL() << "it claims to be packable";
  } catch (const MissingCapabilityError& error) {
    EXPECT_EQ(error.capability, "PackableStore");
    EXPECT_EQ(error.operation, "Database::pack");
    EXPECT_STREQ(error.what(), "Database::pack needs a store that is a cow::PackableStore, which this one is not");
  }
}

}  // namespace
}  // namespace cow::testing
