// The macro is there, but where the library does not reach it.
#include "bank.hpp"

class Member {
 public:
  int age() const { return age_; }

#if defined(MISTAKE)
 private:
#endif
  MSGPACK_DEFINE_MAP(age_);

 private:
  int age_ = 0;
};

int main() {
  Bank bank;
  cow::Transaction txn = bank.db.begin();
  return txn.read(txn.create(Member())).age();
}
