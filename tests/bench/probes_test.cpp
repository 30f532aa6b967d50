// The parts of bench/probes: that a removed part is really gone and the others are still there, and that the model of the
// recovery probe notices what is lost, half there or altered.
#include <gtest/gtest.h>

#include <string>

#include "bench/probes/counting_store.hpp"
#include "bench/probes/hit_cost_reader.hpp"
#include "bench/probes/recovery_workload.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/workloads/chase.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {

using cow::detail::encode_record;
using cow::detail::SharedCache;
using cow::detail::state_at;
using cow::detail::StateHeader;

namespace {

struct Number {
  static constexpr std::string_view cow_type_name = "test.Number";
  int value = 0;
  MSGPACK_DEFINE(value);
};

template <class T>
StateHeader& state_of(const T& value) {
  return *state_at(const_cast<std::byte*>(reinterpret_cast<const std::byte*>(&value)));
}

template <class Features>
class HitCostVariant : public ::testing::Test {};

using Variants = ::testing::Types<Everything, WithoutLog, WithoutVisited, WithoutInterval, WithoutHint, WithoutDecode,
                                  HashOnly, BitmapOnly, KeyOnly, HintOnly>;
TYPED_TEST_SUITE(HitCostVariant, Variants);

TYPED_TEST(HitCostVariant, ReadsTheChainAsTheCacheDoes) {
  constexpr std::size_t kObjects = 3'000;  // so many that the log becomes a bitmap
  InMemory<SharedCache> system;
  auto start = chase::build<Database>(system.session, kObjects);
  Transaction txn = system.database.begin();
  (void)chase::follow(txn, &start, 2 * kObjects);  // every hint is right then
  Residents residents(system.database, system.store, txn.read(start));
  EXPECT_GE(residents.count(), kObjects);
  {
    ProbeTransaction<TypeParam> probe(residents);
    for (std::size_t steps : {kObjects / 3, kObjects}) {
      const auto* expected = chase::follow(txn, &start, steps);
      EXPECT_EQ(*chase::follow(probe, &start, steps), *expected);
    }
    bool logs = !std::is_same_v<typename TypeParam::Log, NoLog>;
    EXPECT_EQ(probe.states_logged(), logs ? kObjects : 0);
  }
  HashLog::forget();
  BitmapLog::forget();
}

TEST(HitCost, CountsReads) {
  InMemory<SharedCache> system;
  auto start = chase::build<Database>(system.session, 10);
  Transaction txn = system.database.begin();
  (void)chase::follow(txn, &start, 20);
  Residents residents(system.database, system.store, txn.read(start));
  ProbeTransaction<Counting> probe(residents);
  (void)chase::follow(probe, &start, 25);
  EXPECT_EQ(probe.reads(), 25u);
}

TEST(HitCost, OnlyTheIntervalCheckKeepsLaterCommitsOut) {
  InMemory<SharedCache> system;
  Ref<Number> number = system.database.transact([](Transaction& txn) { return txn.create(Number{1}); });
  Transaction before = system.database.begin();
  Residents residents(system.database, system.store, before.read(number));
  system.database.transact([&](Transaction& txn) { txn.write(number).value = 2; });
  (void)system.database.begin().read(number);  // the hint leads to the new state now
  EXPECT_EQ(ProbeTransaction<Everything>(residents).read(number).value, 1);
  EXPECT_EQ(ProbeTransaction<WithoutLog>(residents).read(number).value, 1);
  EXPECT_EQ(ProbeTransaction<WithoutVisited>(residents).read(number).value, 1);
  EXPECT_EQ(ProbeTransaction<WithoutInterval>(residents).read(number).value, 2);
  EXPECT_EQ(ProbeTransaction<KeyOnly>(residents).read(number).value, 2);
}

TEST(HitCost, OnlyTheVisitedBitTellsThePolicy) {
  InMemory<SharedCache> system;
  Ref<Number> number = system.database.transact([](Transaction& txn) { return txn.create(Number{1}); });
  Transaction txn = system.database.begin();
  StateHeader& state = state_of(txn.read(number));
  Residents residents(system.database, system.store, txn.read(number));
  auto visited_after = [&]<class Features>(Features) {
    (void)state.take_visited();
    EXPECT_EQ(ProbeTransaction<Features>(residents).read(number).value, 1);
    return state.visited();
  };
  EXPECT_TRUE(visited_after(Everything{}));
  EXPECT_TRUE(visited_after(WithoutInterval{}));
  EXPECT_TRUE(visited_after(WithoutLog{}));
  EXPECT_FALSE(visited_after(WithoutVisited{}));
  EXPECT_FALSE(visited_after(KeyOnly{}));
}

TEST(HitCost, WithoutDecodedValuesEachReadMakesItsOwn) {
  InMemory<SharedCache> system;
  Ref<Number> number = system.database.transact([](Transaction& txn) { return txn.create(Number{7}); });
  Transaction txn = system.database.begin();
  const Number& shared = txn.read(number);
  Residents residents(system.database, system.store, shared);
  ProbeTransaction<WithoutDecode> probe(residents);
  const Number &first = probe.read(number), &second = probe.read(number);
  EXPECT_NE(&first, &second);
  EXPECT_NE(&first, &shared);
  EXPECT_EQ(first.value, 7);
  EXPECT_EQ(&ProbeTransaction<WithoutHint>(residents).read(number), &shared);
}

TEST(HitCost, WhatIsNotResidentIsAnError) {
  InMemory<SharedCache> system;
  Ref<Number> number = system.database.transact([](Transaction& txn) { return txn.create(Number{7}); });
  Transaction txn = system.database.begin();
  Residents residents(system.database, system.store, txn.read(number));
  ProbeTransaction<Everything> probe(residents);
  EXPECT_THROW((void)probe.read(Ref<Number>(Oid{number.oid().value + 1'000})), std::logic_error);
}

TEST(ObjectSize, CommitsAreCounted) {
  MemoryStore memory;
  CountingStore store(memory);
  Database database(store);
  database.transact(
      [](Transaction& txn) { (void)txn.create(Number{0}); });  // the first of a type says what its fields are
  auto before = store.counts();
  Ref<Number> number = database.transact([](Transaction& txn) {
    (void)txn.create(Number{1});
    return txn.create(Number{2});
  });
  auto after = store.counts();
  EXPECT_EQ(after.transactions - before.transactions, 1u);
  EXPECT_EQ(after.records - before.records, 2u);
  std::string record;
  encode_record(Number{1}, record);
  EXPECT_EQ(after.bytes - before.bytes, 2 * record.size());
  EXPECT_EQ(database.begin().read(number).value, 2);
}

class RecoveryModel : public ::testing::Test {
 protected:
  static RecoveryOptions small() {
    RecoveryOptions options;
    options.accounts = 203;  // not a multiple of the clients
    options.clients = 4;
    options.seed = 5;
    return options;
  }

  /// Throws WrongAnswerError unless the database is what the model says.
  void check(const recovery::Model& model) {
    Transaction txn = database.begin();
    for (std::uint32_t i = 0; i < bank.accounts; ++i) model.check(i, txn.read(bank.account(i)));
  }

  RecoveryOptions options = small();
  MemoryStore store;
  Database database{store};
  recovery::Bank bank{options};
};

TEST_F(RecoveryModel, KnowsWhatTheClientsHaveDone) {
  bank.fill(database);
  recovery::Model model(bank);
  check(model);
  for (int round = 0; round < 2; ++round) {  // the second one goes on where the first has ended
    for (std::uint32_t number = 0; number < options.clients; ++number) {
      std::uint64_t written = database.begin().read(bank.ledger(number)).write;
      recovery::Client<Database> client(database, bank, number, written);
      int writes = 0;
      for (int i = 0; i < 200; ++i) writes += client.step();
      EXPECT_GT(writes, 0);
      EXPECT_EQ(client.written(), written + static_cast<std::uint64_t>(writes));
      EXPECT_GE(client.reads(), 200u * recovery::kReads);
      model.advance(number, client.written());
    }
    check(model);
  }
}

TEST_F(RecoveryModel, NoticesWhatIsLostHalfThereOrAltered) {
  bank.fill(database);
  recovery::Client<Database> client(database, bank, 1, 0);
  while (client.written() < 5) (void)client.step();
  recovery::Model one_less(bank), exact(bank), one_more(bank);
  one_less.advance(1, 4);
  exact.advance(1, 5);
  one_more.advance(1, 6);
  EXPECT_THROW(check(one_less), WrongAnswerError);
  EXPECT_THROW(check(one_more), WrongAnswerError);
  EXPECT_NO_THROW(check(exact));
  // Half of the sixth write.
  recovery::Bank::Writes writes(bank, 1);
  for (int i = 0; i < 5; ++i) (void)writes.next();
  recovery::Write sixth = writes.next();
  database.transact(
      [&](Transaction& txn) { recovery::Model::apply(txn.write(bank.account(sixth.from)), -sixth.amount, 6); });
  EXPECT_THROW(check(exact), WrongAnswerError);
  EXPECT_THROW(check(one_more), WrongAnswerError);
  database.transact(
      [&](Transaction& txn) { recovery::Model::apply(txn.write(bank.account(sixth.to)), sixth.amount, 6); });
  EXPECT_NO_THROW(check(one_more));
  // One byte that no write has changed.
  database.transact([&](Transaction& txn) { txn.write(bank.account(sixth.from)).note[3] ^= 1; });
  EXPECT_THROW(check(one_more), WrongAnswerError);
}

TEST_F(RecoveryModel, ClientsWriteOnlyTheirOwnAccounts) {
  for (std::uint32_t client = 0; client < options.clients; ++client) {
    recovery::Bank::Writes writes(bank, client);
    for (int i = 0; i < 2'000; ++i) {
      recovery::Write write = writes.next();
      EXPECT_EQ(write.from % options.clients, client);
      EXPECT_EQ(write.to % options.clients, client);
      EXPECT_NE(write.from, write.to);
      EXPECT_LT(std::max(write.from, write.to), options.accounts);
    }
  }
}

}  // namespace
}  // namespace cow::bench
