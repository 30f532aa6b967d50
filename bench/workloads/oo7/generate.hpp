// Builds an OO7 module in a database, the same one for the same parameters and seed.
//
// Thread safety: `generate` works in one session and expects no other writer of the module.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "factory.hpp"
#include "verify.hpp"

namespace cow::bench::oo7 {

/// Called with (objects done, objects in all).
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

/// Generates one module. Transactions are bounded: about `kBatchObjects` objects each, one composite part at least.
template <ObjectDatabase Database>
class Generator {
 public:
  /// `number`: of the module; each has objects of its own, and its seed differs from those of the others.
  Generator(Database& database, const Parameters& parameters, std::uint32_t number = 1)
      : session_(open_session(database)),
        parameters_(parameters),
        number_(number),
        factory_(parameters, parameters.seed + (number - 1) * 0x9E37'79B9'7F4A'7C15u) {}

  /// Names the module when all of it exists, so an interrupted generation leaves no half module behind.
  void run(const Progress& progress = {}) {
    plan_uses();
    session_.transact([&](Transaction& txn) { indexes_ = txn.create(create_indexes<Database>(txn)); });
    for (std::uint32_t first = 0; first < parameters_.composites; first += composites_per_transaction()) {
      make_composites(first, std::min(first + composites_per_transaction(), parameters_.composites));
      if (progress) progress(std::min<std::uint64_t>(objects_done(), parameters_.objects()), parameters_.objects());
    }
    make_module();
    if (progress) progress(parameters_.objects(), parameters_.objects());
  }

 private:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using Composites = typename Factory<Database>::Composites;

  static constexpr std::uint32_t kBatchObjects = 1'000;

  /// Which composites a base assembly uses, by index; drawn first so that a retry repeats the same transaction.
  struct Uses {
    std::vector<std::uint32_t> private_components;
    std::vector<std::uint32_t> shared_components;
  };

  void plan_uses() {
    uses_.resize(parameters_.base_assemblies());
    for (Uses& uses : uses_) {
      for (std::uint32_t i = 0; i < parameters_.composites_per_assembly; ++i) {
        uses.private_components.push_back(static_cast<std::uint32_t>(factory_.random.below(parameters_.composites)));
        uses.shared_components.push_back(static_cast<std::uint32_t>(factory_.random.below(parameters_.composites)));
      }
    }
  }

  std::uint32_t composites_per_transaction() const {
    const std::uint32_t objects = 2 + parameters_.atomic_per_composite * (1 + parameters_.connections_per_atomic);
    return std::max(1u, kBatchObjects / objects);
  }
  std::uint64_t objects_done() const {
    return composites_.size() * (2 + parameters_.atomic_per_composite * (1 + parameters_.connections_per_atomic));
  }

  void make_composites(std::uint32_t first, std::uint32_t last) {
    const Random before = factory_.random;
    session_.transact([&](Transaction& txn) {
      factory_.random = before;  // a retry makes the same parts again
      composites_.resize(first);
      OpenIndexes<Database> indexes(txn, txn.read(indexes_));
      for (std::uint32_t id = first; id < last; ++id) composites_.push_back(factory_.make_composite(txn, indexes, id));
    });
  }

  /// The assemblies, the manual and the module: about 1,100 objects, one transaction.
  void make_module() {
    const Random before = factory_.random;
    session_.transact([&](Transaction& txn) {
      factory_.random = before;
      next_base_ = next_complex_ = 0;
      OpenIndexes<Database> indexes(txn, txn.read(indexes_));
      Module<Pointers> module;
      module.id = number_;
      module.build_date = factory_.draw(1000, 1999);
      module.type = factory_.type_name();
      module.manual = txn.create(Manual<Pointers>{1, "Manual for module 1", manual_text(parameters_)});
      module.design_root = make_complex(txn, indexes, 1, {});
      module.indexes = indexes_;
      txn.root().template emplace<Module<Pointers>>(module_name(number_), std::move(module));
    });
  }

  Ref<ComplexAssembly<Pointers>> make_complex(Transaction& txn, OpenIndexes<Database>& indexes, std::uint32_t level,
                                              const Ref<ComplexAssembly<Pointers>>& super) {
    auto reference = factory_.make_complex(txn, indexes, ++next_complex_, super);
    for (std::uint32_t i = 0; i < parameters_.assembly_fan_out; ++i) {
      if (level + 1 < parameters_.assembly_levels) {
        auto sub = make_complex(txn, indexes, level + 1, reference);
        txn.write(reference).complex_assemblies.push_back(sub);
      } else {
        auto sub = make_base(txn, indexes, reference);
        txn.write(reference).base_assemblies.push_back(sub);
      }
    }
    return reference;
  }

  Ref<BaseAssembly<Pointers>> make_base(Transaction& txn, OpenIndexes<Database>& indexes,
                                        const Ref<ComplexAssembly<Pointers>>& super) {
    const Uses& uses = uses_[next_base_];
    return factory_.make_base(txn, indexes, ++next_base_, super, chosen(uses.private_components),
                              chosen(uses.shared_components));
  }

  Composites chosen(const std::vector<std::uint32_t>& ids) const {
    Composites composites;
    for (std::uint32_t id : ids) composites.push_back(composites_[id]);
    return composites;
  }

  Session<Database> session_;
  const Parameters parameters_;
  const std::uint32_t number_;
  Factory<Database> factory_;
  Ref<Indexes<Pointers>> indexes_;
  std::vector<Uses> uses_;  ///< by base assembly, in order of creation
  std::uint32_t next_base_ = 0, next_complex_ = 0;
  Composites composites_;  ///< by id
};

/// Generates a module and verifies it.
template <ObjectDatabase Database>
ObjectCounts generate(Database& database, const Parameters& parameters, const Progress& progress = {},
                      std::uint32_t number = 1) {
  Generator<Database>(database, parameters, number).run(progress);
  auto session = open_session(database);
  return verify<Database>(session, parameters, number);
}

/// The same if there is no such module yet. False: there was.
template <ObjectDatabase Database>
bool generate_if_absent(Database& database, const Parameters& parameters, std::uint32_t number,
                        const Progress& progress = {}) {
  const bool is_there = open_session(database).transact(
      [&](typename Database::Transaction& txn) { return txn.root().contains(module_name(number)); });
  if (!is_there) generate(database, parameters, progress, number);
  return !is_there;
}

}  // namespace cow::bench::oo7
