// The next version of content_store, which has another idea of a user, on the data that the first one has left. The end of the tutorial,
// docs/guide/tutorial.md.
//
//   second_version DIRECTORY     opens the database that content_store has made there
#include <cow_cache/cow_cache.hpp>
#include <persistence/rocksdb_store.hpp>

#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

// [user]
struct User {
  static constexpr std::string_view cow_type_name = "content.User";
  static constexpr std::uint32_t cow_schema = 2;                                  // 1: without a number
  static constexpr cow::FormerName cow_former_names[] = {{"name", "full_name"}};  // it is called otherwise now
  std::string full_name;
  std::string email = "unknown";  // is new
  bool on_duty = false;
  MSGPACK_DEFINE_MAP(full_name, email, on_duty);
};
// [user]

// [main]
int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: second_version DIRECTORY\n";
    return 2;
  }
  cow::RocksDbStore store(argv[1]);
  cow::Database db(store);
  cow::Ref<User> ada = db.begin().root().get<User>("ada");
  std::cout << db.begin().read(ada).full_name << ", " << db.begin().read(ada).email;
  db.transact([&](cow::Transaction& txn) { txn.write(ada).email = "ada@example.org"; });
  std::cout << ", now " << db.begin().read(ada).email << "\n";
  return 0;
} catch (const cow::Error& error) {
  std::cerr << "second_version: " << error.what() << "\n";
  return 1;
}
// [main]
