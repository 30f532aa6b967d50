// Codecs, upgrades, copy constructors and destructors that read other objects.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"
#include "tests/support/forwarding_store.hpp"

namespace cow {
namespace {

/// A node whose codec, copy constructor or destructor does what a test wants.
struct Node {
  static constexpr std::string_view cow_type_name = "test.Node";
  static constexpr std::uint32_t cow_schema = 2;

  Node() = default;
  Node(std::string name, std::vector<Ref<Node>> others) : name(std::move(name)), others(std::move(others)) {}
  Node(const Node& other) : name(other.name), others(other.others), rows(other.rows) {
    if (on_copy) on_copy(*this);
  }
  Node(Node&&) noexcept = default;
  Node& operator=(const Node&) = default;
  Node& operator=(Node&&) noexcept = default;
  ~Node() {
    if (on_destroy && !name.empty()) on_destroy(*this);
  }

  std::string name;
  std::vector<Ref<Node>> others;
  std::vector<std::vector<int>> rows;
  std::string seen;  ///< names of the others, as the codec saw them
  MSGPACK_DEFINE(name, others, rows);

  static inline std::function<void(Node&)> on_decode;
  static inline std::function<void(Node&)> on_copy;
  static inline std::function<void(const Node&)> on_destroy;
  static inline std::function<void(const Node&)> on_encode;
};

}  // namespace

template <>
struct Codec<Node> {
  static void encode(const Node& node, std::string& out) {
    if (Node::on_encode) Node::on_encode(node);
    detail::StringSink sink{out};
    msgpack::pack(sink, node);
  }
  static Node decode(const msgpack::object& object, std::uint32_t) {
    Node node;
    object.via.array.ptr[0].convert(node.name);
    object.via.array.ptr[1].convert(node.others);
    if (Node::on_decode) Node::on_decode(node);
    object.via.array.ptr[2].convert(node.rows);  // the outer record must still be there
    return node;
  }
};

namespace {

class NestedReads : public ::testing::Test {
 protected:
  ~NestedReads() override { forget(); }
  static void forget() { Node::on_decode = Node::on_copy = nullptr, Node::on_destroy = Node::on_encode = nullptr; }

  Ref<Node> make(std::string name, std::vector<Ref<Node>> others = {}) {
    Node node(std::move(name), std::move(others));
    node.rows.assign(50, std::vector<int>(50, 7));
    return db_.transact([&](Transaction& txn) { return txn.create(std::move(node)); });
  }
  void point_to(const Ref<Node>& from, const Ref<Node>& to) {
    db_.transact([&](Transaction& txn) { txn.write(from).others = {to}; });
  }
  /// Decoding a node reads the others, each in a transaction of its own, or all in the one given.
  void read_others_while_decoding(Transaction* txn = nullptr) {
    Node::on_decode = [this, txn](Node& node) {
      for (const Ref<Node>& other : node.others) {
        if (txn != nullptr) {
          node.seen += txn->read(Ref<Node>(other.oid())).name;
        } else {
          node.seen += db_.begin().read(Ref<Node>(other.oid())).name;
        }
      }
    };
  }

  MemoryStore memory_;
  testing::UnreliableStore store_{memory_};
  Database db_{store_};
};

TEST_F(NestedReads, ACodecReadsOtherObjects) {
  Ref<Node> c = make("c"), b = make("b", {c, c}), a = make("a", {b, c});
  for (bool same_transaction : {false, true}) {
    db_.evict_all();
    Transaction txn = db_.begin();
    read_others_while_decoding(same_transaction ? &txn : nullptr);
    const Node& read = txn.read(Ref<Node>(a.oid()));
    EXPECT_EQ(read.seen, "bc");
    EXPECT_EQ(txn.read(Ref<Node>(b.oid())).seen, "cc");
    EXPECT_EQ(read.rows, std::vector(50, std::vector<int>(50, 7)));
  }
}

TEST_F(NestedReads, ACodecReadsOldRevisions) {
  Ref<Node> c = make("c"), b = make("b", {c});
  Transaction old = db_.begin();
  db_.transact([&](Transaction& txn) {
    txn.write(b).name = "B";
    txn.write(c).name = "C";
  });
  db_.evict_all();
  read_others_while_decoding(&old);
  const Node& read = old.read(Ref<Node>(b.oid()));
  EXPECT_EQ(read.name + read.seen, "bc");
}

TEST_F(NestedReads, TheErrorsOfANestedReadAreItsOwn) {
  Ref<Node> b = make("b"), a = make("a", {b});
  db_.transact([&](Transaction& txn) { txn.erase(b); });
  db_.evict_all();
  read_others_while_decoding();
  EXPECT_THROW(db_.begin().read(Ref<Node>(a.oid())), DanglingReferenceError);
  store_.loads_to_fail = 1;
  EXPECT_THROW(db_.begin().read(Ref<Node>(a.oid())), StoreError);
  forget();
  EXPECT_EQ(db_.begin().read(Ref<Node>(a.oid())).name, "a");
}

TEST_F(NestedReads, ACodecThatNeedsItsOwnObjectIsToldSo) {
  for (int length : {1, 2, 3}) {
    std::vector<Ref<Node>> ring;
    for (int i = 0; i < length; ++i)
      ring.push_back(make("n", ring.empty() ? std::vector<Ref<Node>>{} : std::vector{ring.back()}));
    point_to(ring.front(), ring.back());
    for (bool same_transaction : {false, true}) {
      db_.evict_all();
      Transaction txn = db_.begin();
      read_others_while_decoding(same_transaction ? &txn : nullptr);
      try {
        (void)txn.read(Ref<Node>(ring.back().oid()));
        ADD_FAILURE() << "a ring of " << length;
      } catch (const BuildCycleError& error) {
        EXPECT_EQ(error.oid, ring.back().oid()) << error.what();
      }
      forget();
      EXPECT_EQ(txn.read(Ref<Node>(ring.back().oid())).name, "n") << "the transaction goes on";
    }
  }
}

// Old revisions have no tickets, so the recursion must end by itself.
TEST_F(NestedReads, ACodecThatNeedsItsOwnOldRevisionIsToldSo) {
  Ref<Node> a = make("a");
  point_to(a, a);
  Transaction old = db_.begin();
  db_.transact([&](Transaction& txn) { txn.write(a).name = "A"; });
  db_.evict_all();
  read_others_while_decoding(&old);
  EXPECT_THROW(old.read(Ref<Node>(a.oid())), BuildCycleError);
}

TEST_F(NestedReads, AreRefusedWhereTheyWouldUseUpTheStack) {
  Ref<Node> last = make("end");
  std::vector<Ref<Node>> chain{last};
  for (int i = 0; i < 1000; ++i) chain.push_back(make("n", {chain.back()}));
  db_.evict_all();
  read_others_while_decoding();
  EXPECT_THROW(db_.begin().read(Ref<Node>(chain.back().oid())), BuildDepthError);
  EXPECT_EQ(db_.begin().read(Ref<Node>(chain[detail::BuildScope::kDeepest - 1].oid())).seen, "n");
}

// Two threads that load two objects whose codecs need each other. Whoever waits where, both are told.
TEST_F(NestedReads, ThreadsDoNotWaitForEachOtherInACycle) {
  Ref<Node> a = make("a"), b = make("b", {a});
  point_to(a, b);
  db_.evict_all();
  std::atomic<int> decoding = 0, told = 0;
  Node::on_decode = [&](Node& node) {
    ++decoding;
    while (decoding < 2) std::this_thread::yield();  // both hold their tickets
    (void)db_.begin().read(Ref<Node>(node.others.front().oid()));
  };
  std::vector<std::thread> threads;
  for (Oid oid : {a.oid(), b.oid()}) {
    threads.emplace_back([&, oid] {
      try {
        (void)db_.begin().read(Ref<Node>(oid));
      } catch (const BuildCycleError&) {
        ++told;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(told, 2);
}

// The same where the codecs know to stop: then there is no error either, whatever the threads do at the same time.
TEST_F(NestedReads, ThreadsThatWouldWaitInACycleLoadForThemselves) {
  Ref<Node> a = make("a"), b = make("b", {a});
  point_to(a, b);
  static thread_local bool inside = false;
  std::atomic<int> decoding = 0;
  Node::on_decode = [&](Node& node) {
    if (inside) return;
    inside = true;
    ++decoding;
    while (decoding < 2) std::this_thread::yield();
    node.seen = db_.begin().read(Ref<Node>(node.others.front().oid())).name;
    inside = false;
  };
  for (int round = 0; round < 20; ++round) {
    db_.evict_all();
    decoding = 0;
    std::vector<std::thread> threads;
    for (const Ref<Node>& from : {a, b}) {
      threads.emplace_back([&, from] {
        Transaction txn = db_.begin();
        const Node& node = txn.read(Ref<Node>(from.oid()));
        EXPECT_EQ(node.seen, node.name == "a" ? "b" : "a");
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST_F(NestedReads, ACopyConstructorReadsOtherObjects) {
  Ref<Node> b = make("b"), a = make("a", {b});
  db_.evict_all();
  Transaction txn = db_.begin();
  Node::on_copy = [&](Node& copy) {
    for (const Ref<Node>& other : copy.others) copy.seen += txn.read(Ref<Node>(other.oid())).name;
  };
  EXPECT_EQ(txn.write(a).seen, "b");
  EXPECT_EQ(txn.read(Ref<Node>(a.oid())).seen, "b");
}

TEST_F(NestedReads, ACopyConstructorMayWriteOtherObjectsButNotItsOwn) {
  Ref<Node> b = make("b"), a = make("a", {b});
  Transaction txn = db_.begin();
  Node::on_copy = [&](Node& copy) {
    for (const Ref<Node>& other : copy.others) txn.write(other).name += "!";
  };
  txn.write(a).name = "A";
  EXPECT_EQ(txn.read(b).name, "b!");
  EXPECT_EQ(txn.writes(), 2U);
  txn.abort();

  point_to(b, a);  // now each needs the other
  Transaction next = db_.begin();
  Node::on_copy = [&](Node& copy) {
    for (const Ref<Node>& other : copy.others) next.write(other).name += "!";
  };
  EXPECT_THROW(next.write(a), BuildCycleError);
  forget();
  EXPECT_EQ(next.writes(), 0U);
  EXPECT_EQ(next.write(a).name, "a") << "the transaction goes on";
  next.commit();
}

TEST_F(NestedReads, ACopyConstructorThatEndsItsTransactionIsToldSo) {
  Ref<Node> a = make("a");
  Transaction txn = db_.begin();
  Node::on_copy = [&](Node&) { txn.abort(); };
  EXPECT_THROW(txn.write(a), TransactionEndedError);
  Node::on_copy = nullptr;
  Transaction other = db_.begin();
  db_.evict_all();
  Node::on_decode = [&](Node&) { other.abort(); };
  EXPECT_THROW(other.read(Ref<Node>(a.oid())), TransactionEndedError);
}

TEST_F(NestedReads, AnEncoderReadsOtherObjects) {
  Ref<Node> b = make("b"), a = make("a", {b});
  db_.evict_all();
  Transaction txn = db_.begin();
  txn.write(a).name = "A";
  std::string seen;
  Node::on_encode = [&](const Node& node) {
    for (const Ref<Node>& other : node.others) {
      seen += txn.read(Ref<Node>(other.oid())).name;
      seen += db_.begin().read(Ref<Node>(other.oid())).name;
    }
  };
  txn.commit();
  // A checked build encodes each value again, twice.
  EXPECT_EQ(seen, std::string(COW_CACHE_CHECKED ? 6 : 2, 'b'));
}

TEST_F(NestedReads, AnEncoderMayNotChangeOrEndItsTransaction) {
  Ref<Node> b = make("b"), a = make("a", {b});
  std::vector<std::function<void(Transaction&)>> misuses{
      [&](Transaction& txn) { (void)txn.write(b); }, [&](Transaction& txn) { (void)txn.write(a); },
      [&](Transaction& txn) { txn.erase(b); },       [&](Transaction& txn) { (void)txn.create(Node("c", {})); },
      [&](Transaction& txn) { txn.commit(); },
  };
  for (const auto& misuse : misuses) {
    Transaction txn = db_.begin();
    txn.write(a).name = "A";
    txn.write(b).name = "B";
    Node::on_encode = [&](const Node&) { misuse(txn); };
    EXPECT_THROW(txn.commit(), TransactionCommittingError);
    Node::on_encode = nullptr;
    EXPECT_FALSE(txn.active());
    EXPECT_EQ(db_.begin().read(a).name + db_.begin().read(b).name, "ab") << "nothing of it";
  }
}

TEST_F(NestedReads, DestructorsOfPrivateValuesFindTheirTransactionEnded) {
  Ref<Node> b = make("b"), a = make("a", {b});
  Transaction txn = db_.begin();
  txn.write(a).name = "A";
  bool ended = false;
  std::string seen;
  Node::on_destroy = [&](const Node& node) {
    if (node.name != "A") return;
    ended = !txn.active();
    seen = db_.begin().read(b).name;
  };
  txn.abort();
  Node::on_destroy = nullptr;
  EXPECT_TRUE(ended);
  EXPECT_EQ(seen, "b");
}

// A thread that makes room in one cache makes room in the others that its values' destructors read from, too.
TEST_F(NestedReads, DestructorsReadFromAnotherDatabaseWithinItsBudget) {
  constexpr std::size_t kBudget = std::size_t{1} << 20;
  MemoryStore others_store;
  Database others_db(others_store, CacheOptions{.cache_bytes = kBudget});
  std::vector<Ref<Node>> others;
  for (int i = 0; i < 2000; ++i) {
    others.push_back(others_db.transact([](Transaction& txn) { return txn.create(Node(std::string(1000, 'o'), {})); }));
  }
  MemoryStore store;
  Database db(store, CacheOptions{.cache_bytes = 2 * kBudget});
  std::vector<Ref<Node>> nodes;
  for (int i = 0; i < 4000; ++i)
    nodes.push_back(db.transact([](Transaction& txn) { return txn.create(Node("n", {})); }));
  Ref<Node> large =
      db.transact([](Transaction& txn) { return txn.create(Node(std::string(kBudget * 3 / 2, 'l'), {})); });
  db.evict_all();
  others_db.evict_all();
  for (const Ref<Node>& node : nodes) (void)db.begin().read(node);

  std::size_t next = 0;
  std::uint64_t most = 0;
  Node::on_destroy = [&](const Node& node) {
    if (node.name != "n") return;
    (void)others_db.begin().read(others[next++ % others.size()]);
    most = std::max(most, others_db.statistics().cache_bytes);
  };
  (void)db.begin().read(large);
  Node::on_destroy = nullptr;
  EXPECT_GT(next, 1000U);
  EXPECT_LE(most, kBudget);
}

}  // namespace
}  // namespace cow
