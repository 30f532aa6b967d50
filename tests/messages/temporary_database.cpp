// A database that is gone before the asynchronous one is.
#include "async_bank.hpp"

int main() {
  cow::MemoryStore store;
#if defined(MISTAKE)
  cow::AsyncDatabase async{cow::Database{store}};
#else
  cow::Database db{store};
  cow::AsyncDatabase async{db};
#endif
}
