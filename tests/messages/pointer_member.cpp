// A raw pointer to another object.
#include "bank.hpp"

struct Node {
  int value = 0;
#if defined(MISTAKE)
  Node* next = nullptr;
#else
  cow::Ref<Node> next;
#endif
  MSGPACK_DEFINE_MAP(value, next);
};

int main() {
  Bank bank;
  bank.db.transact([](cow::Transaction& txn) { txn.root().emplace("first", Node()); });
}
