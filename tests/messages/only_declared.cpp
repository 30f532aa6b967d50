// A type of stored objects without its definition.
#include "bank.hpp"

struct Node;
#if !defined(MISTAKE)
struct Node {
  int value = 0;
  MSGPACK_DEFINE_MAP(value);
};
#endif

void erase(cow::Transaction& txn, const cow::Ref<Node>& node) { (void)txn.read(node); }

int main() {}
