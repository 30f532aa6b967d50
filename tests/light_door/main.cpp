// Opens the database by the default door, and uses the types of bank.hpp here as well as by way of transfers.cpp.
#include <cow_cache/cow_cache.hpp>

#include <cstdio>
#include <cstdlib>
#include <persistence/memory_store.hpp>

#include "bank.hpp"

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::exit(1);
}

}  // namespace

int main() {
  using bank::Account;
  using bank::Receipt;
  cow::MemoryStore store;
  cow::Database database(store);
  database.transact([](cow::Transaction& txn) {
    auto alice = txn.root().emplace("alice", Account{"Alice", 100, {}, {}});
    txn.root().emplace("bob", Account{"Bob", 5, alice, {}});
  });
  expect(bank::transfer(database, "alice", "bob", 30) == 70, "the other unit pays");
  expect(bank::transfer(database, "alice", "bob", 1000) == 70, "and no more than there is");

  auto txn = database.begin();
  const Account& bob = txn.read(txn.root().get<Account>("bob"));
  expect(bob.balance == 35 && bob.entries.size() == 1 && bob.entries[0].amount == 30, "what it wrote is read here");
  expect(bank::total(txn) == 105, "it reads in this unit's transaction");
  txn.write(txn.root().get<Account>("bob")).balance += 1;
  expect(bank::total(txn) == 106, "and sees what this unit has written");
  txn.abort();

  database.evict_all();
  {
    auto cold = database.begin();
    expect(bank::total(cold) == 105, "it loads");
    expect(cold.read(cold.root().get<Receipt>("receipt")).amount == 30, "what it created is loaded here");
  }
  database.transact([](cow::Transaction& changing) { bank::forget_receipt(changing); });
  auto last = database.begin();
  expect(!last.root().contains("receipt"), "what it erased is gone");
  try {
    (void)last.read(cow::Ref<Receipt>(last.root().get<Account>("bob").oid()));
    expect(false, "a reference of a wrong type is refused");
  } catch (const cow::TypeMismatchError&) {
  }
  last.commit();
  try {
    (void)bank::total(last);
    expect(false, "an ended transaction is refused in the other unit");
  } catch (const cow::TransactionEndedError&) {
  }
}
