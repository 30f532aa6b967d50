// A reference to an object of another type.
#include "bank.hpp"

struct Folder {
  std::string title;
  MSGPACK_DEFINE_MAP(title);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
#if defined(MISTAKE)
  cow::Ref<Account> found = txn.create(Folder{"letters"});
#else
  cow::Ref<Folder> found = txn.create(Folder{"letters"});
#endif
  return found ? 0 : 1;
}
