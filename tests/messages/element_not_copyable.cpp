// A container says that it can be copied, whatever its elements are.
#include "bank.hpp"

#include <memory>

struct Album {
#if defined(MISTAKE)
  std::vector<std::unique_ptr<std::string>> pictures;
#else
  std::vector<std::string> pictures;
#endif
  MSGPACK_DEFINE_MAP(pictures);
};

int main() {
  Bank bank;
  bank.db.transact([](cow::Transaction& txn) {
    auto album = txn.root().emplace("album", Album());
    txn.write(album).pictures.clear();
  });
}
