// The documents' snippets, each where its words mean something: `assemble` puts them here. Runs in an empty directory.
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>
#include <cow_cache/async.hpp>
#include <cow_cache/cow_cache.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <persistence/memory_store.hpp>
#include <persistence/rocksdb_store.hpp>
#include <set>
#include <string>
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
  cow_cache_header();
  heap_bytes_header();
  async_header();
  by_name_header();
  use_await_header();
  std::puts("all snippets ran");
}
