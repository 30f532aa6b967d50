// A B+-tree of persistent objects: the index of the workloads that look objects up by key or scan them in order.
//
// Every node is an object, so a lookup reads as many objects as the tree is high, and an insert writes one of them,
// more only when nodes split. The root keeps its identity for ever: when it splits, its content moves into a new child
// ("balance deeper", SQLite). Leaves have no links to their neighbours: scans go through the inner nodes, so that a
// split writes no neighbour and conflicts with nobody who reads one. Nodes go when they are empty, not when they are
// half empty (Johnson and Shasha, "B-trees with inserts and deletes: why free-at-empty is better than merge-at-half",
// 1993).
//
// Thread safety: plain objects of the transaction that uses them. Two transactions that change the same leaf conflict.
//
// Invariants of a node:
//  1. A leaf has as many values as keys, and no children; an inner node one child more than keys, and no values.
//  2. Keys ascend. All keys below children[i + 1] are at or above keys[i], those below children[i] are less.
//  3. No node but the root is empty, and none has more than kMaxKeys keys.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <msgpack.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace cow::bench::btree {

inline constexpr std::size_t kMaxKeys = 64;

/// A node of the index that `Definition` describes with
///   using Key; template <class Pointers> using Value; static constexpr std::string_view kNodeName (in records).
template <class Pointers, class Definition>
struct Node {
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using Key = typename Definition::Key;
  using Value = typename Definition::template Value<Pointers>;
  static constexpr std::string_view cow_type_name = Definition::kNodeName;

  std::vector<Key> keys;
  std::vector<Ref<Node>> children;
  std::vector<Value> values;
  MSGPACK_DEFINE(keys, children, values);

  bool is_leaf() const { return children.empty(); }
  /// The child that has `key`, if any has.
  std::size_t child_of(const Key& key) const {
    return static_cast<std::size_t>(std::upper_bound(keys.begin(), keys.end(), key) - keys.begin());
  }
  /// Where `key` is in a leaf, or would be.
  std::size_t position_of(const Key& key) const {
    return static_cast<std::size_t>(std::lower_bound(keys.begin(), keys.end(), key) - keys.begin());
  }
  bool has(std::size_t position, const Key& key) const { return position < keys.size() && keys[position] == key; }
};

/// The operations on one tree, within one transaction. The value to keep in other objects is the reference to its root.
template <class Database, class Definition>
class Tree {
 public:
  using TreeNode = Node<typename Database::Pointers, Definition>;
  using NodeRef = typename Database::Pointers::template Ref<TreeNode>;
  using Transaction = typename Database::Transaction;
  using Key = typename TreeNode::Key;
  using Value = typename TreeNode::Value;

  /// REQUIRES: `root` outlives the tree; it is the stored reference itself, so that the hint in it gets repaired.
  Tree(Transaction& txn, const NodeRef& root) : txn_(txn), root_(root) {}

  /// An empty tree.
  static NodeRef create(Transaction& txn) { return txn.create(TreeNode{}); }

  /// Null: there is no such key. Valid until the transaction ends or changes the tree.
  const Value* find(const Key& key) const {
    const TreeNode* node = &txn_.read(root_);
    while (!node->is_leaf()) node = &txn_.read(node->children[node->child_of(key)]);
    const std::size_t position = node->position_of(key);
    return node->has(position, key) ? &node->values[position] : nullptr;
  }

  /// False, and nothing is changed: the key is there already.
  bool insert(const Key& key, const Value& value) {
    bool inserted = false;
    std::optional<Split> split = insert_below(root_, key, value, inserted);
    if (!split) return inserted;
    TreeNode& top = txn_.write(root_);
    NodeRef left = txn_.create(std::exchange(top, TreeNode{}));
    top.keys.push_back(std::move(split->key));
    top.children = {left, split->right};
    return inserted;
  }

  /// False: there is no such key.
  bool erase(const Key& key) { return erase_below(root_, key).erased; }

  /// Calls `visit(key, value)` in the order of the keys, from `from` on, until it returns false. It must not change the
  /// tree.
  template <class Visit>
  void scan(const Key& from, Visit visit) const {
    scan_below(txn_.read(root_), &from, visit);
  }

  /// The same from the smallest key on.
  template <class Visit>
  void scan_all(Visit visit) const {
    scan_below(txn_.read(root_), nullptr, visit);
  }

  std::uint64_t size() const {
    std::uint64_t count = 0;
    scan_all([&](const Key&, const Value&) { return ++count, true; });
    return count;
  }

 private:
  /// What a node that was too full gave away.
  struct Split {
    Key key;  ///< the smallest below `right`
    NodeRef right;
  };
  struct Erased {
    bool erased;
    bool empty;  ///< the node has nothing left
  };

  std::optional<Split> insert_below(const NodeRef& reference, const Key& key, const Value& value, bool& inserted) {
    const TreeNode& node = txn_.read(reference);
    if (node.is_leaf()) {
      const std::size_t position = node.position_of(key);
      if (node.has(position, key)) return std::nullopt;
      inserted = true;
      TreeNode& leaf = txn_.write(reference);
      leaf.keys.insert(at(leaf.keys, position), key);
      leaf.values.insert(at(leaf.values, position), value);
      return split_if_full(leaf, position);
    }
    const std::size_t child = node.child_of(key);
    std::optional<Split> below = insert_below(node.children[child], key, value, inserted);
    if (!below) return std::nullopt;
    TreeNode& inner = txn_.write(reference);
    inner.keys.insert(at(inner.keys, child), std::move(below->key));
    inner.children.insert(at(inner.children, child + 1), below->right);
    return split_if_full(inner, child);
  }

  /// In the middle; but a node that grew at its end keeps nearly all, so that keys that come in order leave full nodes.
  std::optional<Split> split_if_full(TreeNode& node, std::size_t grown_at) {
    if (node.keys.size() <= kMaxKeys) return std::nullopt;
    const std::size_t middle = grown_at + 1 == node.keys.size() ? node.keys.size() - 1 : node.keys.size() / 2;
    TreeNode right;
    Key smallest = node.keys[middle];
    if (node.is_leaf()) {
      right.keys = cut(node.keys, middle);
      right.values = cut(node.values, middle);
    } else {
      right.keys = cut(node.keys, middle + 1);
      node.keys.pop_back();  // it moves up
      right.children = cut(node.children, middle + 1);
    }
    return Split{std::move(smallest), txn_.create(std::move(right))};
  }

  Erased erase_below(const NodeRef& reference, const Key& key) {
    const TreeNode& node = txn_.read(reference);
    if (node.is_leaf()) {
      const std::size_t position = node.position_of(key);
      if (!node.has(position, key)) return {false, false};
      TreeNode& leaf = txn_.write(reference);
      leaf.keys.erase(at(leaf.keys, position));
      leaf.values.erase(at(leaf.values, position));
      return {true, leaf.keys.empty()};
    }
    const std::size_t child = node.child_of(key);
    const Erased below = erase_below(node.children[child], key);
    if (!below.empty) return below;
    TreeNode& inner = txn_.write(reference);
    txn_.erase(inner.children[child]);
    inner.children.erase(at(inner.children, child));
    if (!inner.keys.empty()) inner.keys.erase(at(inner.keys, child == 0 ? 0 : child - 1));
    return {true, inner.children.empty()};
  }

  template <class Visit>
  bool scan_below(const TreeNode& node, const Key* from, Visit& visit) const {
    if (node.is_leaf()) {
      for (std::size_t i = from == nullptr ? 0 : node.position_of(*from); i < node.keys.size(); ++i) {
        if (!visit(node.keys[i], node.values[i])) return false;
      }
      return true;
    }
    for (std::size_t i = from == nullptr ? 0 : node.child_of(*from); i < node.children.size(); ++i) {
      if (!scan_below(txn_.read(node.children[i]), from, visit)) return false;
      from = nullptr;  // what follows is above it
    }
    return true;
  }

  template <class T>
  static auto at(std::vector<T>& list, std::size_t position) {
    return list.begin() + static_cast<std::ptrdiff_t>(position);
  }
  /// Removes what is from `position` on, and returns it.
  template <class T>
  static std::vector<T> cut(std::vector<T>& list, std::size_t position) {
    std::vector<T> rest(std::make_move_iterator(at(list, position)), std::make_move_iterator(list.end()));
    list.resize(position);
    return rest;
  }

  Transaction& txn_;
  const NodeRef& root_;
};

}  // namespace cow::bench::btree
