// The cache that the peers are measured beside, on the same chain: by the reference that an object holds, and by its oid alone.
//
// Thread safety: any number of readers, of one thread each; writes beside them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/workloads/chase.hpp"
#include "chain.hpp"
#include "cow_cache/cow_cache.hpp"

namespace cow::bench::peers {

struct Node {
  static constexpr std::string_view cow_type_name = "peers.Node";
  Ref<Node> next;
  std::uint64_t number = 0;
  Payload payload{};
  MSGPACK_DEFINE(next, number, payload);
};
namespace slots = cow::detail::size_classes;
static_assert(slots::bytes_of(slots::class_of(sizeof(cow::detail::State<Node>))) == chase::kNodeBytes);

class CowCachePeer {
 public:
  static constexpr bool kHasSnapshots = true;

  explicit CowCachePeer(const Chain& chain) {
    constexpr std::size_t kBatch = 10'000;
    auto in_batches = [&](auto&& each) {
      for (std::size_t from = 0; from < chain.objects(); from += kBatch) {
        system_.session.transact([&](Transaction& txn) {
          for (std::size_t i = from; i < std::min(chain.objects(), from + kBatch); ++i) each(txn, i);
        });
      }
    };
    nodes_.reserve(chain.objects());
    in_batches([&](Transaction& txn, std::size_t i) {
      // A transaction that is tried again creates its objects again.
      nodes_.resize(i);
      nodes_.push_back(txn.create(Node{{}, chain.number(i), chain.payload(i)}));
    });
    // In the order of creation, so that the states lie in the order of the keys, as the records of the peers do.
    in_batches([&](Transaction& txn, std::size_t i) { txn.write(nodes_[i]).next = nodes_[chain.successor(i)]; });
  }

  void set_number(std::size_t object, std::uint64_t number) {
    system_.database.transact([&](Transaction& txn) { txn.write(nodes_[object]).number = number; });
  }

  /// Follows the references that the objects hold.
  class ByReference {
   public:
    template <class Body>
    void transaction(Body&& body) {
      Transaction txn = database_->begin();
      const Ref<Node>* at = &at_;
      body([&]() -> Seen {
        const Node& node = txn.read(*at);
        at = &node.next;
        return {node.number, node.payload.data()};
      });
      at_ = *at;  // which lies in an object that the transaction keeps
      txn.commit();
    }

   private:
    friend CowCachePeer;
    ByReference(Database& database, const Ref<Node>& at) : database_(&database), at_(at) {}

    Database* database_;
    Ref<Node> at_;
  };

  /// Takes nothing from an object but the oid of the next one.
  class ByOid {
   public:
    template <class Body>
    void transaction(Body&& body) {
      Transaction txn = database_->begin();
      Oid at = at_;
      body([&]() -> Seen {
        const Node& node = txn.read(Ref<Node>(at));
        at = node.next.oid();
        return {node.number, node.payload.data()};
      });
      at_ = at;
      txn.commit();
    }

   private:
    friend CowCachePeer;
    ByOid(Database& database, Oid at) : database_(&database), at_(at) {}

    Database* database_;
    Oid at_;
  };

  ByReference open_reader(std::size_t object) { return {system_.database, nodes_[object]}; }
  ByOid open_reader_by_oid(std::size_t object) { return {system_.database, nodes_[object].oid()}; }

 private:
  InMemory<cow::detail::SharedCache> system_;
  std::vector<Ref<Node>> nodes_;
};

}  // namespace cow::bench::peers
