// The library in ten lines: accounts that are C++ structs, shared by all transactions, kept by RocksDB.
//
//   bank --create DIRECTORY     makes the database, adds 10 to Alice's account and shows it
//   bank DIRECTORY              the same in a database that is there; run it again
#include <cow_cache/cow_cache.hpp>
#include <persistence/rocksdb_store.hpp>

#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

struct Account {
  static constexpr std::string_view cow_type_name = "bank.Account";
  std::string owner;
  std::int64_t balance = 0;
  cow::Ref<Account> referrer;
  MSGPACK_DEFINE_MAP(owner, balance, referrer);  // any Codec<T> will do
};

int main(int argc, char** argv) {
  const bool create = argc == 3 && std::string_view(argv[1]) == "--create";
  if (argc != 2 && !create) {
    std::cerr << "usage: bank [--create] DIRECTORY\n";
    return 2;
  }
  try {
    cow::RocksDbStore store = create ? cow::RocksDbStore::create(argv[2]) : cow::RocksDbStore(argv[1]);
    cow::Database db(store, {.cache_bytes = 1u << 30});

    cow::Ref<Account> alice = db.transact([](cow::Transaction& txn) {  // commits; retries on conflict
      if (txn.root().contains("alice")) return txn.root().get<Account>("alice");
      return txn.root().emplace("alice", Account{"Alice", 100, {}});
    });

    cow::Transaction txn = db.begin();      // a value: movable, not tied to a thread or a "connection"
    const Account& seen = txn.read(alice);  // the shared state itself: no copy, no lock, no reference count
    Account& mine = txn.write(alice);       // clones on first write; this transaction's later reads see the clone
    mine.balance += 10;
    std::cout << seen.owner << " had " << seen.balance << ", has " << mine.balance << "\n";
    txn.commit();  // publishes, or throws cow::ConflictError; the destructor aborts
    return 0;
  } catch (const cow::Error& error) {
    std::cerr << "bank: " << error.what() << "\n";
    return 1;
  }
}
