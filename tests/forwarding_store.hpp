// A store that passes everything on to another one: the base of the misbehaving stores in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "cow_cache/store.hpp"

namespace cow::testing {

class ForwardingStore : public Store {
 public:
  explicit ForwardingStore(Store& inner) : inner_(inner) {}

  std::optional<Revision> load(Oid oid, Tid at) override { return inner_.load(oid, at); }
  Tid last_tid() override { return inner_.last_tid(); }
  OidBlock allocate_oids(std::uint64_t count) override { return inner_.allocate_oids(count); }
  void commit(std::span<const TransactionWrite> group) override { inner_.commit(group); }

 protected:
  Store& inner_;
};

}  // namespace cow::testing
