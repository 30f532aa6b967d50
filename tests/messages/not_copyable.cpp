// A stored type that cannot be copied.
#include "bank.hpp"

#include <memory>

struct Picture {
#if defined(MISTAKE)
  std::unique_ptr<std::string> pixels;
#else
  std::string pixels;
#endif
  MSGPACK_DEFINE_MAP(pixels);
};

int main() {
  Bank bank;
  bank.db.transact([](cow::Transaction& txn) {
    Picture picture;
    auto stored = txn.create(std::move(picture));
    txn.write(stored).pixels = {};
  });
}
