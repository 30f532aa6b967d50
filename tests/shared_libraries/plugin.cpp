#include "types.hpp"

namespace {

const Plugin kPlugin{
    .memory = []() -> const void* { return &cow::detail::StateMemory::instance(); },
    .type_bits = [] { return cow::detail::type_bits<Thing>(); },
    .read = [](cow::Database& db, const cow::Ref<Thing>& reference) { return db.begin().read(reference).value; },
    .read_in = [](cow::Transaction& txn, const cow::Ref<Thing>& reference) { return txn.read(reference).value; },
    .write_in = [](cow::Transaction& txn, const cow::Ref<Thing>& reference,
                   int value) { txn.write(reference).value = value; },
    .create =
        [](cow::Database& db, int value) {
          return db.transact([&](cow::Transaction& txn) { return txn.create(Thing{value, {}}); });
        },
    .create_in =
        [](cow::Transaction& txn, int value) {
          return txn.create(Thing{value, {}});
        },
    .commit = [](cow::Transaction& txn) { txn.commit(); },
    .create_private =
        [](cow::Database& db) {
          return db.transact([](cow::Transaction& txn) { return txn.create(Private{1}).oid(); });
        },
    .read_namesake = [](cow::Database& db,
                        cow::Oid oid) { return static_cast<int>(db.begin().read(cow::Ref<Namesake>(oid)).value); },
};

}  // namespace

const Plugin* cow_test_plugin() { return &kPlugin; }
