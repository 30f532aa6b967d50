// The pointer chase: a cycle through all objects in random order, one dependent read per step. It measures what a read
// adds to the memory access that no object database can avoid.
//
// Thread safety: a chain is built by one thread; any number of them may follow it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "bench/baselines/session.hpp"
#include "cow_cache/codec.hpp"
#include "cow_cache/detail/state/state.hpp"
#include "random.hpp"

namespace cow::bench::chase {

/// Bytes of a node in memory, the same for every system: what a database keeps in headers, plain C++ keeps in the value.
inline constexpr std::size_t kNodeBytes = 192;

template <class Pointers>
struct Node {
  static constexpr std::string_view cow_type_name = "chase.Node";

  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  static constexpr bool kHasHeader = std::is_same_v<Ref<int>, cow::Ref<int>>;

  Ref<Node> next;
  std::array<char, kNodeBytes - sizeof(void*) - (kHasHeader ? sizeof(cow::detail::StateHeader) + sizeof(Oid) : 0)>
      data{};

  // Raw nodes are never stored, and their references know no encoding.
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(1);
    packer.pack(next);
  }
  void msgpack_unpack(const msgpack::object& object) { object.via.array.ptr[0].convert(next); }
};

/// Builds a chain of `count` nodes in transactions of bounded size; returns where to start.
template <ObjectDatabase Database>
auto build(Session<Database>& session, std::size_t count, std::uint64_t seed = 42) {
  using Transaction = typename Database::Transaction;
  using ChaseNode = Node<typename Database::Pointers>;
  constexpr std::size_t kBatch = 10'000;
  std::vector<typename ChaseNode::template Ref<ChaseNode>> nodes;
  nodes.reserve(count);
  auto in_batches = [&](auto&& each) {
    for (std::size_t from = 0; from < count; from += kBatch) {
      session.transact([&](Transaction& txn) {
        for (std::size_t i = from; i < std::min(count, from + kBatch); ++i) each(txn, i);
      });
    }
  };
  in_batches([&](Transaction& txn, std::size_t) { nodes.push_back(txn.create(ChaseNode{})); });
  Random random(seed);
  std::vector<std::uint32_t> order = random_permutation(count, random), successor(count);
  for (std::size_t i = 0; i < count; ++i) successor[order[i]] = order[(i + 1) % count];
  // In the order of creation: a database that clones on write places the clones in the order of the writes, and must
  // not lay the chain out straight.
  in_batches([&](Transaction& txn, std::size_t i) { txn.write(nodes[i]).next = nodes[successor[i]]; });
  return nodes[order[0]];
}

/// Follows `steps` references from `*at` on; returns the last one, which lives in an object that the transaction read.
template <class Transaction, class Reference>
const Reference* follow(Transaction& txn, const Reference* at, std::size_t steps) {
  for (std::size_t i = 0; i < steps; ++i) at = &txn.read(*at).next;
  return at;
}

}  // namespace cow::bench::chase
