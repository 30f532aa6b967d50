// Whether an OO7 module is whole: its objects counted, every relation of the model followed both ways, every index
// compared with the objects.
//
// Thread safety: reads within one transaction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "bench/baselines/session.hpp"
#include "bench/workloads/workload_error.hpp"
#include "factory.hpp"

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
  friend bool operator==(const ObjectCounts&, const ObjectCounts&) = default;
};

/// Walks a module from its root and from its indexes. Throws WrongAnswerError where two ways to the same fact differ.
template <class Database>
class Verifier {
 public:
  using Transaction = typename Database::Transaction;

  Verifier(Transaction& txn, const Parameters& parameters, std::uint32_t number)
      : txn_(txn),
        parameters_(parameters),
        module_(module_of<Database>(txn, number)),
        indexes_(open_indexes<Database>(txn, module_)) {}

  ObjectCounts run() {
    visit_complex(module_.design_root, {});
    check_count("complex assemblies in the index", counts_.complex_assemblies, indexes_.complex_by_id.size());
    check_count("base assemblies in the index", counts_.base_assemblies, indexes_.base_by_id.size());
    std::uint64_t private_uses = 0, shared_uses = 0;
    indexes_.composite_by_id.scan_all([&](std::uint32_t id, const auto& reference) {
      const CompositePart<Pointers>& composite = txn_.read(reference);
      check_count("id of a composite part", id, composite.id);
      private_uses += composite.used_in_private.size();
      shared_uses += composite.used_in_shared.size();
      visit_composite(composite, reference);
      return true;
    });
    // Each use was found from below when its assembly was visited; equal sums say that there are no others.
    check_count("private uses", private_uses_, private_uses);
    check_count("shared uses", shared_uses_, shared_uses);
    check_count("documents in the index by id", counts_.documents, indexes_.document_by_id.size());
    check_count("documents in the index by title", counts_.documents, indexes_.document_by_title.size());
    check_count("atomic parts in the index by id", counts_.atomic_parts, indexes_.atomic_by_id.size());
    check_count("atomic parts in the index by date", counts_.atomic_parts, indexes_.atomic_by_date.size());
    return counts_;
  }

 private:
  using Pointers = typename Database::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  void visit_complex(const Ref<ComplexAssembly<Pointers>>& reference, const Ref<ComplexAssembly<Pointers>>& super) {
    const ComplexAssembly<Pointers>& assembly = txn_.read(reference);
    ++counts_.complex_assemblies;
    require(assembly.super == super, "super assembly of complex assembly", assembly.id);
    require(leads_to(indexes_.complex_by_id, assembly.id, reference), "index entry of complex assembly", assembly.id);
    for (const auto& sub : assembly.complex_assemblies) visit_complex(sub, reference);
    for (const auto& sub : assembly.base_assemblies) visit_base(sub, reference);
  }

  void visit_base(const Ref<BaseAssembly<Pointers>>& reference, const Ref<ComplexAssembly<Pointers>>& super) {
    const BaseAssembly<Pointers>& assembly = txn_.read(reference);
    ++counts_.base_assemblies;
    require(assembly.super == super, "super assembly of base assembly", assembly.id);
    require(leads_to(indexes_.base_by_id, assembly.id, reference), "index entry of base assembly", assembly.id);
    auto uses = [&](const auto& list, const auto& composite) {
      return std::count(list.begin(), list.end(), composite);
    };
    for (const auto& composite : assembly.components_private) {
      require(uses(txn_.read(composite).used_in_private, reference) == uses(assembly.components_private, composite),
              "private components of base assembly", assembly.id);
    }
    for (const auto& composite : assembly.components_shared) {
      require(uses(txn_.read(composite).used_in_shared, reference) == uses(assembly.components_shared, composite),
              "shared components of base assembly", assembly.id);
    }
    private_uses_ += assembly.components_private.size();
    shared_uses_ += assembly.components_shared.size();
  }

  void visit_composite(const CompositePart<Pointers>& composite, const Ref<CompositePart<Pointers>>& reference) {
    ++counts_.composites;
    const Document<Pointers>& document = txn_.read(composite.documentation);
    ++counts_.documents;
    require(document.part == reference && document.id == composite.id, "document of composite part", composite.id);
    require(leads_to(indexes_.document_by_id, document.id, composite.documentation) &&
                leads_to(indexes_.document_by_title, document.title, composite.documentation),
            "index entries of document", document.id);
    require(
        composite.parts.size() == parameters_.atomic_per_composite && composite.parts.front() == composite.root_part,
        "parts of composite part", composite.id);
    for (const auto& part_reference : composite.parts) visit_part(part_reference, reference);
  }

  void visit_part(const Ref<AtomicPart<Pointers>>& reference, const Ref<CompositePart<Pointers>>& composite) {
    const AtomicPart<Pointers>& part = txn_.read(reference);
    ++counts_.atomic_parts;
    require(part.part_of == composite, "composite part of atomic part", part.id);
    require(leads_to(indexes_.atomic_by_id, part.id, reference) &&
                leads_to(indexes_.atomic_by_date, std::pair{part.build_date, part.id}, reference),
            "index entries of atomic part", part.id);
    require(part.to.size() == parameters_.connections_per_atomic, "connections of atomic part", part.id);
    for (const auto& connection_reference : part.to) {
      const Connection<Pointers>& connection = txn_.read(connection_reference);
      ++counts_.connections;
      const auto& incoming = txn_.read(connection.to).from;
      require(connection.from == reference &&
                  std::find(incoming.begin(), incoming.end(), connection_reference) != incoming.end(),
              "connections of atomic part", part.id);
    }
  }

  template <class Tree, class Key, class Reference>
  static bool leads_to(const Tree& tree, const Key& key, const Reference& reference) {
    const auto* found = tree.find(key);
    return found != nullptr && *found == reference;
  }

  static void require(bool holds, const char* what, std::uint32_t id) {
    if (!holds) throw WrongAnswerError(std::string("OO7: wrong ") + what + " " + std::to_string(id));
  }

  Transaction& txn_;
  const Parameters parameters_;
  const Module<Pointers>& module_;
  OpenIndexes<Database> indexes_;
  ObjectCounts counts_;
  std::uint64_t private_uses_ = 0, shared_uses_ = 0;
};

/// Throws WrongAnswerError unless the module is whole and has exactly the objects that its parameters ask for.
template <ObjectDatabase Database>
ObjectCounts verify(Session<Database>& session, const Parameters& parameters, std::uint32_t number = 1) {
  return session.transact([&](typename Database::Transaction& txn) {
    const ObjectCounts counts = Verifier<Database>(txn, parameters, number).run();
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

}  // namespace cow::bench::oo7
