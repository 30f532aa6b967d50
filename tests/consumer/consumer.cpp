// A program that uses nothing but the headers of the cache, with a store of its own. Exit code 0: it works.
#include <cow_cache/cow_cache.hpp>

#include <cstdio>
#include <map>
#include <mutex>
#include <utility>

// The smallest store there is: every revision in one map, newest first per object. (It keeps nothing on disk.)
struct TinyStore : cow::Store {
  std::mutex mutex;
  std::map<std::pair<cow::Oid, std::uint64_t>, cow::Revision> revisions;  // (oid, ~begin) -> revision
  cow::Tid last;
  std::uint64_t next_oid = 2;

  std::optional<cow::Revision> load(cow::Oid oid, cow::Tid at) override {
    std::scoped_lock lock(mutex);
    auto found = revisions.lower_bound({oid, ~at.value});
    return found != revisions.end() && found->first.first == oid ? std::optional(found->second) : std::nullopt;
  }
  cow::Tid last_tid() override { return std::scoped_lock(mutex), last; }
  cow::OidBlock allocate_oids(std::uint64_t count) override {
    std::scoped_lock lock(mutex);
    return {cow::Oid{std::exchange(next_oid, next_oid + count)}, count};
  }
  void commit(std::span<const cow::TransactionWrite> group) override {
    std::scoped_lock lock(mutex);
    for (const auto& [tid, objects, note] : group) {  // the note is for stores that have a history
      for (const auto& object : objects) {
        auto older = revisions.lower_bound({object.oid, 0});
        if (older != revisions.end() && older->first.first == object.oid) older->second.end = tid;
        revisions[{object.oid, ~tid.value}] = {tid, cow::kInfinity, object.erase, std::string(object.record)};
      }
      last = tid;
    }
  }
};

struct Person {
  std::string name;
  cow::Ref<Person> friend_of;
  MSGPACK_DEFINE_MAP(name, friend_of);
};

int main() {
  TinyStore store;
  for (int opened = 0; opened < 2; ++opened) {  // the second time it finds everything
    cow::Database db(store);
    if (opened == 0) {
      db.transact([](cow::Transaction& txn) {
        auto ada = txn.root().emplace("ada", Person{"Ada", {}});
        txn.root().emplace("charles", Person{"Charles", ada});
      });
    }
    cow::Transaction old = db.begin();
    db.transact([](cow::Transaction& txn) {
      auto charles = txn.root().get<Person>("charles");
      txn.write(txn.read(charles).friend_of).name += "!";
    });
    auto name = [](cow::Transaction& txn) {
      return txn.read(txn.read(txn.root().get<Person>("charles")).friend_of).name;
    };
    cow::Transaction now = db.begin();
    std::string before = name(old), after = name(now);
    if (before + "!" != after || after != (opened == 0 ? "Ada!" : "Ada!!")) {
      std::fprintf(stderr, "consumer: read '%s', then '%s'\n", before.c_str(), after.c_str());
      return 1;
    }
  }
  std::puts("consumer: works");
  return 0;
}
