// Builds an OO7 module in a database, the same one for the same parameters and seed.
//
// Thread safety: `generate` works in one session and expects no other writer of the module.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "oo7_model.hpp"
#include "random.hpp"
#include "workload_error.hpp"

namespace cow::bench::oo7 {

/// Objects of a class that a module holds.
struct ObjectCounts {
  std::uint64_t complex_assemblies = 0;
  std::uint64_t base_assemblies = 0;
  std::uint64_t composites = 0;
  std::uint64_t documents = 0;
  std::uint64_t atomic_parts = 0;
  std::uint64_t connections = 0;

  std::uint64_t total() const {  // and the module and its manual
    return 2 + complex_assemblies + base_assemblies + composites + documents + atomic_parts + connections;
  }
};

/// Called with (objects done, objects in all).
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

/// Generates one module. Transactions are bounded: about `kBatchObjects` objects each, one composite part at least.
template <class Database>
class Generator {
 public:
  Generator(Database& database, const Parameters& parameters)
      : session_(database.open_session()), parameters_(parameters), random_(parameters.seed) {}

  /// Names the module `kModuleName` when all of it exists, so an interrupted generation leaves no half module behind.
  void run(const Progress& progress = {}) {
    plan_uses();
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
        uses.private_components.push_back(static_cast<std::uint32_t>(random_.below(parameters_.composites)));
        uses.shared_components.push_back(static_cast<std::uint32_t>(random_.below(parameters_.composites)));
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
    const Random before = random_;
    session_.transact([&](Transaction& txn) {
      random_ = before;  // a retry makes the same parts again
      composites_.resize(first);
      for (std::uint32_t id = first; id < last; ++id) composites_.push_back(make_composite(txn, id));
    });
  }

  Ref<CompositePart<Pointers>> make_composite(Transaction& txn, std::uint32_t id) {
    // Dates: one composite in ten is younger than every assembly, the others are older (section 2 of the paper).
    CompositePart<Pointers> fresh;
    fresh.id = id;
    fresh.build_date = id % 10 == 0 ? draw(2000, 2999) : draw(0, 999);
    fresh.type = type_name();
    auto reference = txn.create(std::move(fresh));  // its parts refer to it, so it comes first
    auto document = txn.create(make_document(id, reference));
    auto parts = make_parts(txn, id, reference);
    CompositePart<Pointers>& composite = txn.write(reference);
    composite.root_part = parts.front();
    composite.documentation = document;
    composite.parts = std::move(parts);
    return reference;
  }

  Document<Pointers> make_document(std::uint32_t id, const Ref<CompositePart<Pointers>>& composite) {
    char title[40];
    std::snprintf(title, sizeof title, "Composite Part %08u", id);
    char phrase[80];
    std::snprintf(phrase, sizeof phrase, "I am the documentation for composite part #%08u.\n", id);
    return {.id = id, .title = title, .text = repeated_text(phrase, parameters_.document_bytes), .part = composite};
  }

  std::vector<Ref<AtomicPart<Pointers>>> make_parts(Transaction& txn, std::uint32_t composite_id,
                                                    const Ref<CompositePart<Pointers>>& composite) {
    const std::uint32_t count = parameters_.atomic_per_composite;
    std::vector<Ref<AtomicPart<Pointers>>> parts;
    for (std::uint32_t i = 0; i < count; ++i) {
      AtomicPart<Pointers> part;
      part.id = composite_id * count + i;
      part.x = draw(0, 99'999);
      part.y = draw(0, 99'999);
      part.build_date = draw(1000, 1999);
      part.doc_id = composite_id;
      part.type = type_name();
      part.part_of = composite;
      parts.push_back(txn.create(std::move(part)));
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      for (std::uint32_t c = 0; c < parameters_.connections_per_atomic; ++c) {
        // Connection 0 makes a ring, so that every part is reachable from the root part.
        const std::size_t other = c == 0 ? (i + 1) % count : random_.below(count);
        Connection<Pointers> connection;
        connection.to = parts[other];
        connection.from = parts[i];
        connection.length = draw(1, 1000);
        connection.type = type_name();
        auto reference = txn.create(std::move(connection));
        txn.write(parts[i]).to.push_back(reference);
        txn.write(parts[other]).from.push_back(reference);
      }
    }
    return parts;
  }

  /// The assemblies, the manual and the module: about 1,100 objects, one transaction.
  void make_module() {
    const Random before = random_;
    session_.transact([&](Transaction& txn) {
      random_ = before;
      next_base_ = 0;
      Module<Pointers> module;
      module.id = 1;
      module.build_date = draw(1000, 1999);
      module.type = type_name();
      module.manual = txn.create(Manual<Pointers>{1, "Manual for module 1", manual_text(parameters_)});
      module.design_root = make_complex(txn, module, 1, {});
      txn.root().template emplace<CompositeIndex<Pointers>>(kCompositeIndexName, CompositeIndex<Pointers>{composites_});
      txn.root().template emplace<Module<Pointers>>(kModuleName, std::move(module));
    });
  }

  Ref<ComplexAssembly<Pointers>> make_complex(Transaction& txn, Module<Pointers>& module, std::uint32_t level,
                                              const Ref<ComplexAssembly<Pointers>>& super) {
    ComplexAssembly<Pointers> assembly;
    assembly.id = static_cast<std::uint32_t>(module.complex_assemblies.size() + 1);
    assembly.build_date = draw(1000, 1999);
    assembly.type = type_name();
    assembly.super = super;
    auto reference = txn.create(std::move(assembly));
    module.complex_assemblies.push_back(reference);
    for (std::uint32_t i = 0; i < parameters_.assembly_fan_out; ++i) {
      if (level + 1 < parameters_.assembly_levels) {
        auto sub = make_complex(txn, module, level + 1, reference);
        txn.write(reference).complex_assemblies.push_back(sub);
      } else {
        auto sub = make_base(txn, reference);
        module.base_assemblies.push_back(sub);
        txn.write(reference).base_assemblies.push_back(sub);
      }
    }
    return reference;
  }

  Ref<BaseAssembly<Pointers>> make_base(Transaction& txn, const Ref<ComplexAssembly<Pointers>>& super) {
    const Uses& uses = uses_[next_base_];
    BaseAssembly<Pointers> assembly;
    assembly.id = static_cast<std::uint32_t>(++next_base_);
    assembly.build_date = draw(1000, 1999);
    assembly.type = type_name();
    assembly.super = super;
    for (std::uint32_t id : uses.private_components) assembly.components_private.push_back(composites_[id]);
    for (std::uint32_t id : uses.shared_components) assembly.components_shared.push_back(composites_[id]);
    auto reference = txn.create(std::move(assembly));
    for (std::uint32_t id : uses.private_components) txn.write(composites_[id]).used_in_private.push_back(reference);
    for (std::uint32_t id : uses.shared_components) txn.write(composites_[id]).used_in_shared.push_back(reference);
    return reference;
  }

  std::int32_t draw(std::int32_t first, std::int32_t last) {
    return static_cast<std::int32_t>(random_.between(first, last));
  }
  TypeName type_name() {  // NumTypes = 10
    TypeName name{'t', 'y', 'p', 'e', '0', '0'};
    name[6] = static_cast<char>('0' + random_.below(10));
    return name;
  }

  typename Database::Session session_;
  const Parameters parameters_;
  Random random_;
  std::vector<Uses> uses_;  ///< by base assembly, in order of creation
  std::size_t next_base_ = 0;
  std::vector<Ref<CompositePart<Pointers>>> composites_;  ///< by id
};

/// Walks everything that a module reaches and counts it.
template <class Transaction, class Pointers>
ObjectCounts count_objects(Transaction& txn, const Module<Pointers>& module) {
  ObjectCounts counts;
  counts.complex_assemblies = module.complex_assemblies.size();
  counts.base_assemblies = module.base_assemblies.size();
  const auto index = txn.root().template get<CompositeIndex<Pointers>>(kCompositeIndexName);
  for (const auto& reference : txn.read(index).composites) {
    const CompositePart<Pointers>& composite = txn.read(reference);
    ++counts.composites;
    counts.documents += txn.read(txn.read(composite.documentation).part).id == composite.id;
    for (const auto& part_reference : composite.parts) {
      const AtomicPart<Pointers>& part = txn.read(part_reference);
      ++counts.atomic_parts;
      for (const auto& connection : part.to) counts.connections += txn.read(txn.read(connection).from).id == part.id;
    }
  }
  return counts;
}

/// Throws WrongAnswerError unless the module has exactly the objects that its parameters ask for.
template <class Database>
ObjectCounts verify(typename Database::Session& session, const Parameters& parameters) {
  using Pointers = typename Database::Pointers;
  return session.transact([&](typename Database::Transaction& txn) {
    const auto module = txn.root().template get<Module<Pointers>>(kModuleName);
    const ObjectCounts counts = count_objects(txn, txn.read(module));
    check_count("complex assemblies", parameters.complex_assemblies(), counts.complex_assemblies);
    check_count("base assemblies", parameters.base_assemblies(), counts.base_assemblies);
    check_count("composite parts", parameters.composites, counts.composites);
    check_count("documents", parameters.composites, counts.documents);
    check_count("atomic parts", parameters.atomic_parts(), counts.atomic_parts);
    check_count("connections", parameters.connections(), counts.connections);
    check_count("OO7 objects", parameters.objects(), counts.total());
    return counts;
  });
}

/// Generates a module and verifies it.
template <class Database>
ObjectCounts generate(Database& database, const Parameters& parameters, const Progress& progress = {}) {
  Generator<Database>(database, parameters).run(progress);
  auto session = database.open_session();
  return verify<Database>(session, parameters);
}

}  // namespace cow::bench::oo7
