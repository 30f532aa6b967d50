// A program that has a store open, for tests of the tool that looks into stores.
//
// Usage: used_store DIRECTORY
//
// Makes a small library of books in DIRECTORY, says "ready", and then does what each line of standard input says: "commit" changes a
// book and says "done", "erase" erases one to which others refer; "kill" ends the process by SIGKILL. At the end of the input the store is closed.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/rocksdb_store.hpp"

namespace {

struct Author {
  static constexpr std::string_view cow_type_name = "library.Author";
  std::string name;
  MSGPACK_DEFINE_MAP(name);
};

struct Book {
  static constexpr std::string_view cow_type_name = "library.Book";
  std::string title;
  cow::Ref<Author> author;
  std::vector<cow::Ref<Book>> sequels;
  std::int64_t lent = 0;
  double price = 0;
  std::vector<unsigned char> cover;
  std::chrono::sys_seconds bought;
  MSGPACK_DEFINE_MAP(title, author, sequels, lent, price, cover, bought);
};

struct Shelf {
  static constexpr std::string_view cow_type_name = "library.Shelf";
  std::map<std::string, cow::Ref<Book>> books;
  MSGPACK_DEFINE_MAP(books);
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: used_store DIRECTORY\n";
    return 2;
  }
  cow::RocksDbStore store = cow::RocksDbStore::create(argv[1]);
  cow::Database database(store);
  cow::Ref<Book> changed, erased;
  database.transact([&](auto& txn) {  // tid 2
    const auto ada = txn.create(Author{"Ada"});
    const std::chrono::sys_seconds bought{std::chrono::seconds{951'827'696}};
    const auto second = erased = txn.create(Book{"Second", ada, {}, 0, 7.5, {}, bought});
    changed = txn.create(Book{"First", ada, {second, second}, 1, 9.25, {1, 2, 255}, bought});
    txn.write(second).sequels.push_back(changed);  // a circle
    txn.root().emplace("shelf", Shelf{{{"first", changed}, {"a second one", second}}});
    txn.root().set("Ümlaut \x1b[31mred", ada);
  });
  database.transact([&](auto& txn) { txn.write(changed).lent = 2; });  // tid 3
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "kill") ::kill(::getpid(), SIGKILL);
    database.transact([&](auto& txn) {
      if (line == "erase") {
        txn.erase(erased);
      } else {
        ++txn.write(changed).lent;
      }
    });
    std::cout << "done" << std::endl;
  }
}
