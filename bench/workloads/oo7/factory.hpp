// Makes and removes the design objects of an OO7 module, their index entries included: what the generator does many
// times, insertions, deletions and structural changes do once in a while.
//
// Thread safety: a Factory belongs to one thread; it works within the transaction that it is given.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bench/workloads/random.hpp"
#include "indexes.hpp"

namespace cow::bench::oo7 {

/// Its random numbers are part of its state: a transaction that is tried again sets `random` back to what it was.
template <class Database>
class Factory {
 public:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;
  using Composites = std::vector<Ref<CompositePart<Pointers>>>;

  Factory(const Parameters& parameters, std::uint64_t seed) : random(seed), parameters_(parameters) {}

  /// A composite part with its document and its graph of atomic parts, used by nobody yet.
  Ref<CompositePart<Pointers>> make_composite(Transaction& txn, OpenIndexes<Database>& indexes, std::uint32_t id) {
    // Dates: one composite in ten is younger than every assembly, the others are older (section 2 of the paper).
    CompositePart<Pointers> fresh;
    fresh.id = id;
    fresh.build_date = id % 10 == 0 ? draw(2000, 2999) : draw(0, 999);
    fresh.type = type_name();
    auto reference = txn.create(std::move(fresh));  // its parts refer to it, so it comes first
    auto document = txn.create(Document<Pointers>{.id = id,
                                                  .title = document_title(id),
                                                  .text = document_text(id, parameters_.document_bytes),
                                                  .part = reference});
    auto parts = make_parts(txn, indexes, id, reference);
    CompositePart<Pointers>& composite = txn.write(reference);
    composite.root_part = parts.front();
    composite.documentation = document;
    composite.parts = std::move(parts);
    indexes.composite_by_id.insert(id, reference);
    indexes.document_by_id.insert(id, document);
    indexes.document_by_title.insert(document_title(id), document);
    return reference;
  }

  /// A base assembly that uses `privates` and `shareds`. Its super assembly does not know it yet.
  Ref<BaseAssembly<Pointers>> make_base(Transaction& txn, OpenIndexes<Database>& indexes, std::uint32_t id,
                                        const Ref<ComplexAssembly<Pointers>>& super, const Composites& privates,
                                        const Composites& shareds) {
    BaseAssembly<Pointers> assembly;
    assembly.id = id;
    assembly.build_date = draw(1000, 1999);
    assembly.type = type_name();
    assembly.super = super;
    assembly.components_private = privates;
    assembly.components_shared = shareds;
    auto reference = txn.create(std::move(assembly));
    for (const auto& composite : privates) txn.write(composite).used_in_private.push_back(reference);
    for (const auto& composite : shareds) txn.write(composite).used_in_shared.push_back(reference);
    indexes.base_by_id.insert(id, reference);
    return reference;
  }

  /// A complex assembly without sub-assemblies. Its super assembly does not know it yet.
  Ref<ComplexAssembly<Pointers>> make_complex(Transaction& txn, OpenIndexes<Database>& indexes, std::uint32_t id,
                                              const Ref<ComplexAssembly<Pointers>>& super) {
    ComplexAssembly<Pointers> assembly;
    assembly.id = id;
    assembly.build_date = draw(1000, 1999);
    assembly.type = type_name();
    assembly.super = super;
    auto reference = txn.create(std::move(assembly));
    indexes.complex_by_id.insert(id, reference);
    return reference;
  }

  /// Removes a composite part with its document and its atomic parts, from the assemblies that use it as well.
  static void erase_composite(Transaction& txn, OpenIndexes<Database>& indexes,
                              const Ref<CompositePart<Pointers>>& reference) {
    const CompositePart<Pointers>& composite = txn.read(reference);
    for (const auto& base : composite.used_in_private) std::erase(txn.write(base).components_private, reference);
    for (const auto& base : composite.used_in_shared) std::erase(txn.write(base).components_shared, reference);
    for (const auto& part_reference : composite.parts) {
      const AtomicPart<Pointers>& part = txn.read(part_reference);
      for (const auto& connection : part.to) txn.erase(connection);
      indexes.atomic_by_id.erase(part.id);
      indexes.atomic_by_date.erase({part.build_date, part.id});
      txn.erase(part_reference);
    }
    indexes.composite_by_id.erase(composite.id);
    indexes.document_by_id.erase(composite.id);
    indexes.document_by_title.erase(document_title(composite.id));
    txn.erase(composite.documentation);
    txn.erase(reference);
  }

  /// Removes a base assembly from the composite parts that it uses, and then itself; not from its super assembly.
  static void erase_base(Transaction& txn, OpenIndexes<Database>& indexes,
                         const Ref<BaseAssembly<Pointers>>& reference) {
    const BaseAssembly<Pointers>& assembly = txn.read(reference);
    for (const auto& composite : assembly.components_private) {
      std::erase(txn.write(composite).used_in_private, reference);
    }
    for (const auto& composite : assembly.components_shared) {
      std::erase(txn.write(composite).used_in_shared, reference);
    }
    indexes.base_by_id.erase(assembly.id);
    txn.erase(reference);
  }

  std::int32_t draw(std::int32_t first, std::int32_t last) {
    return static_cast<std::int32_t>(random.between(first, last));
  }
  TypeName type_name() {  // NumTypes = 10
    TypeName name{'t', 'y', 'p', 'e', '0', '0'};
    name[6] = static_cast<char>('0' + random.below(10));
    return name;
  }

  Random random;

 private:
  std::vector<Ref<AtomicPart<Pointers>>> make_parts(Transaction& txn, OpenIndexes<Database>& indexes,
                                                    std::uint32_t composite_id,
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
      const std::pair date{part.build_date, part.id};
      parts.push_back(txn.create(std::move(part)));
      indexes.atomic_by_id.insert(date.second, parts.back());
      indexes.atomic_by_date.insert(date, parts.back());
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      for (std::uint32_t c = 0; c < parameters_.connections_per_atomic; ++c) {
        // Connection 0 makes a ring, so that every part is reachable from the root part.
        const std::size_t other = c == 0 ? (i + 1) % count : random.below(count);
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

  const Parameters parameters_;
};

}  // namespace cow::bench::oo7
