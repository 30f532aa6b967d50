// STMBench7's structural changes, SM1 to SM8: composite parts and assemblies come and go, links between them too.
//
// None of them leaves an assembly without sub-assemblies, and none makes more objects than the pools of ids have; where
// that would happen the operation fails, before it has written anything.
//
// Thread safety: functions of the transaction that their context belongs to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "context.hpp"
#include "operations.hpp"

namespace cow::bench::stmbench7 {

template <class Database>
class StructuralChanges {
 public:
  explicit StructuralChanges(Context<Database>& context)
      : context_(context), txn_(context.txn), indexes_(context.view.indexes) {}

  /// REQUIRES: `operation` is one of SM1 to SM8.
  Outcome run(Operation operation) {
    using enum Operation;
    switch (operation) {
      case sm1:
        return make_composite();
      case sm2:
        return erase_composite();
      case sm3:
        return add_link();
      case sm4:
        return remove_link();
      case sm5:
        return make_base();
      case sm6:
        return erase_base();
      case sm7:
        return make_subtree();
      case sm8:
        return erase_subtree();
      default:
        throw std::logic_error("not a structural change of STMBench7");
    }
  }

 private:
  using Pointers = typename Database::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using BaseRef = Ref<oo7::BaseAssembly<Pointers>>;
  using ComplexRef = Ref<oo7::ComplexAssembly<Pointers>>;
  using Composites = typename oo7::Factory<Database>::Composites;

  /// SM1
  Outcome make_composite() {
    const auto ids = free_ids(indexes_.composite_by_id, 0, context_.limits.composites);
    if (ids.empty()) return kFailed;
    context_.factory.make_composite(txn_, indexes_, context_.one_of(ids));
    return {.composites = 1};
  }

  /// SM2
  Outcome erase_composite() {
    const auto* drawn = context_.draw_composite();
    if (drawn == nullptr) return kFailed;
    oo7::Factory<Database>::erase_composite(txn_, indexes_, copy_of(*drawn));
    return {.composites = -1};
  }

  /// SM3
  Outcome add_link() {
    const auto* base = context_.draw_base();
    const auto* composite = context_.draw_composite();
    if (base == nullptr || composite == nullptr) return kFailed;
    txn_.write(*base).components_private.push_back(*composite);
    txn_.write(*composite).used_in_private.push_back(*base);
    return {};
  }

  /// SM4
  Outcome remove_link() {
    const auto* base = context_.draw_base();
    if (base == nullptr || txn_.read(*base).components_private.empty()) return kFailed;
    auto& components = txn_.write(*base).components_private;
    const auto chosen = components.begin() + static_cast<std::ptrdiff_t>(context_.random.below(components.size()));
    auto& users = txn_.write(*chosen).used_in_private;
    users.erase(std::find(users.begin(), users.end(), *base));
    components.erase(chosen);
    return {};
  }

  /// SM5: a sibling of a drawn one.
  Outcome make_base() {
    const auto* drawn = context_.draw_base();
    const auto ids = free_ids(indexes_.base_by_id, 1, context_.limits.bases);
    if (drawn == nullptr || ids.empty() || !have_composites()) return kFailed;
    const ComplexRef super = txn_.read(*drawn).super;
    auto fresh = new_base(context_.one_of(ids), super);
    txn_.write(super).base_assemblies.push_back(fresh);
    return {.bases = 1};
  }

  /// SM6
  Outcome erase_base() {
    const auto* drawn = context_.draw_base();
    if (drawn == nullptr) return kFailed;
    const BaseRef base = copy_of(*drawn);
    const ComplexRef super = txn_.read(base).super;
    if (txn_.read(super).base_assemblies.size() == 1) return kFailed;
    std::erase(txn_.write(super).base_assemblies, base);
    oo7::Factory<Database>::erase_base(txn_, indexes_, base);
    return {.bases = -1};
  }

  /// SM7: below a drawn complex assembly, a sub-assembly and all levels below that.
  Outcome make_subtree() {
    const auto* drawn = context_.draw_complex();
    if (drawn == nullptr || !have_composites()) return kFailed;
    const ComplexRef super = copy_of(*drawn);
    const std::uint32_t levels = complex_levels_below(super);
    std::uint64_t complexes = 0, bases = 1;
    for (std::uint32_t level = 0; level < levels; ++level) {
      complexes += bases;
      bases *= context_.parameters.assembly_fan_out;
    }
    auto complex_ids = free_ids(indexes_.complex_by_id, 1, context_.limits.complexes);
    auto base_ids = free_ids(indexes_.base_by_id, 1, context_.limits.bases);
    if (complexes > complex_ids.size() || bases > base_ids.size()) return kFailed;
    make_below(super, levels, complex_ids, base_ids);
    return {.bases = static_cast<std::int64_t>(bases), .complexes = static_cast<std::int64_t>(complexes)};
  }

  /// SM8: a drawn complex assembly and all that is below it.
  Outcome erase_subtree() {
    const auto* drawn = context_.draw_complex();
    if (drawn == nullptr) return kFailed;
    const ComplexRef top = copy_of(*drawn);
    const ComplexRef super = txn_.read(top).super;
    if (!super || txn_.read(super).complex_assemblies.size() == 1) return kFailed;
    std::erase(txn_.write(super).complex_assemblies, top);
    Outcome outcome;
    erase_below(top, outcome);
    return outcome;
  }

  void make_below(const ComplexRef& super, std::uint32_t levels, std::vector<std::uint32_t>& complex_ids,
                  std::vector<std::uint32_t>& base_ids) {
    if (levels == 0) {
      auto base = new_base(take(base_ids), super);
      txn_.write(super).base_assemblies.push_back(base);
      return;
    }
    const ComplexRef sub = context_.factory.make_complex(txn_, indexes_, take(complex_ids), super);
    txn_.write(super).complex_assemblies.push_back(sub);
    for (std::uint32_t i = 0; i < context_.parameters.assembly_fan_out; ++i) {
      make_below(sub, levels - 1, complex_ids, base_ids);
    }
  }

  void erase_below(const ComplexRef& reference, Outcome& outcome) {
    const auto& assembly = txn_.read(reference);
    for (const auto& sub : assembly.complex_assemblies) erase_below(sub, outcome);
    for (const auto& sub : assembly.base_assemblies) {
      oo7::Factory<Database>::erase_base(txn_, indexes_, sub);
      --outcome.bases;
    }
    indexes_.complex_by_id.erase(assembly.id);
    txn_.erase(reference);
    --outcome.complexes;
  }

  BaseRef new_base(std::uint32_t id, const ComplexRef& super) {
    const std::uint32_t count = context_.parameters.composites_per_assembly;
    const Composites privates = some_composites(count), shareds = some_composites(count);
    return context_.factory.make_base(txn_, indexes_, id, super, privates, shareds);
  }

  bool have_composites() const {
    bool any = false;
    indexes_.composite_by_id.scan_all([&](std::uint32_t, const auto&) { return any = true, false; });
    return any;
  }

  /// REQUIRES: there is one.
  Composites some_composites(std::uint32_t count) {
    Composites composites;
    while (composites.size() < count) {
      if (const auto* drawn = context_.draw_composite()) composites.push_back(*drawn);
    }
    return composites;
  }

  std::uint32_t complex_levels_below(const ComplexRef& reference) {
    std::uint32_t levels = 0;
    for (const auto* here = &txn_.read(reference); !here->complex_assemblies.empty(); ++levels) {
      here = &txn_.read(here->complex_assemblies.front());
    }
    return levels;
  }

  /// The ids of a pool of `size`, from `first` on, that have no object.
  template <class Tree>
  static std::vector<std::uint32_t> free_ids(const Tree& tree, std::uint32_t first, std::uint32_t size) {
    std::vector<std::uint32_t> ids;
    std::uint32_t next = first;
    tree.scan_all([&](std::uint32_t id, const auto&) {
      for (; next < id; ++next) ids.push_back(next);
      next = id + 1;
      return true;
    });
    for (; next < first + size; ++next) ids.push_back(next);
    return ids;
  }

  static std::uint32_t take(std::vector<std::uint32_t>& ids) {
    const std::uint32_t id = ids.back();
    ids.pop_back();
    return id;
  }

  /// A reference that stays when the index that it was found in changes.
  template <class Reference>
  static Reference copy_of(const Reference& reference) {
    return reference;
  }

  Context<Database>& context_;
  typename Database::Transaction& txn_;
  oo7::OpenIndexes<Database>& indexes_;
};

}  // namespace cow::bench::stmbench7
