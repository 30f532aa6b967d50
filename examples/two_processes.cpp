// Two processes, each with a cache of its own, share a store in PostgreSQL. This program starts itself once more.
//
// Usage: two_processes CONNECTION, such as postgres://app@db.example.org/objects
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>

#include <cow_cache/cow_cache.hpp>
#include <persistence/postgres_store.hpp>

struct Counter {
  static constexpr std::string_view cow_type_name = "example.Counter";
  std::int64_t value = 0;
  MSGPACK_DEFINE_MAP(value);
};

/// The other process: sees what the first one has committed, counts, and says up to which tid it has got.
cow::Tid count_elsewhere(const std::string& connection, cow::Tid seen);

void count(cow::Database& db, cow::Tid at_least, int times) {
  auto counter = db.begin_at_least(at_least).root().get<Counter>("counter");
  for (int i = 0; i < times; ++i) {
    // A conflict with the other process is one like any other: the body runs again, on what has been committed since.
    db.transact([&](cow::Transaction& txn) { ++txn.write(counter).value; });
  }
}

void run_first(cow::Database& db, const std::string& connection) {
  cow::Transaction txn = db.begin();
  auto counter = txn.create(Counter{});
  txn.root().set("counter", counter);
  cow::Tid tid = txn.commit();

  // Both read 0. The other one commits first, so this one is refused, and begins again.
  int attempts = 0;
  db.transact([&](cow::Transaction& again) {
    std::int64_t& value = again.write(counter).value;
    if (++attempts == 1) tid = count_elsewhere(connection, tid);
    ++value;
  });
  std::cout << "attempts: " << attempts << "\n";

  // To see what another process has committed, one has to be told how far that is.
  tid = count_elsewhere(connection, tid);
  std::cout << "counted to " << db.begin_at_least(tid).read(counter).value << "\n";
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    std::cerr << "usage: two_processes CONNECTION\n";
    return 2;
  }
  cow::PostgresOptions options;
  options.connection = argv[1];
  options.schema = "two_processes";
  options.create_if_missing = true;
  cow::PostgresStore store(options);
  cow::Database db(store);
  if (argc == 2) {
    run_first(db, options.connection);
  } else {
    count(db, cow::Tid{std::stoull(argv[2])}, 100);
    std::cout << db.begin().snapshot().value << "\n";
  }
}

cow::Tid count_elsewhere(const std::string& connection, cow::Tid seen) {
  const auto quoted = [](const std::string& text) {
    std::string word = "'";
    for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
    return word + "'";
  };
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = quoted(program) + ' ' + quoted(connection) + ' ' + std::to_string(seen.value);
  std::FILE* said = ::popen(command.c_str(), "r");
  unsigned long long tid = 0;
  const bool has_said = said != nullptr && std::fscanf(said, "%llu", &tid) == 1;
  if (said == nullptr || ::pclose(said) != 0 || !has_said) throw std::runtime_error("the other process has failed");
  return cow::Tid{tid};
}
