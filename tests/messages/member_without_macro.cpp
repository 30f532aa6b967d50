// A member of a stored type does not say how it is written.
#include "bank.hpp"

struct Address {
  std::string town;
#if !defined(MISTAKE)
  MSGPACK_DEFINE_MAP(town);
#endif
};

struct Person {
  std::string name;
  std::vector<Address> addresses;
  MSGPACK_DEFINE_MAP(name, addresses);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  txn.create(Person{"Ada", {{"London"}}});
}
