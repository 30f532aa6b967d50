// A stored type that does not say how it is written.
#include "bank.hpp"

struct Member {
  std::string name;
  int age = 0;
#if !defined(MISTAKE)
  MSGPACK_DEFINE_MAP(name, age);
#endif
};

int main() {
  Bank bank;
  auto ada = bank.db.transact([](cow::Transaction& txn) { return txn.root().emplace("ada", Member{"Ada", 36}); });
  return bank.db.begin().read(ada).age;
}
