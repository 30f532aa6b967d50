// The documents' snippets, each where its words mean something: `assemble` puts them here. Runs in an empty directory.
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cow_cache/async.hpp>
#include <cow_cache/broken.hpp>
#include <cow_cache/cow_cache.hpp>
#include <cow_cache/field_set.hpp>
#include <cow_cache/migrate.hpp>
#include <cow_cache/records.hpp>
#include <cow_cache/retention.hpp>
#include <cow_cache/verify.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <persistence/memory_peer.hpp>
#include <persistence/memory_store.hpp>
#include <persistence/rocksdb_store.hpp>
#include <persistence/store_reader.hpp>
#include <persistence/verify_stored.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

void require(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "snippets: %s\n", what);
  std::exit(1);
}

//@ docs/guide/importing.md 1

//@ README.md 1

void readme() {
  //@ README.md 2
  require(db.begin().read(alice).balance == 110, "README.md: the balance is another one");
}

void history_header(cow::Database& db, cow::Tid from, cow::Tid to) {
  std::string shown;
  auto show = [&](cow::Tid tid, const std::string& text) { shown += std::to_string(tid.value) + text; };
  //@ cow_cache/history.hpp 1
  require(shown == std::to_string(to.value) + "rent for May", "history.hpp: other transactions");
}

void history_guide() {
  cow::MemoryStore store;
  cow::Database db(store);
  cow::Ref<Account> alice = db.transact([](cow::Transaction& txn) { return txn.create(Account{"Alice", 100, {}}); });
  //@ docs/guide/history.md 1
  //@ docs/guide/history.md 2
  require(was == 100, "history.md: the balance was another one");
  //@ docs/guide/history.md 3
  history_header(db, rent, rent);
  require(log.starts_with("tid " + std::to_string(rent.value) + ", ada: rent for May\ntid "),
          "history.md: another log");
  require(changes_by_ada == 1, "history.md: other changes");
  require(stale == std::set<cow::Oid>{alice.oid()}, "history.md: other objects are stale");
  require(now.read(alice).balance == 100, "history.md: the rent was not undone");
}

void await_pack(const cow::Retention& retention) {
  while (retention.status().packs == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void retention() {
  cow::MemoryStore store;
  cow::Database db(store);
  db.transact([](cow::Transaction& txn) { txn.root().emplace("alice", Account{"Alice", 100, {}}); });
  {
    //@ docs/guide/operations.md 2
    await_pack(retention);
  }
  {
    //@ cow_cache/retention.hpp 1
    await_pack(retention);
    require(!retention.status().error, "retention.hpp: a pack has failed");
  }
}

void peers_guide() {
  //@ docs/guide/peers.md 1
  require(balance == 10, "peers.md: the balance is another one");
}

int printed = 0;

bool print(const cow::StoredTransaction&) { return ++printed > 0; }

void store_reader_header() {
  //@ persistence/store_reader.hpp 1
  require(reader.last_tid() > cow::Tid{1} && printed > 1, "store_reader.hpp: the store has other transactions");
}

void print(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

void checks() {
  cow::RocksDbStore store = cow::RocksDbStore::create("checked.db");
  {
    cow::Database db(store);
    db.transact([](cow::Transaction& txn) { txn.root().emplace("alice", Account{"Alice", 100, {}}); });
  }
  {
    //@ docs/guide/operations.md 1
    require(report.sound() && report.references > 0, "operations.md: the store is not sound");
  }
  {
    //@ cow_cache/verify.hpp 1
    require(report.sound() && report.references > 0, "verify.hpp: the store is not sound");
  }
  //@ persistence/verify_stored.hpp 1
  require(report.sound() && report.references > 0, "verify_stored.hpp: the store is not sound");
}

void cow_cache_header() {
  //@ cow_cache/cow_cache.hpp 1
  require(db.begin().read(alice).owner == "Alice", "cow_cache.hpp: the owner is another one");
}

struct Picture {
  std::size_t width = 0, height = 0;
  std::vector<char> pixels;
  void msgpack_unpack(const msgpack::object& object) { object.convert(pixels); }
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(pixels);
  }
};

//@ cow_cache/heap_bytes.hpp 1

namespace members {
//@ cow_cache/members.hpp 1
}  // namespace members

namespace field_set {
//@ cow_cache/field_set.hpp 1
}  // namespace field_set

namespace before {
//@ docs/guide/evolution.md 1
}  // namespace before
namespace now {
//@ docs/guide/evolution.md 2
//@ docs/guide/evolution.md 3
}  // namespace now
namespace later {
//@ docs/guide/evolution.md 4
}  // namespace later
//@ docs/guide/evolution.md 5

using Article = now::User;
void report(std::uint64_t) {}

void evolution() {
  cow::MemoryStore store;
  cow::Oid oid = cow::Database(store)
                     .transact([](cow::Transaction& txn) {
                       return txn.root().emplace("ada", before::User{"Ada Lovelace", 1815, "12"});
                     })
                     .oid();
  {
    cow::Database db(store);
    require(db.begin().read(cow::Ref<now::User>(oid)).full_name == "Ada Lovelace", "evolution.md: the name is lost");
    require(now::rewrite(db, {cow::Ref<now::User>(oid)}) == 1, "evolution.md: nothing was migrated");
    db.transact([&](cow::Transaction& txn) { txn.write(cow::Ref<now::User>(oid)).email = "ada"; });
    std::vector<cow::Ref<Article>> articles;
    //@ cow_cache/migrate.hpp 1
  }
  {
    cow::Database db(store);
    bool refused = false;
    try {
      db.transact([](cow::Transaction& txn) { txn.create(field_set::User{}); });
    } catch (const cow::FieldsChangedError&) {
      refused = true;
    }
    require(refused, "evolution.md: another set under one number was accepted");
    cow::Transaction txn = db.begin();
    require(describe(txn, "ada") == R"(cms.User {"full_name": "Ada Lovelace", "born": 1815, "email": "ada"})",
            "evolution.md: the broken object is another one");
    auto revision = store.load(oid, db.last_tid());
    //@ cow_cache/records.hpp 1
  }
  cow::Database db(store);
  require(db.begin().read(cow::Ref<later::Person>(oid)).last == "Lovelace",
          "evolution.md: the upgrade gives another name");
  db.transact([&](cow::Transaction& txn) { txn.write(cow::Ref<later::Person>(oid)).first = "Augusta"; });
  db.evict_all();
  cow::Transaction txn = db.begin();
  //@ cow_cache/broken.hpp 1
}

namespace storable {
//@ cow_cache/storable.hpp 1
}  // namespace storable

struct Thing {
  Thing() = default;
  Thing(const Thing&) = delete;
  //@ cow_cache/detail/refused.hpp 1
};

void heap_bytes_header() {
  cow::HeapSum sum;
  cow::HeapBytes<Picture>::add(Picture{1000, 1000, {}}, sum);
  require(sum.bytes() >= 1'000'000, "heap_bytes.hpp: fewer bytes than there are");
}

cow::Task<> ask_the_bank(std::string name) {
  require(name == "Alice, whose name is long enough for the heap", "the bank was asked for another name");
  co_return;
}

/// A database of one account, and a loop.
struct Fixture {
  cow::MemoryStore store;
  cow::Database db{store};
  cow::Ref<Account> alice = db.transact([](cow::Transaction& txn) {
    return txn.create(Account{"Alice, whose name is long enough for the heap", 100, {}});
  });
  boost::asio::io_context loop;
};

void async_header() {
  Fixture fixture;
  cow::Database& db = fixture.db;
  cow::Ref<Account> alice = fixture.alice;
  boost::asio::io_context& loop = fixture.loop;
  //@ cow_cache/async.hpp 1
  loop.run();
  require(db.begin().read(alice).balance == 110, "async.hpp: the balance is another one");
}

cow::Task<> by_name(cow::AsyncTransaction& txn, std::string name) {
  std::string owner = name;
  //@ cow_cache/async/detail/by_name.hpp 1
  require(seen.owner == owner, "by_name.hpp: the owner is another one");
}

void by_name_header() {
  Fixture fixture;
  cow::AsyncDatabase async(fixture.db);
  auto body = [&](cow::AsyncTransaction& txn) -> cow::Task<> {
    std::string name = txn->read(fixture.alice).owner;
    co_await by_name(txn, std::move(name));
  };
  auto executor = fixture.loop.get_executor();
  auto done = cow::spawn(executor, cow::async_transact(async, executor, body), boost::asio::use_future);
  fixture.loop.run();
  done.get();
}

cow::Task<std::size_t> receive(boost::asio::ip::tcp::socket& socket) {
  char bytes_of_buffer[100];
  auto buffer = boost::asio::buffer(bytes_of_buffer);
  //@ cow_cache/async/use_await.hpp 1
  require(!error, "use_await.hpp: nothing was received");
  co_return bytes;
}

void use_await_header() {
  using boost::asio::ip::tcp;
  boost::asio::io_context loop;
  tcp::acceptor acceptor(loop, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  tcp::socket client(loop), server(loop);
  client.connect(acceptor.local_endpoint());
  acceptor.accept(server);
  auto received = cow::spawn(loop.get_executor(), receive(server), boost::asio::use_future);
  boost::asio::write(client, boost::asio::buffer("hello", 5));
  loop.run();
  require(received.get() == 5, "use_await.hpp: another number of bytes was received");
}

int main() {
  readme();
  history_guide();
  retention();
  peers_guide();
  store_reader_header();
  checks();
  cow_cache_header();
  evolution();
  heap_bytes_header();
  async_header();
  by_name_header();
  use_await_header();
  std::puts("all snippets ran");
}
