// What LeakSanitizer says about a program that ends with a database open: nothing. Read logs, the heap members of states
// and whatever else belongs to the cache is found from where it is kept, which is often not on the heap.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/sanitizers.hpp"
#include "persistence/memory_store.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace cow {
namespace {

#if defined(__SANITIZE_ADDRESS__)

struct Text {
  static constexpr std::string_view cow_type_name = "test.Text";
  std::string text = std::string(200, 'x');
  MSGPACK_DEFINE(text);
};

struct Kept {
  MemoryStore store;
  Database database{store};
  std::vector<Ref<Text>> texts;
};
Kept* kept = nullptr;  // never destroyed: as in a program that ends with it

TEST(Leaks, ADatabaseThatStaysOpenIsNone) {
  kept = new Kept;
  constexpr int kTexts = 3000;  // enough for a log that is a bitmap
  kept->database.transact([](Transaction& txn) {
    for (int i = 0; i < kTexts; ++i) kept->texts.push_back(txn.create(Text{}));
  });
  auto read_all = [](Transaction& txn) {
    for (const Ref<Text>& text : kept->texts) (void)txn.read(text);
  };
  static std::unique_ptr<Transaction> sleeper;  // it stays active
  sleeper = std::make_unique<Transaction>(kept->database.begin());
  read_all(*sleeper);
  sleeper->will_sleep();
  for (int size : {10, 100, kTexts}) {
    std::thread([&] {
      Transaction txn = kept->database.begin();
      for (int i = 0; i < size; ++i) (void)txn.read(Ref<Text>(kept->texts[i].oid()));
    }).join();
  }
  kept->database.transact([](Transaction& txn) {
    for (const Ref<Text>& text : kept->texts) txn.write(text).text += "!";
  });
  kept->database.evict_all();
  kept->database.begin().abort();
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
  sleeper.reset();
}

#else

TEST(Leaks, ADatabaseThatStaysOpenIsNone) { GTEST_SKIP() << "needs LeakSanitizer"; }

#endif

}  // namespace
}  // namespace cow
