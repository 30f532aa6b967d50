// A store that is gone before the database is.
#include "bank.hpp"

int main() {
#if defined(MISTAKE)
  cow::Database db{cow::MemoryStore{}, {.cache_bytes = 1 << 20}};
#else
  cow::MemoryStore store;
  cow::Database db{store, {.cache_bytes = 1 << 20}};
#endif
  return db.last_tid() == cow::Tid{1} ? 0 : 1;
}
