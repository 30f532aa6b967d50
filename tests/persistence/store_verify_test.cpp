// The check of stores: what is sound is, in stores of each kind; and each kind of fault is found by each way to look.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/verify.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "persistence/verify_stored.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

using Kind = VerifyFault::Kind;

/// A record of a type whose codec has written these bytes.
std::string record_with(std::string_view type, std::string_view value) {
  std::string record(detail::kChecksumEnd, '\0');
  record[0] = '\x94';
  record[1] = '\xce';
  record += static_cast<char>(0xa0 | type.size());
  record += type;
  record += '\x01';
  record += value;
  detail::store_big_endian(record.data() + 2, detail::record_checksum(record));
  return record;
}

std::string reference_to(std::uint64_t oid) {
  std::string value{'\xd7', static_cast<char>(kReferenceExtension)};
  for (int i = 56; i >= 0; i -= 8) value += static_cast<char>(oid >> i);
  return value;
}

std::string refers_to(std::uint64_t oid) { return record_with("test.Link", reference_to(oid)); }

/// A way to make a store and to look at it.
struct Way {
  const char* name;
  bool in_memory;
  std::function<VerifyReport(Store&, const VerifyOptions&)> verify;
  friend std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name; }
};

class StoreVerify : public ::testing::TestWithParam<Way> {
 protected:
  void commit(std::uint64_t tid, const std::vector<ObjectWrite>& objects) { testing::commit(*store_, tid, objects); }
  VerifyReport verify(const VerifyOptions& options = {}) { return GetParam().verify(*store_, options); }

  const ScratchDirectory scratch_;
  const std::unique_ptr<Store> store_ = GetParam().in_memory
                                            ? std::unique_ptr<Store>(std::make_unique<MemoryStore>())
                                            : std::make_unique<RocksDbStore>(scratch_.store(), creating());
};

TEST_P(StoreVerify, WhatADatabaseHasWrittenIsSound) {
  struct Unused {};
  {
    Database database(*store_);
    Ref<std::map<std::string, std::string>> gone;
    database.transact([&](auto& txn) {
      gone = txn.create(std::map<std::string, std::string>{{"key", "value"}});
      txn.root().set("gone", gone);
      txn.root().set("kept", txn.create(std::string("text")));
    });
    database.transact([&](auto& txn) {
      txn.root().erase("gone");
      txn.erase(gone);
    });
  }
  const VerifyReport report = verify();
  EXPECT_TRUE(report.sound()) << report.faults.front().what;
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(Tid{report.transactions}, store_->last_tid());
  EXPECT_EQ(report.objects, 3u);  // the root, the types, the text
  EXPECT_GE(report.references, 5u);
  EXPECT_TRUE(report.opaque.empty());
}

TEST_P(StoreVerify, AReferenceThatLeadsNowhereIsNamed) {
  commit(1, {put(1, refers_to(10)), put(10, refers_to(11)), put(11, record_with("t", "\xc0"))});
  commit(2, {erase(11)});
  commit(3, {put(12, refers_to(99))});
  const VerifyReport report = verify();
  ASSERT_EQ(report.fault_count, 2u);
  EXPECT_EQ(report.faults[0],
            (VerifyFault{Kind::dangling, Oid{10}, Tid{1}, Oid{11}, "it refers to oid 11, which was erased"}));
  EXPECT_EQ(report.faults[1],
            (VerifyFault{Kind::dangling, Oid{12}, Tid{3}, Oid{99}, "it refers to oid 99, which is not there"}));
  EXPECT_EQ(report.references, 3u);
}

TEST_P(StoreVerify, AnOldRevisionMayReferToWhatWasErasedSince) {
  commit(1, {put(1, refers_to(10)), put(10, record_with("t", "\xc0"))});
  commit(2, {put(1, record_with("t", "\xc0")), erase(10)});
  EXPECT_TRUE(verify().sound());
  commit(3, {put(1, refers_to(77))});
  commit(4, {put(1, record_with("t", "\xc0"))});
  const VerifyReport report = verify();
  ASSERT_EQ(report.fault_count, 1u) << "and not to what never was";
  EXPECT_EQ(report.faults[0].target, Oid{77});
  EXPECT_EQ(report.faults[0].tid, Tid{3});
}

TEST_P(StoreVerify, ValuesThatAreNoMessagePackAreNoFaults) {
  // 0xc1 is never used in MessagePack; one value, and bytes behind it; a reference in front of nonsense counts for nothing.
  commit(1, {put(1, record_with("own.Codec", "\xc1 anything")), put(10, record_with("own.Codec", "\xc0\xc0")),
             put(11, record_with("other", reference_to(99) + "x"))});
  const VerifyReport report = verify();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.opaque, (std::map<std::string, std::uint64_t>{{"other", 1}, {"own.Codec", 2}}));
  EXPECT_EQ(report.references, 0u);
}

TEST_P(StoreVerify, BytesThatAreNoRecordAre) {
  std::string damaged = refers_to(1);
  damaged.back() ^= 1;
  commit(1, {put(1, "raw"), put(10, damaged)});
  const VerifyReport report = verify();
  ASSERT_EQ(report.fault_count, 2u);
  EXPECT_EQ(report.faults[0].kind, Kind::record);
  EXPECT_NE(report.faults[1].what.find("wrong checksum"), std::string::npos) << report.faults[1].what;
  // Unless nobody says that they are to be records.
  VerifyOptions options;
  options.records = false;
  EXPECT_TRUE(verify(options).sound());
  EXPECT_EQ(verify(options).transactions, 1u);
}

TEST_P(StoreVerify, APackedStoreIsSound) {
  commit(1, {put(1, refers_to(10)), put(10, record_with("t", "\xc0"))});
  commit(2, {put(1, record_with("t", "\xc0")), erase(10)});
  commit(3, {put(11, refers_to(1))});
  commit(4, {put(11, refers_to(11))});
  dynamic_cast<PackableStore&>(*store_).pack(
      {.before = Tid{2}, .oldest_pin = kInfinity, .is_garbage = {}, .progress = {}});
  VerifyReport report = verify();
  EXPECT_TRUE(report.sound()) << report.faults.front().what;
  EXPECT_EQ(report.objects, 2u);
  commit(5, {put(12, refers_to(10))});
  report = verify();
  ASSERT_EQ(report.fault_count, 1u);
  EXPECT_EQ(report.faults[0].oid, Oid{12});
}

TEST_P(StoreVerify, GarbageOfAPackThatWasStoppedIsNoFault) {
  // From the root: 10. Nothing leads to 20, which refers to 21; both are as old as the pack. A pack that was stopped has dropped 21 only.
  commit(1, {put(1, refers_to(10)), put(10, record_with("t", "\xc0")), put(20, refers_to(21)),
             put(21, record_with("t", "\xc0")), put(30, refers_to(31)), put(31, record_with("t", "\xc0"))});
  commit(2, {put(1, refers_to(10)), put(30, refers_to(31))});
  const PackRequest stopped{
      .before = Tid{1}, .oldest_pin = kInfinity, .is_garbage = [](Oid oid) { return oid == Oid{21}; }, .progress = {}};
  dynamic_cast<PackableStore&>(*store_).pack(stopped);
  ASSERT_FALSE(store_->load(Oid{21}, Tid{2}));
  VerifyReport report = verify();
  EXPECT_TRUE(report.sound()) << report.faults.front().what;
  // By its history alone it knows nothing of 20, which no transaction that is left names.
  EXPECT_LE(report.of_garbage, 1u);
  // But what is reached must not lead nowhere, however old it is: 1 to 10, and from now on to 40, which refers to 20.
  commit(3, {put(40, refers_to(20))});
  report = verify();
  ASSERT_EQ(report.fault_count, 1u);
  EXPECT_EQ(report.faults[0].oid, Oid{20});
  EXPECT_EQ(report.faults[0].target, Oid{21});
  EXPECT_EQ(report.of_garbage, 0u);
}

TEST_P(StoreVerify, AnEmptyStoreIsSound) {
  const VerifyReport report = verify();
  EXPECT_TRUE(report.sound());
  EXPECT_EQ(report.transactions + report.objects + report.revisions, 0u);
}

TEST_P(StoreVerify, ProgressGoesOnAndStops) {
  for (std::uint64_t tid = 1; tid <= 300; ++tid) commit(tid, {put(tid, record_with("t", "\xc0"))});
  std::vector<VerifyProgress::Step> steps;
  VerifyOptions options;
  options.progress = [&](const VerifyProgress& now) {
    if (steps.empty() || steps.back() != now.step) steps.push_back(now.step);
    EXPECT_LE(now.done, 1000u);
    return true;
  };
  EXPECT_TRUE(verify(options).complete);
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  EXPECT_EQ(std::ranges::adjacent_find(steps), steps.end());
  EXPECT_EQ(steps.back(), VerifyProgress::Step::records);
  for (const VerifyProgress::Step last : steps) {
    options.progress = [last](const VerifyProgress& now) { return now.step != last || now.done < 65; };
    const VerifyReport report = verify(options);
    EXPECT_FALSE(report.complete) << static_cast<int>(last);
    EXPECT_TRUE(report.sound());
    EXPECT_LT(report.revisions, 300u);
  }
}

TEST_P(StoreVerify, FaultsAreCountedWhenThereIsNoRoomForThem) {
  std::vector<std::string> records;
  for (int i = 0; i < 50; ++i) records.push_back(refers_to(1000));
  std::vector<ObjectWrite> objects;
  for (int i = 0; i < 50; ++i)
    objects.push_back(put(static_cast<std::uint64_t>(1 + i), records[static_cast<std::size_t>(i)]));
  commit(1, objects);
  VerifyOptions options;
  options.most_faults = 7;
  const VerifyReport report = verify(options);
  EXPECT_EQ(report.faults.size(), 7u);
  EXPECT_EQ(report.fault_count, 50u);
  EXPECT_FALSE(report.sound());
}

INSTANTIATE_TEST_SUITE_P(
    Ways, StoreVerify,
    ::testing::Values(Way{"MemoryByItsHistory", true,
                          [](Store& store, const VerifyOptions& options) { return verify(store, options); }},
                      Way{"RocksDbByItsHistory", false,
                          [](Store& store, const VerifyOptions& options) { return verify(store, options); }},
                      Way{"RocksDbByItself", false,
                          [](Store& store, const VerifyOptions& options) {
                            return dynamic_cast<RocksDbStore&>(store).verify(options);
                          }},
                      Way{"RocksDbFromOutside", false,
                          [](Store& store, const VerifyOptions& options) {
                            return verify_stored(StoreReader(dynamic_cast<RocksDbStore&>(store).path()), options);
                          }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(StoreVerifyItself, AWitnessThatSaysSomethingElseIsAFault) {
  const ScratchDirectory scratch;
  RocksDbStore store(scratch.store(), creating());
  commit(store, 1, {put(1, record_with("t", "\xc0"))});
  EXPECT_TRUE(store.verify({}).sound());
  const std::filesystem::path file = store.path() / "WITNESS";
  std::filesystem::copy_file(file, scratch.path() / "kept");
  {
    const ScratchDirectory other;
    RocksDbStore newer(other.store(), creating());
    commit(newer, 1, {put(1, "x")});
    std::filesystem::copy_file(newer.path() / "WITNESS", file, std::filesystem::copy_options::overwrite_existing);
  }
  const auto expect_fault = [&](const std::string& why) {
    const VerifyReport report = store.verify({});
    ASSERT_EQ(report.fault_count, 1u);
    EXPECT_EQ(report.faults[0].kind, Kind::store);
    EXPECT_NE(report.faults[0].what.find(why), std::string::npos) << report.faults[0].what;
    EXPECT_EQ(report.revisions, 1u) << "the rest is looked at all the same";
  };
  expect_fault("another store's");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << "nonsense";
  expect_fault("WITNESS");
  std::filesystem::remove(file);
  expect_fault("is missing");
}

TEST(StoreVerifyItself, AStoreWithoutAHistorySaysSo) {
  struct Bare final : Store {
    std::optional<Revision> load(Oid, Tid) override { return std::nullopt; }
    Tid last_tid() override { return Tid{}; }
    OidBlock allocate_oids(std::uint64_t count) override { return {Oid{2}, count}; }
    void commit(std::span<const TransactionWrite>) override {}
  } bare;
  EXPECT_THROW(verify(bare), MissingCapabilityError);
}

}  // namespace
}  // namespace cow::testing
