// StoreReader: what it finds in stores of earlier versions, beside a program that has the store open, and in damaged stores.
#include "persistence/store_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "damage_testing.hpp"
#include "fixtures/manifest.hpp"
#include "tests/support/store_testing.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;
using fixtures::Manifest;

constexpr Oid kLastOid{~std::uint64_t{0}};

/// All that a reader finds, by oid and tid; what is erased as an empty text.
using Found = std::map<std::pair<Oid, Tid>, std::string>;

Found sound_revisions(const StoreReader& reader) {
  Found found;
  reader.revisions(Oid{0}, kLastOid, [&](const StoredRevision& revision) {
    if (revision.sound) found[{revision.oid, revision.tid}] = std::string(revision.record);
    return true;
  });
  return found;
}

Found expected_of(const Manifest& manifest, const Found& found) {
  // Of a record the manifest has the hash only: what was found counts as expected if that is right.
  Found expected;
  for (const auto& [key, entry] : manifest.revisions) {
    const auto same = found.find(key);
    const bool right = same != found.end() && !entry.erased && Manifest::hash_of(same->second) == entry.hash;
    expected[key] = entry.erased ? "" : right ? same->second : "another record";
  }
  return expected;
}

std::vector<Tid> tids_of(const StoreReader& reader) {
  std::vector<Tid> tids;
  reader.transactions(reader.last_tid(), Tid{1}, [&](const StoredTransaction& transaction) {
    tids.push_back(transaction.tid);
    return true;
  });
  return tids;
}

struct Fixture {
  explicit Fixture(const std::string& name)
      : manifest(Manifest::read((fs::path(kStoreFixtures) / name).string() + ".txt")),
        files(read_files(fs::path(kStoreFixtures) / name)) {}

  Manifest manifest;
  Files files;
};

TEST(StoreReader, FindsAllThatFixturesHave) {
  for (const char* name : {"1/closed", "1/killed", "1/killed_unsynced", "1/erasures", "1/erasures_killed",
                           "1/types_killed", "1/empty", "2/closed", "2/killed"}) {
    SCOPED_TRACE(name);
    const ScratchDirectory scratch;
    const Fixture fixture(name);
    write_files(fixture.files, scratch.store());
    const StoreReader reader(scratch.store());
    EXPECT_EQ(reader.last_tid(), fixture.manifest.last_tid);
    EXPECT_EQ(tids_of(reader).size(), fixture.manifest.transactions);
    const Found found = sound_revisions(reader);
    EXPECT_EQ(found, expected_of(fixture.manifest, found));
    for (const auto& [key, entry] : fixture.manifest.revisions) {
      const std::optional<Revision> revision = reader.load(key.first, key.second);
      ASSERT_TRUE(revision);
      EXPECT_EQ(revision->begin, entry.begin);
      EXPECT_EQ(revision->end, entry.end);
      EXPECT_EQ(revision->erased, entry.erased);
    }
    EXPECT_EQ(reader.verify_chain(), fixture.manifest.transactions);
    EXPECT_TRUE(reader.summary().whole);
    EXPECT_EQ(read_files(scratch.store()), fixture.files) << "something was written";
  }
}

// Below a pack nothing is told, whatever is still there; from it on, all that was.
TEST(StoreReader, KnowsWhatWasPacked) {
  for (const char* name : {"4/packed", "4/packed_killed"}) {
    SCOPED_TRACE(name);
    const ScratchDirectory scratch;
    const Fixture fixture(name);
    write_files(fixture.files, scratch.store());
    const StoreReader reader(scratch.store());
    const Tid oldest = reader.summary().oldest_tid, last = fixture.manifest.last_tid;
    ASSERT_GT(oldest, Tid{});
    EXPECT_EQ(reader.last_tid(), last);
    EXPECT_EQ(tids_of(reader).size(), last.value - oldest.value + 1) << "the last one up to the pack is there";
    for (Oid oid{1}; oid <= fixture.manifest.oids_up_to; ++oid.value) {
      for (Tid at{0}; at <= last; ++at.value) {
        if (at < oldest) {
          EXPECT_THROW((void)reader.load(oid, at), SnapshotTooOldError);
          continue;
        }
        const Manifest::Entry* entry = fixture.manifest.visible(oid, at);
        const std::optional<Revision> revision = reader.load(oid, at);
        const bool exists = entry != nullptr && !entry->erased;
        ASSERT_EQ(revision && !revision->erased, exists) << oid << " at " << at;
        if (exists) {
          EXPECT_EQ(revision->begin, entry->begin);
          EXPECT_EQ(Manifest::hash_of(revision->record), entry->hash);
        }
      }
    }
    EXPECT_NO_THROW((void)reader.verify_chain());
  }
}

TEST(StoreReader, SaysWhatTransactionsHaveChangedAndWhen) {
  const ScratchDirectory scratch;
  const auto before = std::chrono::system_clock::now();
  {
    RocksDbStore store(scratch.store(), creating());
    commit(store, 1, {put(10, "a"), put(11, "b")});
    commit(store, 5, {put(11, "c")});
  }
  const StoreReader reader(scratch.store());
  EXPECT_EQ(tids_of(reader), (std::vector<Tid>{Tid{5}, Tid{1}}));
  const std::optional<StoredTransaction> first = reader.transaction(Tid{1}), second = reader.transaction(Tid{5});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->objects, (std::vector<Oid>{Oid{10}, Oid{11}}));
  EXPECT_EQ(second->predecessor, Tid{1});
  EXPECT_FALSE(reader.transaction(Tid{3}));
  EXPECT_GE(first->time, std::chrono::floor<std::chrono::microseconds>(before));
  EXPECT_EQ(reader.tid_at(second->time), Tid{5});
  EXPECT_EQ(reader.tid_at(first->time - std::chrono::microseconds(1)), std::nullopt);
}

TEST(StoreReader, ReadsBesideAWriterAndFollowsIt) {
  const ScratchDirectory scratch;
  RocksDbOptions options = creating();
  options.write_buffer_bytes = std::size_t{64} << 10;  // so that files come and go
  RocksDbStore store(scratch.store(), options);
  commit(store, 1, {put(10, "first")});
  StoreReader reader(scratch.store());
  const std::string large(20'000, 'x');
  for (std::uint64_t tid = 2; tid <= 100; ++tid) {
    commit(store, tid, {put(10, "of " + std::to_string(tid)), put(10 + tid, large)});
    if (tid % 10 != 0) continue;
    // The view stays what it was until it is refreshed.
    EXPECT_LT(reader.last_tid(), Tid{tid});
    EXPECT_EQ(reader.load(Oid{10 + tid}, Tid{tid}), std::nullopt);
    reader.refresh();
    ASSERT_EQ(reader.last_tid(), Tid{tid});
    EXPECT_EQ(reader.load(Oid{10}, Tid{tid})->record, "of " + std::to_string(tid));
    EXPECT_EQ(reader.load(Oid{10}, Tid{1})->record, "first");
    EXPECT_EQ(sound_revisions(reader).size(), 2 * tid - 1);
  }
}

TEST(StoreReader, RefusesWhatIsNoStore) {
  const ScratchDirectory scratch;
  EXPECT_THROW(StoreReader(scratch.path() / "nowhere"), StoreMissingError);
  EXPECT_THROW(StoreReader(scratch.path()), StoreMissingError);
  write_files({{"text", "not a store"}}, scratch.store());
  EXPECT_THROW(StoreReader(scratch.store()), StoreFormatError);
}

TEST(StoreReader, SaysAfterEachRefreshWhatCannotBeReadNow) {
  const ScratchDirectory scratch;
  const Fixture fixture("2/closed");
  Files damaged = fixture.files;
  damaged["WITNESS"] = "nonsense";
  write_files(damaged, scratch.store());
  std::vector<std::string> said;
  StoreReader reader(scratch.store(), [&](const UnreadablePart& part) { said.push_back(part.part); });
  const std::vector<std::string> witness{"WITNESS"};
  EXPECT_EQ(std::exchange(said, {}), witness);
  reader.refresh();
  EXPECT_EQ(std::exchange(said, {}), witness);
  write_files(fixture.files, scratch.store());
  reader.refresh();
  EXPECT_TRUE(said.empty());
}

// Whatever is done to a file: nothing wrong is told, and what is not told was said to be unreadable.
class StoreReaderDamage : public ::testing::TestWithParam<const char*> {
 protected:
  void expect_honest(const Files& files, const std::string& what) {
    SCOPED_TRACE(what);
    write_files(files, scratch_.store());
    std::vector<UnreadablePart> unreadable;
    try {
      const StoreReader reader(scratch_.store(), [&](const UnreadablePart& part) { unreadable.push_back(part); });
      const std::size_t transactions = tids_of(reader).size();
      const Found found = sound_revisions(reader);
      const Found expected = expected_of(fixture_.manifest, found);
      for (const auto& [key, record] : found) {
        ASSERT_TRUE(expected.contains(key)) << key.first << " at " << key.second << " was never committed";
        ASSERT_EQ(record, expected.at(key)) << key.first << " at " << key.second;
      }
      const bool all = found.size() == expected.size() && transactions == fixture_.manifest.transactions;
      if (!all && unreadable.empty() && format_has_witness())
        ADD_FAILURE() << "not said: " << found.size() << " revisions";
      least_ = std::min(least_, found.size());
    } catch (const Error&) {
      // Nothing at all can be read, which is said.
      ++refused_;
    }
    ++tried_;
  }

  bool format_has_witness() const { return !std::string_view(GetParam()).starts_with('1'); }

  const ScratchDirectory scratch_;
  const Fixture fixture_{GetParam()};
  std::size_t least_ = fixture_.manifest.revisions.size();
  int tried_ = 0, refused_ = 0;
};

TEST_P(StoreReaderDamage, FlippedBytes) {
  const std::size_t stride = detail::kAddressSanitizer ? 997 : 97;
  for (const auto& [name, content] : fixture_.files) {
    if (name.starts_with("OPTIONS") || name == "LOCK" || name == "IDENTITY") continue;  // are not read
    for (std::size_t at = 0; at < content.size(); at += stride) {
      Files damaged = fixture_.files;
      damaged[name][at] = static_cast<char>(~damaged[name][at]);
      expect_honest(damaged, name + " with another byte " + std::to_string(at));
    }
  }
  EXPECT_GT(tried_, 20);
  EXPECT_LT(refused_, tried_ / 2);
}

TEST_P(StoreReaderDamage, FilesThatAreCutOrMissing) {
  for (const auto& [name, content] : fixture_.files) {
    if (name.starts_with("OPTIONS") || name == "LOCK" || name == "IDENTITY") continue;
    Files damaged = fixture_.files;
    damaged.erase(name);
    expect_honest(damaged, name + " missing");
    for (const std::size_t size :
         {std::size_t{0}, content.size() / 2, content.size() - std::min<std::size_t>(1, content.size())}) {
      damaged[name] = content.substr(0, size);
      expect_honest(damaged, name + " cut to " + std::to_string(size));
    }
  }
  EXPECT_EQ(refused_, 0) << "one file alone makes nothing of the others unreadable";
}

TEST_P(StoreReaderDamage, IsAnErrorWhereNobodyWantsToHearOfIt) {
  Files damaged = fixture_.files;
  const std::string name = file_like(damaged, ".sst");
  damaged[name].resize(damaged[name].size() - 1);
  write_files(damaged, scratch_.store());
  EXPECT_THROW(StoreReader reader(scratch_.store()), StoreCorruptError);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, StoreReaderDamage, ::testing::Values("1/closed", "2/closed", "2/killed", "3/noted"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '/', '_');
                           return "format_" + name;
                         });

}  // namespace
}  // namespace cow::testing
