// A stored type whose values cannot be made before they are read.
#include "bank.hpp"

struct Named {
  explicit Named(std::string its_name) : name(std::move(its_name)) {}
#if !defined(MISTAKE)
  Named() = default;
#endif
  std::string name;
  MSGPACK_DEFINE_MAP(name);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  return txn.read(txn.create(Named("Ada"))).name.empty() ? 1 : 0;
}
