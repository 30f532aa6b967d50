// Reads, writes, creates and erases objects, and knows no codec and no cache.
#include "bank.hpp"

#if defined(MSGPACK_VERSION) != defined(BY_DEFAULT_DOOR)
#error "this includes msgpack-cxx, or it does not, and should be the other way round"
#endif

namespace bank {

std::int64_t transfer(cow::Database& database, const std::string& from, const std::string& to, std::int64_t amount) {
  return cow::transact(database, [&](cow::Transaction& txn) {
    auto source = txn.root().get<Account>(from), target = txn.root().get<Account>(to);
    if (txn.read(source).balance < amount) return txn.read(source).balance;
    txn.note("bank", "transfer", {{"from", from}, {"to", to}});
    txn.write(source).balance -= amount;
    txn.write(target).balance += amount;
    txn.write(target).entries.push_back({amount, 1});
    txn.root().set("receipt", txn.create(Receipt{amount}));
    return txn.read(source).balance;
  });
}

std::int64_t total(cow::Transaction& txn) {
  std::int64_t sum = 0;
  for (cow::Ref<Account> at = txn.root().get<Account>("bob"); at; at = txn.read(at).referrer) {
    sum += txn.read(at).balance;
  }
  return sum;
}

void forget_receipt(cow::Transaction& txn) {
  txn.erase(txn.root().get<Receipt>("receipt"));
  if (!txn.root().erase("receipt")) throw cow::UnknownRootError("receipt");
}

}  // namespace bank
