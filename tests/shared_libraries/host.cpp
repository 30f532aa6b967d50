// A program and a shared library that use one database: one state memory and one set of types, or a typed error wherever
// there would be two; never a wrong value.
//
//   host one|separate [LIBRARY]   what is expected; a LIBRARY is opened, without one the program is linked with it
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "persistence/memory_store.hpp"
#include "types.hpp"

namespace {

int failures = 0;

void expect(bool right, const char* what) {
  std::printf("%s: %s\n", right ? "ok" : "WRONG", what);
  failures += !right;
}

template <class Error, class Function>
bool throws(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return true;
  } catch (const std::exception& error) {
    std::printf("threw something else: %s\n", error.what());
  }
  return false;
}

std::vector<cow::Ref<Thing>> fill(cow::Database& db) {
  return db.transact([](cow::Transaction& txn) {
    std::vector<cow::Ref<Thing>> things;
    for (int i = 0; i < 1000; ++i) things.push_back(txn.create(Thing{i, {}}));
    for (int i = 0; i < 1000; ++i) txn.write(things[i]).others = {things[(i + 1) % 1000]};
    return things;
  });
}

void expect_one(const Plugin& plugin) {
  cow::MemoryStore store;
  cow::Database db(store);
  auto things = fill(db);
  expect(plugin.memory() == &cow::detail::StateMemory::instance(), "one state memory");
  expect(plugin.type_bits() == cow::detail::type_bits<Thing>(), "one number for a type");
  bool right = true;
  for (int evicted = 0; evicted < 2; ++evicted) {
    for (int i = 0; i < 1000; ++i) right &= plugin.read(db, things[i]) == i;
    std::thread([&] {  // another thread, which ends
      cow::Transaction txn = db.begin();
      for (int i = 0; i < 1000; ++i) right &= plugin.read_in(txn, things[i]) == i && txn.read(things[i]).value == i;
    })
        .join();
    db.evict_all();
  }
  expect(right, "the plugin reads what the program wrote, loaded by either");
  auto theirs = plugin.create(db, 5000);
  expect(db.begin().read(theirs).value == 5000, "the program reads what the plugin wrote");
  {
    cow::Transaction txn = db.begin();
    plugin.write_in(txn, things[1], -1);
    txn.write(things[2]).value = -2;
    auto made = plugin.create_in(txn, -3);
    expect(txn.read(things[1]).value == -1 && plugin.read_in(txn, things[2]) == -2, "they share a transaction");
    plugin.commit(txn);
    expect(db.begin().read(made).value == -3 && plugin.read(db, things[1]) == -1, "and its commit");
  }
  for (int i = 0; i < 100; ++i) {  // states of either are given back and used again
    db.transact([&](cow::Transaction& txn) { txn.write(theirs).value = i; });
    db.transact([&](cow::Transaction& txn) { plugin.write_in(txn, theirs, plugin.read_in(txn, theirs) + 1); });
    right &= db.begin().read(theirs).value == i + 1;
  }
  expect(right, "states of either are freed by the other");
  cow::Oid oid = plugin.create_private(db);
  expect(throws<cow::TypeMismatchError>([&] { (void)db.begin().read(cow::Ref<Private>(oid)); }),
         "a type of an unnamed namespace is another in each library");
  right &= db.begin().read(things[0]).value == 0;  // resident, as a Thing
  expect(throws<cow::TypeMismatchError>([&] { plugin.read_namesake(db, things[0].oid()); }),
         "two types of one name in records are two, across libraries too");
}

void expect_separate(const Plugin& plugin) {
  cow::MemoryStore store;
  cow::Database db(store);
  auto things = fill(db);
  using Error = cow::SeparateMemoryError;
  expect(plugin.memory() != &cow::detail::StateMemory::instance(), "two state memories");
  expect(throws<Error>([&] { plugin.read(db, things[0]); }), "begin in the plugin is refused");
  expect(throws<Error>([&] { plugin.create(db, 1); }), "transact in the plugin is refused");
  cow::Transaction txn = db.begin();
  expect(throws<Error>([&] { plugin.create_in(txn, 1); }), "create in the plugin is refused");
  expect(throws<Error>([&] { plugin.write_in(txn, things[0], -1); }), "write in the plugin is refused");
  txn.abort();
  bool right = true;
  int read = 0, refused = 0;
  for (int round = 0; round < 3; ++round) {
    txn = db.begin();
    for (int i = 0; i < 1000; ++i) {
      try {
        right &= plugin.read_in(txn, things[i]) == i;
        ++read;
      } catch (const Error&) {
        ++refused;
      }
      if (round == 1) right &= txn.read(things[i]).value == i;
    }
    txn.abort();
    if (round == 0) db.evict_all();
  }
  txn = db.begin();
  expect(right && read >= 1000 && refused >= 1000, "a read in the plugin is right, or refused where it is no hit");
  txn.write(things[0]).value = -1;
  expect(throws<Error>([&] { plugin.commit(txn); }) && txn.active(), "commit in the plugin is refused");
  txn.commit();
  expect(db.begin().read(things[0]).value == -1, "the program goes on");
}

}  // namespace

int main(int argc, char** argv) {
  const Plugin* plugin = nullptr;
  if (argc > 2) {
    void* library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
    plugin = reinterpret_cast<decltype(&cow_test_plugin)>(dlsym(library, "cow_test_plugin"))();
  } else {
#ifdef LINKED_WITH_PLUGIN
    plugin = cow_test_plugin();
#endif
  }
  if (plugin == nullptr) return 2;
  (!std::strcmp(argv[1], "one") ? expect_one : expect_separate)(*plugin);
  return failures == 0 ? 0 : 1;
}
