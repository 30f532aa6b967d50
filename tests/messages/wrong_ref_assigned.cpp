// A reference to an object of another type, where another one was.
#include "bank.hpp"

struct Folder {
  std::string title;
  cow::Ref<Account> owner;
  MSGPACK_DEFINE_MAP(title, owner);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  cow::Ref<Folder> folder = txn.create(Folder{"letters", {}});
#if defined(MISTAKE)
  txn.write(folder).owner = folder;
#else
  txn.write(folder).owner = txn.create(Account{"Ada", 1});
#endif
}
