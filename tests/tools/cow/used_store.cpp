// A program that has a store open, for tests of the tool that looks into stores.
//
// Usage: used_store DIRECTORY|postgres://...
//
// Makes a small library of books there, says "ready", and then does what each line of standard input says: "commit" changes a
// book and says "done", "erase" erases one to which others refer; "markup" gives the root a name that is HTML, "directions" names, notes and
// a title that would turn the text around them, or are very long; "many" adds 100,000 books; "kill" ends the process by SIGKILL. At the
// end of the input the store is closed.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/rocksdb_store.hpp"
#ifdef COW_HAS_POSTGRES
#include "persistence/postgres_store.hpp"
#include "persistence/postgres_url.hpp"
#endif

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

std::unique_ptr<cow::Store> make_store(const std::string& place) {
#ifdef COW_HAS_POSTGRES
  if (cow::is_postgres_url(place)) {
    cow::PostgresOptions options = cow::postgres_options_of(place);
    options.create_if_missing = true;
    return std::make_unique<cow::PostgresStore>(options);
  }
#endif
  return std::unique_ptr<cow::Store>(new cow::RocksDbStore(cow::RocksDbStore::create(place)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: used_store DIRECTORY|postgres://...\n";
    return 2;
  }
  const std::unique_ptr<cow::Store> store = make_store(argv[1]);
  cow::Database database(*store);
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
      } else if (line == "markup") {
        txn.root().set("<script>alert(1)</script>", changed);
      } else if (line == "directions") {
        // Right-to-left override, left-to-right isolate, the mark of Arabic letters, C1's control sequence introducer.
        txn.root().set("harmless\u202egpj.exe", changed);
        txn.root().set("long " + std::string(5000, 'x') + " end", changed);
        txn.root().set("שלום", changed);
        txn.write(changed).title = "a\u2066b\u061cc\u009bd";
        txn.note("eve\u202e", "because\u200f of " + std::string(300, 'y') + " this", {});
      } else if (line == "many") {
        for (int i = 0; i < 100'000; ++i) txn.create(Book{"One of many", {}, {}, i, 1, {}, {}});
      } else {
        ++txn.write(changed).lent;
      }
    });
    std::cout << "done" << std::endl;
  }
}
