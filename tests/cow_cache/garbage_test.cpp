// Packs that collect garbage: what goes, what stays because somebody could see it, and what commits may no longer bring back.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/cache_testing.hpp"
#include "tests/support/forwarding_store.hpp"
#include "tests/support/store_kinds.hpp"

namespace cow::testing {
namespace {

struct Link {
  static constexpr std::string_view cow_type_name = "test.Link";
  std::string text;
  std::vector<Ref<Link>> next;
  MSGPACK_DEFINE_MAP(text, next);
};

const PackOptions kCollecting{.collect_garbage = true};

class Garbage : public StoreOfKind {
 protected:
  Ref<Link> add(const std::string& text, std::vector<Ref<Link>> next = {}) {
    Transaction txn = db_.begin();
    const Ref<Link> link = txn.create(Link{text, std::move(next)});
    txn.commit();
    return link;
  }
  /// A root of that name, with what it refers to.
  Tid set(const std::string& name, const Ref<Link>& link) {
    Transaction txn = db_.begin();
    txn.root().set(name, link);
    return txn.commit();
  }
  Tid take_away(const std::string& name) {
    Transaction txn = db_.begin();
    EXPECT_TRUE(txn.root().erase(name));
    return txn.commit();
  }
  bool is_in_store(const Ref<Link>& link) {
    const std::optional<Revision> revision = store().load(link.oid(), kInfinity);
    return revision && !revision->erased;
  }
  void collect(Tid before = kInfinity) {
    EXPECT_TRUE(db_.pack(before, kCollecting).complete);
    db_.evict_all();
  }

  Database db_{store()};
};

TEST_P(Garbage, GoesAndWhatTheRootReachesStays) {
  const Ref<Link> end = add("end"), middle = add("middle", {end}), first = add("first", {middle, middle});
  set("first", first);
  const Ref<Link> lost = add("lost", {end});
  const Ref<Link> one = add("one"), other = add("other", {one});
  {
    Transaction txn = db_.begin();
    txn.write(one).next = {other};  // a circle
    txn.commit();
  }
  const PackResult result = db_.pack(kInfinity, kCollecting);
  EXPECT_TRUE(result.complete);
  EXPECT_GE(result.dropped.revisions_dropped, 4u);
  EXPECT_GE(result.dropped.objects_followed, 4u) << "the root, and three links";
  db_.evict_all();
  for (const Ref<Link>& link : {end, middle, first}) EXPECT_TRUE(is_in_store(link));
  for (const Ref<Link>& link : {lost, one, other}) {
    EXPECT_FALSE(is_in_store(link));
    EXPECT_THROW(db_.begin().read(link), DanglingReferenceError);
  }
  EXPECT_EQ(db_.begin().read(db_.begin().read(db_.begin().read(first).next[0]).next[0]).text, "end");
}

TEST_P(Garbage, OfAnOlderSnapshotStays) {
  const Ref<Link> end = add("end"), first = add("first", {end});
  const Tid named = set("first", first);
  const Tid gone = take_away("first");
  collect(named);
  EXPECT_EQ(db_.begin_at(named).read(end).text, "end");
  collect(Tid{gone.value - 1});
  EXPECT_TRUE(is_in_store(end));
  {
    Transaction sleeper = db_.begin_at(Tid{gone.value - 1});
    collect();
    EXPECT_EQ(sleeper.read(sleeper.read(sleeper.root().get<Link>("first")).next[0]).text, "end");
  }
  collect();
  EXPECT_FALSE(is_in_store(end));
  EXPECT_FALSE(is_in_store(first));
}

TEST_P(Garbage, OfBeforeTheFirstCommitThereIsNone) {
  const Ref<Link> lost = add("lost");
  collect(Tid{0});
  EXPECT_TRUE(is_in_store(lost));
  EXPECT_TRUE(db_.pack(std::chrono::system_clock::now() - std::chrono::days(7), kCollecting).complete);
  EXPECT_TRUE(is_in_store(lost));
}

// A revision in between, that only snapshots between two commits see, keeps what it refers to.
TEST_P(Garbage, OfARevisionInBetweenStays) {
  const Ref<Link> first = add("first"), hung = add("hung");
  const Tid begin = set("first", first);
  Tid between{};
  {
    Transaction txn = db_.begin();
    txn.write(first).next = {hung};
    between = txn.commit();
  }
  {
    Transaction txn = db_.begin();
    txn.write(first).next.clear();
    txn.commit();
  }
  collect(begin);
  EXPECT_EQ(db_.begin_at(between).read(hung).text, "hung");
  collect(between);
  EXPECT_EQ(db_.begin_at(between).read(hung).text, "hung");
  collect();
  EXPECT_FALSE(is_in_store(hung));
}

TEST_P(Garbage, ThatWasWrittenSinceStaysWithWhatItRefersTo) {
  const Ref<Link> end = add("end"), old = add("old", {end});
  const Tid before = db_.last_tid();
  {
    Transaction txn = db_.begin();
    txn.write(old).text = "new";
    txn.commit();
  }
  const Ref<Link> young = add("young", {add("its end")});
  collect(before);
  EXPECT_EQ(db_.begin().read(db_.begin().read(old).next[0]).text, "end");
  EXPECT_EQ(db_.begin().read(db_.begin().read(young).next[0]).text, "its end");
  collect();
  for (const Ref<Link>& link : {end, old, young}) EXPECT_FALSE(is_in_store(link));
}

TEST_P(Garbage, IsNotBroughtBack) {
  const Ref<Link> first = add("first"), lost = add("lost"), also_lost = add("also lost");
  set("first", first);
  Transaction before = db_.begin();
  before.write(first).next = {lost};
  collect();
  try {
    before.commit();
    FAIL();
  } catch (const CollectedReferenceError& error) {
    EXPECT_EQ(error.from, first.oid());
    EXPECT_EQ(error.to, lost.oid());
  }
  Transaction txn = db_.begin();
  (void)txn.create(Link{"created", {also_lost}});
  EXPECT_THROW(txn.commit(), CollectedReferenceError);
  EXPECT_FALSE(txn.active());
  EXPECT_TRUE(db_.begin().read(first).next.empty());
  // What is new, and what is still there, may be referred to.
  txn = db_.begin();
  const Ref<Link> fresh = txn.create(Link{"fresh", {first}});
  txn.write(first).next = {fresh, fresh};
  txn.commit();
  set("also", fresh);
  EXPECT_EQ(db_.begin().read(db_.begin().read(first).next[1]).text, "fresh");
}

TEST_P(Garbage, IsNotChangedByWhoHasReadIt) {
  const Ref<Link> lost = add("lost");
  Transaction txn = db_.begin();
  txn.write(lost).text = "found";
  EXPECT_TRUE(db_.pack(kInfinity, kCollecting).complete);
  EXPECT_EQ(txn.read(lost).text, "found");
  try {
    txn.commit();
    FAIL();
  } catch (const CollectedReferenceError& error) {
    EXPECT_EQ(error.from, lost.oid());
    EXPECT_EQ(error.to, lost.oid());
  }
  EXPECT_FALSE(is_in_store(lost));
}

TEST_P(Garbage, IsNotBroughtBackByAnUndo) {
  const Ref<Link> first = add("first"), hung = add("hung");
  {
    Transaction txn = db_.begin();
    txn.write(first).next = {hung};
    txn.commit();
  }
  set("first", first);
  Tid emptied{};
  {
    Transaction txn = db_.begin();
    txn.write(first).next.clear();
    emptied = txn.commit();
  }
  collect(Tid{emptied.value - 1});
  EXPECT_NE(db_.undo(emptied), Tid{}) << "it was visible, so it was kept";
  EXPECT_EQ(db_.begin().read(db_.begin().read(first).next.at(0)).text, "hung");
}

TEST_P(Garbage, IsNotTheDirectoryOfTypes) {
  set("first", add("first"));
  collect();
  Transaction txn = db_.begin();
  txn.root().emplace("account", Account{});  // a type that the store does not know yet
  EXPECT_NO_THROW(txn.commit());
}

TEST_P(Garbage, CanBeLookedForInPartOnly) {
  set("first", add("first", {add("end")}));
  const Ref<Link> lost = add("lost");
  int calls = 0;
  const PackResult result =
      db_.pack(kInfinity, {.collect_garbage = true, .progress = [&](const PackProgress& progress) {
                             EXPECT_EQ(progress.revisions_dropped, 0u);
                             return ++calls < 2;
                           }});
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(is_in_store(lost));
  set("lost", lost);  // nobody minds: nothing was collected
  collect();
  EXPECT_TRUE(is_in_store(lost));
}

TEST_P(Garbage, AThrowingProgressLeavesADatabaseThatWorks) {
  set("first", add("first"));
  const Ref<Link> lost = add("lost");
  struct Stop {};
  int calls = 0;
  const auto stop_late = [&](const PackProgress& progress) -> bool {
    if (progress.done > 0 || ++calls > 1000) throw Stop();
    return true;
  };
  EXPECT_THROW(db_.pack(kInfinity, {.collect_garbage = true, .progress = stop_late}), Stop);
  set("second", add("second"));
  collect();
  EXPECT_FALSE(is_in_store(lost));
  EXPECT_EQ(db_.begin().read(db_.begin().root().get<Link>("second")).text, "second");
}

TEST_P(Garbage, IsNotLookedForWithoutARoot) {
  const ScratchDirectory scratch;
  const std::unique_ptr<Store> empty = GetParam().make(scratch.store());
  std::string record;
  {
    MemoryStore model;  // its first object is no root
    Database db(model);
    Transaction txn = db.begin();
    const Ref<Label> label = txn.create(Label{"no root"});
    txn.commit();
    record = model.load(label.oid(), kInfinity)->record;
  }
  const ObjectWrite object{kRootOid, false, record};
  const TransactionWrite write{Tid{1}, {&object, 1}};
  empty->commit({&write, 1});
  Database db(*empty);
  EXPECT_THROW(db.pack(kInfinity, kCollecting), NoRootError);
  EXPECT_EQ(db.begin().read(Ref<Label>(kRootOid)).text, "no root");
}

// References move from place to place, and old ones are tried again, while one collection follows the other. Whatever the root reaches
// exists, at each snapshot.
TEST_P(Garbage, RacesWithCommits) {
  constexpr int kPlaces = 8;
  Ref<Link> places[kPlaces];
  for (int i = 0; i < kPlaces; ++i) {
    places[i] = add("place");
    set("place " + std::to_string(i), places[i]);
  }
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0}, committed{0};
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 3; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      std::vector<Ref<Link>> remembered;  // outside of the database
      while (!stop) {
        try {
          db_.transact([&](Transaction& txn) {
            Link& to = txn.write(places[random() % kPlaces]);
            const Link& from = txn.read(places[random() % kPlaces]);
            switch (random() % 4) {
              case 0: {
                const Ref<Link> end = txn.create(Link{"end", {}});
                to.next.push_back(txn.create(Link{"new", {end}}));
                remembered.push_back(to.next.back());
                break;
              }
              case 1:
                if (!from.next.empty()) to.next.push_back(from.next[random() % from.next.size()]);
                break;
              case 2:
                if (!remembered.empty()) to.next.push_back(Ref<Link>(remembered[random() % remembered.size()].oid()));
                break;
              default:
                to.next.clear();
            }
            if (to.next.size() > 20) to.next.clear();
          });
          ++committed;
        } catch (const CollectedReferenceError&) {
          ++refused;
          remembered.clear();
        } catch (const UncommittedReferenceError&) {  // its transaction was run again, or has failed
          remembered.clear();
        } catch (const ConflictError&) {
        } catch (const SnapshotTooOldError&) {  // the pack came while it was about to begin
        }
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937_64 random(99);
    while (!stop) {
      Transaction txn = db_.begin();
      if (random() % 4 == 0) db_.evict_all();
      try {
        for (const Ref<Link>& place : places) {
          for (const Ref<Link>& link : txn.read(place).next) ASSERT_EQ(txn.read(txn.read(link).next.at(0)).text, "end");
        }
      } catch (const SnapshotTooOldError&) {  // the same
      }
    }
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  int packs = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    const PackResult result =
        db_.pack(Tid{db_.last_tid().value - std::min<std::uint64_t>(db_.last_tid().value, packs % 3)}, kCollecting);
    EXPECT_NE(result.complete, result.outrun) << "three threads do nothing but commit";
    ++packs;
  }
  stop = true;
  threads.clear();
  EXPECT_GT(committed, 0);
  EXPECT_GT(packs, 0);
  db_.evict_all();
  Transaction txn = db_.begin();
  for (const Ref<Link>& place : places) {
    for (const Ref<Link>& link : txn.read(place).next) EXPECT_EQ(txn.read(txn.read(link).next.at(0)).text, "end");
  }
}

// What was marked already is looked at again with each transaction that has written it, and nothing is found: a pack can be stopped all
// the same.
TEST(GarbageAmongLaterChanges, LooksForTheStopInEachPage) {
  MemoryStore store;
  Database db(store);
  constexpr int kChanges = 5'000;
  Ref<Link> link;
  db.transact([&](Transaction& txn) { txn.root().set("link", link = txn.create(Link{"a", {}})); });
  for (int i = 0; i < kChanges; ++i) db.transact([&](Transaction& txn) { txn.write(link).text = std::to_string(i); });
  std::uint64_t seen = 0;
  const PackResult result = db.pack(Tid{3}, {.collect_garbage = true, .progress = [&](const PackProgress& now) {
                                               EXPECT_LE(now.objects_followed, seen + 512) << "of one call";
                                               seen = now.objects_followed;
                                               return seen < kChanges / 2;
                                             }});
  EXPECT_FALSE(result.complete);
  EXPECT_GE(seen, kChanges / 2u);
  EXPECT_LT(result.dropped.objects_followed, kChanges);
  EXPECT_EQ(store.oldest_tid(), Tid{}) << "nothing was packed yet";
}

/// Calls a function before each page of transactions, and before each load.
class WatchedStore : public UnreliablePackableStore {
 public:
  using UnreliablePackableStore::UnreliablePackableStore;
  std::vector<TransactionInfo> transactions(Tid from, Tid to, HistoryOrder order, std::size_t most) override {
    if (on_page) on_page();
    return UnreliablePackableStore::transactions(from, to, order, most);
  }
  std::optional<Revision> load(Oid oid, Tid at) override {
    if (on_load) on_load(oid, at);
    return UnreliablePackableStore::load(oid, at);
  }
  std::function<void()> on_page;
  std::function<void(Oid, Tid)> on_load;
};

Ref<Link> add_link(Database& db, const std::string& text, std::vector<Ref<Link>> next = {}) {
  Transaction txn = db.begin();
  const Ref<Link> link = txn.create(Link{text, std::move(next)});
  txn.commit();
  return link;
}

// While a page of 64 transactions is read, others commit 100. The history is packed, garbage is not collected, and nobody waits.
TEST(GarbageUnderLoad, LetsCommitsThatOutrunItGoOn) {
  constexpr int kCommits = 100;
  MemoryStore memory;
  WatchedStore store(memory);
  Database db(store);
  const Ref<Link> lost = add_link(db, "lost");
  for (int i = 0; i < 3; ++i) (void)add_link(db, "also lost");
  std::atomic<int> wanted{0}, done{0};
  std::atomic<bool> waited{false};
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (done < wanted) {
        for (int i = 0; i < kCommits; ++i) (void)add_link(db, "young");
        ++done;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  });
  // Some wait that is long beside one commit, and short beside what is left to be followed.
  const auto let_others_commit = [&] {
    const int asked = ++wanted;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (done < asked && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (done < asked) waited = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  };
  store.on_page = [&] {
    if (!waited) let_others_commit();
  };
  std::atomic<int> calls{0}, rounds{0};
  const Tid target{db.last_tid().value - 1};
  const PackResult result = db.pack(target, {.collect_garbage = true, .progress = [&](const PackProgress& now) {
                                               ++calls;
                                               rounds += now.catches_up;
                                               return true;
                                             }});
  store.on_page = nullptr;
  EXPECT_FALSE(waited) << "a commit has waited for the pack";
  EXPECT_TRUE(result.outrun);
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(result.oldest, target);
  EXPECT_EQ(store.oldest_tid(), target);
  EXPECT_GT(rounds, 0);
  EXPECT_LT(rounds, calls);
  EXPECT_TRUE(memory.load(lost.oid(), kInfinity)) << "garbage is there still";
  other.request_stop();
  other.join();
  const PackResult quiet = db.pack(kInfinity, kCollecting);
  EXPECT_TRUE(quiet.complete);
  EXPECT_FALSE(quiet.outrun);
  EXPECT_FALSE(memory.load(lost.oid(), kInfinity));
}

TEST(GarbageUnderLoad, CanBeStoppedWhileItCatchesUp) {
  MemoryStore memory;
  WatchedStore store(memory);
  Database db(store);
  for (int i = 0; i < 3; ++i) (void)add_link(db, "old");
  bool is_inside = false;
  store.on_page = [&] {
    if (std::exchange(is_inside, true)) return;
    for (int i = 0; i < 1'000; ++i) (void)add_link(db, "young");
    is_inside = false;
  };
  int rounds = 0;
  const PackResult result = db.pack(Tid{1}, {.collect_garbage = true, .progress = [&](const PackProgress& now) {
                                               rounds += now.catches_up;
                                               return !now.catches_up;
                                             }});
  EXPECT_FALSE(result.complete);
  EXPECT_FALSE(result.outrun);
  EXPECT_EQ(rounds, 1);
}

// The last commit before the end of marking leads to much that nothing has led to, on a slow device. Commits do not wait for all of it.
TEST(GarbageUnderLoad, KeepsCommitsFromWaitingForLong) {
  constexpr int kObjects = 6'000;
  MemoryStore memory;
  WatchedStore store(memory);
  Database db(store);
  Ref<Link> tree;
  db.transact([&](Transaction& txn) {
    std::vector<Ref<Link>> leaves;
    for (int i = 0; i < kObjects; ++i) leaves.push_back(txn.create(Link{"leaf", {}}));
    tree = txn.create(Link{"tree", leaves});
  });
  db.evict_all();
  std::atomic<bool> begun{false};
  const std::thread::id packs = std::this_thread::get_id();
  const Tid target = db.last_tid();
  int loads = 0;
  store.on_load = [&](Oid oid, Tid at) {
    if (std::this_thread::get_id() != packs) return;
    if (oid == kRootOid && at == target && ++loads == 2) {  // for its type, then to follow it
      db.transact([&](Transaction& txn) { txn.root().set("tree", tree); });
      begun = true;
    }
    if (begun) std::this_thread::sleep_for(std::chrono::microseconds(500));
  };
  double longest = 0;
  std::jthread other([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (!begun) continue;
      const auto began = std::chrono::steady_clock::now();
      (void)add_link(db, "young");
      longest = std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
  });
  const PackResult result = db.pack(kInfinity, kCollecting);
  other.request_stop();
  other.join();
  store.on_load = nullptr;
  EXPECT_TRUE(result.outrun);
  EXPECT_FALSE(result.complete);
  EXPECT_LT(longest, 2) << "all of it takes three seconds";
  EXPECT_TRUE(db.pack(kInfinity, kCollecting).complete);
  db.evict_all();
  Transaction txn = db.begin();
  for (const Ref<Link>& leaf : txn.read(tree).next) ASSERT_EQ(txn.read(leaf).text, "leaf");
}

INSTANTIATE_TEST_SUITE_P(Stores, Garbage, ::testing::ValuesIn(stores_without_peers(&StoreKind::is_packable)),
                         name_of_store);

}  // namespace
}  // namespace cow::testing
