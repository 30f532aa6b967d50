// The witness: what it notices, what it must not complain of, and how a loss is accepted.
#include "persistence/detail/witness.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "damage_testing.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;
using detail::WitnessRecord;

WitnessRecord some_record() {
  WitnessRecord record;
  record.store_id = 1;
  record.sequence = 2;
  record.state = WitnessRecord::State::clean;
  record.end = {Tid{3}, 4};
  record.next_oid = 5;
  record.oid_limit = 6;
  record.manifest = {7, 8, 9};
  record.log = 10;
  return record;
}

std::string in_block(const WitnessRecord& record) {
  std::string block = record.encode();
  block.resize(4096);
  return block;
}

std::string in_all_blocks(const WitnessRecord& record) {
  return in_block(record) + in_block(record) + in_block(record);
}

TEST(WitnessRecord, ComesBackAndEveryDamageIsNoticed) {
  const std::string bytes = some_record().encode();
  ASSERT_EQ(bytes.size(), WitnessRecord::kSize);
  EXPECT_EQ(WitnessRecord::decode(bytes), some_record());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    EXPECT_FALSE(WitnessRecord::decode(bytes.substr(0, at)));
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      EXPECT_FALSE(WitnessRecord::decode(damaged)) << at;
    }
  }
}

TEST(WitnessRecord, TheSoundOneWithTheHigherNumberCounts) {
  WitnessRecord older = some_record();
  WitnessRecord newer = some_record();
  newer.sequence = 3;
  newer.end.tid = Tid{99};
  const std::string a = in_block(older);
  const std::string b = in_block(newer);
  const std::string damaged(4096, '\xAA');
  EXPECT_EQ(detail::newest_record(a + b), newer);
  EXPECT_EQ(detail::newest_record(b + a), newer);
  EXPECT_EQ(detail::newest_record(a + damaged), older);
  EXPECT_EQ(detail::newest_record(damaged + b), newer);
  EXPECT_EQ(detail::newest_record(damaged + damaged + a), older);
  EXPECT_EQ(detail::newest_record(a + a + b), newer);
  EXPECT_EQ(detail::newest_record(a), older);
  EXPECT_FALSE(detail::newest_record(damaged + damaged + damaged));
  EXPECT_FALSE(detail::newest_record(""));
}

/// A store's directory as it was at some time, and a place to try things with a copy of it.
class StoreWitness : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kLast = 20;

  static RocksDbOptions options(bool durable = true) {
    RocksDbOptions options;
    options.durable = durable;
    options.oid_block = 1000;  // so that the last write of a session is a commit
    return options;
  }

  /// The files of a store with `kLast` transactions, ten of them in its last session, whose process was killed then.
  Files killed(bool durable = true) {
    Files files;
    known_ = KnownStore(scratch_.store(), options(durable));
    known_.work(10);
    known_.work(kLast, [&](const Files& now) { files = now; });
    return files;
  }
  Files closed() {
    killed();
    return read_files(scratch_.store());
  }

  std::uint64_t open(const Files& files, bool accept_loss = false) {
    write_files(files, copy());
    return open_again(accept_loss);
  }

  /// Opens the copy and checks all that is there. Returns its last tid.
  std::uint64_t open_again(bool accept_loss = false, bool durable = true) {
    RocksDbOptions how = options(durable);
    how.create_if_missing = true;  // it must not be taken for a place for a new one
    how.accept_loss = accept_loss;
    RocksDbStore store(copy(), how);
    const std::uint64_t last = store.last_tid().value;
    EXPECT_EQ(store.verify(), last);
    known_.expect_history(store, last);
    EXPECT_GT(store.allocate_oids(1).first.value, known_.given()) << "an oid is given away twice";
    return last;
  }

  /// Must be refused, in words with `why`, and with nothing changed.
  void expect_refused(const Files& files, const std::string& why) {
    write_files(files, copy());
    try {
      ADD_FAILURE() << why << ": opened at tid " << open_again();
    } catch (const StoreCorruptError& error) {
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
    EXPECT_TRUE(read_files(copy()) == files) << why << ": something was changed";
  }

  static Files without(Files files, const std::string& part) {
    std::erase_if(files, [&](const auto& file) { return file.first.ends_with(part) || file.first.starts_with(part); });
    return files;
  }
  static Files with_log_cut(Files files) {
    for (auto& [name, content] : files) {
      if (name.ends_with(".log")) content.resize(content.size() / 2);
    }
    return files;
  }

  fs::path copy() const { return scratch_.path() / "copy"; }

  const ScratchDirectory scratch_;
  KnownStore known_{scratch_.store(), options()};
};

TEST_F(StoreWitness, ALogThatIsGoneAfterAKillIsNoticed) {
  const Files lost = without(killed(), ".log");
  expect_refused(lost, "tid 20 was committed last");
  expect_refused(lost, "RocksDbOptions::accept_loss");
  EXPECT_EQ(open(lost, true), 10u);
  EXPECT_EQ(open_again(), 10u) << "the loss has been accepted for good";
}

TEST_F(StoreWitness, ALogThatIsCutAfterAKillIsNoticed) {
  const Files lost = with_log_cut(killed());
  expect_refused(lost, "tid 20 was committed last");
  const std::uint64_t last = open(lost, true);
  EXPECT_GT(last, 10u);
  EXPECT_LT(last, kLast);
  EXPECT_EQ(open_again(), last);
}

TEST_F(StoreWitness, TheLastBatchCannotBeLostUnnoticed) {
  Files files = killed();
  std::string& log = files[file_like(files, ".log")];
  log.resize(log.size() - 1);
  expect_refused(files, "tid 20 was committed last");
}

TEST_F(StoreWitness, AMissingWitnessIsNoticed) {
  const Files dead = killed();
  for (const Files& all : {dead, read_files(scratch_.store())}) {
    const Files files = without(all, "WITNESS");
    expect_refused(files, "WITNESS is missing");
    expect_refused(files, "RocksDbOptions::accept_loss");
    EXPECT_EQ(open(files, true), kLast);
    EXPECT_EQ(open_again(), kLast);
  }
}

TEST_F(StoreWitness, ADamagedWitnessIsNoticed) {
  Files files = closed();
  for (std::size_t block : {0, 4096, 8192}) files["WITNESS"][block + 50] ^= 1;
  expect_refused(files, "RocksDbOptions::accept_loss");
  EXPECT_EQ(open(files, true), kLast);
  EXPECT_EQ(open_again(), kLast);
}

TEST_F(StoreWitness, AnotherStoresWitnessIsNoticed) {
  Files files = closed();
  WitnessRecord record = *detail::newest_record(files["WITNESS"]);
  ++record.store_id;
  files["WITNESS"] = in_all_blocks(record);
  expect_refused(files, "the witness of another store");
}

// A database that was put back to an earlier state, by a tool that knows nothing of the witness.
TEST_F(StoreWitness, AnOlderDatabaseIsNoticed) {
  known_.work(10);
  const Files older = read_files(scratch_.store());
  const Files dead = killed();
  for (const Files& newer : {dead, read_files(scratch_.store())}) {
    Files files = older;
    files["WITNESS"] = newer.at("WITNESS");
    expect_refused(files, "tid 20 was committed last");
    EXPECT_EQ(open(files, true), 10u);
  }
}

TEST_F(StoreWitness, OtherHistoryOfTheSameLengthIsNoticed) {
  const Files files = closed();
  WitnessRecord record = *detail::newest_record(files.at("WITNESS"));
  record.end.checksum ^= 1;
  Files other = files;
  other["WITNESS"] = in_all_blocks(record);
  expect_refused(other, "tid 20 is not what was committed");
}

TEST_F(StoreWitness, ADatabaseThatIsGoneIsNotMadeAnew) {
  Files files = closed();
  const Files witness{{"WITNESS", files["WITNESS"]}};
  expect_refused(witness, "there was a store, up to tid 20");
  expect_refused(without(files, "CURRENT"), "there was a store, up to tid 20");
  EXPECT_THROW(open(witness, true), StoreCorruptError) << "there is nothing to accept";
}

TEST_F(StoreWitness, CleanIsWithdrawnWhileTheStoreIsOpen) {
  const auto state = [&] { return detail::read_witness(scratch_.store())->state; };
  {
    RocksDbOptions how = options();
    how.create_if_missing = true;
    RocksDbStore store(scratch_.store(), how);
    EXPECT_EQ(state(), WitnessRecord::State::open);
    commit(store, 1, {put(1, "a")});
    EXPECT_EQ(detail::read_witness(scratch_.store())->end.tid, Tid{1});
  }
  EXPECT_EQ(state(), WitnessRecord::State::clean);
  {
    RocksDbStore store(scratch_.store(), options());
    EXPECT_EQ(state(), WitnessRecord::State::open);
  }
  EXPECT_EQ(state(), WitnessRecord::State::clean);
}

// After a power failure the witness may be as old as it was when the store was opened.
TEST_F(StoreWitness, AnOlderWitnessOfTheSameSessionContradictsNothing) {
  known_.work(10);
  std::vector<Files> crashes;
  known_.work_in_steps(kLast, [&](const Files& now) { crashes.push_back(now); });
  WitnessRecord at_open = *detail::newest_record(crashes[0].at("WITNESS"));
  at_open.end = {};
  at_open.next_oid = at_open.oid_limit = 0;
  std::vector<std::string> witnesses{in_all_blocks(at_open)};
  for (const Files& files : crashes) witnesses.push_back(files.at("WITNESS"));
  for (std::size_t w = 0; w < witnesses.size(); ++w) {
    for (std::size_t c = w == 0 ? 0 : w - 1; c < crashes.size(); c += 3) {
      Files files = crashes[c];
      files["WITNESS"] = witnesses[w];
      write_files(files, copy());
      EXPECT_EQ(open_again(), 11 + c) << "witness " << w;
    }
  }
}

TEST_F(StoreWitness, WithoutSyncsALogMayEndEarlyAndMayNotBeGone) {
  const Files files = killed(false);
  write_files(with_log_cut(files), copy());
  const std::uint64_t last = open_again(false, false);
  EXPECT_LT(last, kLast);

  // Nothing was synced since the store was opened, but its log was there then.
  RocksDbStore store(scratch_.store(), options(false));
  commit(store, kLast + 1, {put(1, "lost")});
  expect_refused(without(read_files(scratch_.store()), ".log"), "the log number");
}

TEST_F(StoreWitness, AnInterruptedCreationIsTakenUpAgain) {
  WitnessRecord creating;
  creating.store_id = 77;
  const Files only_witness{{"WITNESS", in_all_blocks(creating)}};
  Files begun = only_witness;
  for (const char* name : {"LOCK", "IDENTITY", "000001.dbtmp", "MANIFEST-000001", "WITNESS.dbtmp"}) begun[name] = "";
  for (const Files& files : {only_witness, begun}) {
    write_files(files, copy());
    RocksDbOptions how = options();
    EXPECT_THROW(
        {
          how.create_if_missing = false;
          RocksDbStore store(copy(), how);
        },
        StoreError);
    EXPECT_TRUE(read_files(copy()) == files);
    how.create_if_missing = true;
    {
      RocksDbStore store(copy(), how);
      commit(store, 1, {put(1, "a")});
    }
    EXPECT_EQ(RocksDbStore(copy(), how).last_tid(), Tid{1});
    EXPECT_EQ(detail::read_witness(copy())->store_id, 77u);
  }
}

// The witness is all that knows of oids whose reservation is lost, until they are skipped.
TEST_F(StoreWitness, AnAcceptedLossThatIsInterruptedGivesNoOidTwice) {
  write_files(without(without(killed(), ".log"), "LOCK"), copy());
  fs::create_directory(copy() / "LOCK");  // can be opened for reading only
  EXPECT_THROW(open_again(true), StoreError);
  fs::remove(copy() / "LOCK");
  EXPECT_THROW(open_again(), StoreCorruptError);
  EXPECT_EQ(open_again(true), 10u);
  EXPECT_EQ(open_again(), 10u);
}

// Stores of the first format have no witness. They get it once, when all of them was found to be in order.
TEST_F(StoreWitness, AStoreOfTheFirstFormatIsVerifiedAndAdopted) {
  const Files first = read_files(fs::path(kStoreFixtures) / "1" / "killed");
  const auto last_of = [&](const Files& files) {
    write_files(files, copy());
    RocksDbStore store(copy(), options());
    return store.last_tid().value;
  };
  const std::uint64_t last = last_of(first);
  EXPECT_GT(last, 10u);
  const Files adopted = read_files(copy());
  expect_refused(without(adopted, "WITNESS"), "WITNESS is missing");

  Files interrupted = first;  // the witness came, the new version in the format entry did not
  WitnessRecord record;
  record.state = WitnessRecord::State::open;
  record.end.tid = Tid{1000};
  interrupted["WITNESS"] = in_all_blocks(record);
  EXPECT_EQ(last_of(interrupted), last);

  // A record far back, where the check of the newest entries would not look.
  int refused = 0;
  for (const auto& [name, content] : first) {
    if (!name.ends_with(".sst")) continue;
    Files damaged = first;
    damaged[name][10] ^= 1;
    try {
      RocksDbOptions hasty = options();
      hasty.verify_at_open = 1;
      write_files(damaged, copy());
      RocksDbStore store(copy(), hasty);
    } catch (const StoreError&) {
      ++refused;
      EXPECT_TRUE(read_files(copy()) == damaged) << name;
    }
  }
  EXPECT_GT(refused, 3);
}

}  // namespace
}  // namespace cow::testing
