// The B+-tree of the workloads, against std::map, on raw pointers and on the database.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string_view>

#include "bench/workloads/btree.hpp"
#include "bench/workloads/random.hpp"
#include "workload_testing.hpp"

namespace cow::bench {
namespace {

struct Numbers {
  using Key = std::uint32_t;
  template <class Pointers>
  using Value = std::uint64_t;
  static constexpr std::string_view kNodeName = "test.Numbers";
};

template <class D>
class BTreeTest : public testing::Test {
 protected:
  using Tree = btree::Tree<D, Numbers>;
  using Transaction = typename D::Transaction;

  void same(Transaction& txn, const Tree& tree) {
    auto expected = reference_.begin();
    tree.scan_all([&](std::uint32_t key, std::uint64_t value) {
      EXPECT_TRUE(expected != reference_.end() && expected->first == key && expected->second == value) << key;
      ++expected;
      return true;
    });
    EXPECT_EQ(expected, reference_.end());
    EXPECT_EQ(tree.size(), reference_.size());
    check_node(txn, txn.read(root_), true);
  }

  void check_node(Transaction& txn, const typename Tree::TreeNode& node, bool is_root) {
    EXPECT_LE(node.keys.size(), btree::kMaxKeys);
    if (node.is_leaf()) {
      EXPECT_EQ(node.values.size(), node.keys.size());
      EXPECT_TRUE(is_root || !node.keys.empty());
    } else {
      EXPECT_EQ(node.children.size(), node.keys.size() + 1);
      for (const auto& child : node.children) check_node(txn, txn.read(child), false);
    }
  }

  Opened<D> opened_;
  typename Tree::NodeRef root_ =
      open_session(opened_.database()).transact([](Transaction& txn) { return Tree::create(txn); });
  std::map<std::uint32_t, std::uint64_t> reference_;
};
TYPED_TEST_SUITE(BTreeTest, Databases);

TYPED_TEST(BTreeTest, DoesWhatAMapDoes) {
  auto session = open_session(this->opened_.database());
  Random random(1);
  for (std::uint32_t range : {100u, 20'000u}) {
    for (int round = 0; round < 10; ++round) {
      const bool shrinking = round >= 5;
      session.transact([&](typename TypeParam::Transaction& txn) {
        typename TestFixture::Tree tree(txn, this->root_);
        for (int i = 0; i < 2'000; ++i) {
          const auto key = static_cast<std::uint32_t>(random.below(range));
          if (random.chance(shrinking ? 0.1 : 0.7)) {
            EXPECT_EQ(tree.insert(key, key + 1), this->reference_.emplace(key, key + 1).second);
          } else {
            EXPECT_EQ(tree.erase(key), this->reference_.erase(key) == 1);
          }
          const auto* found = tree.find(key);
          EXPECT_EQ(found != nullptr, this->reference_.contains(key));
        }
        this->same(txn, tree);
      });
    }
  }
}

TYPED_TEST(BTreeTest, KeysInOrderFillItsNodes) {
  constexpr std::uint32_t kKeys = 10'000;
  open_session(this->opened_.database()).transact([&](typename TypeParam::Transaction& txn) {
    typename TestFixture::Tree tree(txn, this->root_);
    for (std::uint32_t key = 0; key < kKeys; ++key) {
      tree.insert(key, key);
      this->reference_.emplace(key, key);
    }
    this->same(txn, tree);
    std::uint32_t leaves = 0;
    auto count = [&](auto& self, const auto& node) -> void {
      leaves += node.is_leaf();
      for (const auto& child : node.children) self(self, txn.read(child));
    };
    count(count, txn.read(this->root_));
    EXPECT_LE(leaves, kKeys / btree::kMaxKeys + 1);
    for (std::uint32_t key = 0; key < kKeys; ++key) EXPECT_TRUE(tree.erase(key));
    this->reference_.clear();
    this->same(txn, tree);
    EXPECT_TRUE(txn.read(this->root_).is_leaf());
    EXPECT_TRUE(tree.insert(1, 1));
    EXPECT_FALSE(tree.insert(1, 2));
    EXPECT_EQ(*tree.find(1), 1u);
  });
}

TYPED_TEST(BTreeTest, ScansFromAnyKeyUntilToldToStop) {
  open_session(this->opened_.database()).transact([&](typename TypeParam::Transaction& txn) {
    typename TestFixture::Tree tree(txn, this->root_);
    for (std::uint32_t key = 0; key < 1'000; ++key) tree.insert(2 * key, key);
    for (std::uint32_t from = 0; from < 2'001; ++from) {
      std::uint32_t expected = (from + 1) / 2, seen = 0;
      tree.scan(from, [&](std::uint32_t key, std::uint64_t) {
        EXPECT_EQ(key, 2 * expected++);
        return ++seen < 70;
      });
      EXPECT_EQ(seen, std::min(70u, 1'000 - (from + 1) / 2));
    }
  });
}

}  // namespace
}  // namespace cow::bench
