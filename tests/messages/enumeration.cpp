// An enumeration that nobody has told msgpack-cxx about.
#include "bank.hpp"

enum class Colour { red, green };
#if !defined(MISTAKE)
MSGPACK_ADD_ENUM(Colour);
#endif

struct Light {
  Colour colour = Colour::red;
  MSGPACK_DEFINE_MAP(colour);
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  txn.write(txn.create(Light())).colour = Colour::green;
}
