// What an operation of STMBench7 works with: one transaction's view of the module, ids drawn from the pools, random
// ways down the assemblies.
//
// Thread safety: a Context belongs to one transaction; Limits are read only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/workloads/oo7/factory.hpp"
#include "bench/workloads/oo7/queries.hpp"
#include "bench/workloads/oo7/traversals.hpp"
#include "bench/workloads/random.hpp"

namespace cow::bench::stmbench7 {

/// How far the module may grow: ids are drawn from pools that are 5% larger than what there is at the start. An
/// operation that draws an id without an object fails, as in the original.
struct Limits {
  explicit Limits(const oo7::Parameters& parameters)
      : composites(grown(parameters.composites)),
        bases(grown(parameters.base_assemblies())),
        complexes(grown(parameters.complex_assemblies())),
        atomic_parts(composites * parameters.atomic_per_composite) {}

  std::uint32_t composites;    ///< ids 0, 1, ...
  std::uint32_t bases;         ///< ids 1, 2, ...
  std::uint32_t complexes;     ///< ids 1, 2, ...
  std::uint32_t atomic_parts;  ///< ids 0, 1, ...

 private:
  static std::uint32_t grown(std::uint64_t count) { return static_cast<std::uint32_t>(count * 105 / 100); }
};

/// What an operation did. One that failed has written nothing.
struct Outcome {
  bool failed = false;
  std::int64_t checksum = 0;  ///< of what was read
  // Objects made, less objects removed:
  std::int64_t composites = 0, bases = 0, complexes = 0;
};
inline constexpr Outcome kFailed{.failed = true};

template <class Database>
class Context {
 public:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  Context(Transaction& txn, std::uint32_t module, const oo7::Parameters& parameters, const Limits& limits,
          oo7::Traverser<Database>& traverser, oo7::Factory<Database>& factory)
      : txn(txn),
        view(txn, module),
        parameters(parameters),
        limits(limits),
        traverser(traverser),
        factory(factory),
        random(factory.random) {}

  // Null: the id has no object.
  const Ref<oo7::AtomicPart<Pointers>>* draw_atomic() {
    return view.indexes.atomic_by_id.find(draw(limits.atomic_parts));
  }
  const Ref<oo7::CompositePart<Pointers>>* draw_composite() {
    return view.indexes.composite_by_id.find(draw(limits.composites));
  }
  const Ref<oo7::BaseAssembly<Pointers>>* draw_base() { return view.indexes.base_by_id.find(1 + draw(limits.bases)); }
  const Ref<oo7::ComplexAssembly<Pointers>>* draw_complex() {
    return view.indexes.complex_by_id.find(1 + draw(limits.complexes));
  }
  const Ref<oo7::Document<Pointers>>* draw_document() {
    return view.indexes.document_by_title.find(oo7::document_title(draw(limits.composites)));
  }

  /// From the design root by random turns to a composite part. Null: the base assembly at the end uses none.
  const Ref<oo7::CompositePart<Pointers>>* way_down() {
    const auto* assembly = &txn.read(view.module.design_root);
    while (!assembly->complex_assemblies.empty()) assembly = &txn.read(one_of(assembly->complex_assemblies));
    const auto& components = txn.read(one_of(assembly->base_assemblies)).components_private;
    return components.empty() ? nullptr : &one_of(components);
  }

  template <class List>
  const auto& one_of(const List& list) {
    return list[random.below(list.size())];
  }
  std::uint32_t draw(std::uint32_t bound) { return static_cast<std::uint32_t>(random.below(bound)); }

  Transaction& txn;
  oo7::ModuleQueries<Database> view;
  const oo7::Parameters& parameters;
  const Limits& limits;
  oo7::Traverser<Database>& traverser;
  oo7::Factory<Database>& factory;
  Random& random;
};

}  // namespace cow::bench::stmbench7
