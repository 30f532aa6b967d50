// The indexes of an OO7 module: atomic parts by id and by build date, documents by title and id, composite parts and
// assemblies by id. B+-trees of objects, which are not counted among the design objects.
//
// Thread safety: plain values; indexes are used within a transaction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "bench/workloads/btree.hpp"
#include "model.hpp"

namespace cow::bench::oo7 {

namespace detail {

/// The index of `Part<Pointers>` objects by a key.
template <class KeyType, template <class> class Part>
struct IndexOf {
  using Key = KeyType;
  template <class Pointers>
  using Value = typename Pointers::template Ref<Part<Pointers>>;
};

}  // namespace detail

struct AtomicById : detail::IndexOf<std::uint32_t, AtomicPart> {
  static constexpr std::string_view kNodeName = "oo7.AtomicById";
};
/// Dates are not unique: the key is (build date, id).
struct AtomicByDate : detail::IndexOf<std::pair<std::int32_t, std::uint32_t>, AtomicPart> {
  static constexpr std::string_view kNodeName = "oo7.AtomicByDate";
};
struct DocumentByTitle : detail::IndexOf<std::string, Document> {
  static constexpr std::string_view kNodeName = "oo7.DocumentByTitle";
};
struct DocumentById : detail::IndexOf<std::uint32_t, Document> {
  static constexpr std::string_view kNodeName = "oo7.DocumentById";
};
struct CompositeById : detail::IndexOf<std::uint32_t, CompositePart> {
  static constexpr std::string_view kNodeName = "oo7.CompositeById";
};
struct BaseById : detail::IndexOf<std::uint32_t, BaseAssembly> {
  static constexpr std::string_view kNodeName = "oo7.BaseById";
};
struct ComplexById : detail::IndexOf<std::uint32_t, ComplexAssembly> {
  static constexpr std::string_view kNodeName = "oo7.ComplexById";
};

/// The roots of all of them. Never changes after the module was made.
template <class Pointers>
struct Indexes {
  template <class Definition>
  using Root = typename Pointers::template Ref<btree::Node<Pointers, Definition>>;
  static constexpr std::string_view cow_type_name = "oo7.Indexes";

  Root<AtomicById> atomic_by_id;
  Root<AtomicByDate> atomic_by_date;
  Root<DocumentByTitle> document_by_title;
  Root<DocumentById> document_by_id;
  Root<CompositeById> composite_by_id;
  Root<BaseById> base_by_id;
  Root<ComplexById> complex_by_id;
  MSGPACK_DEFINE(atomic_by_id, atomic_by_date, document_by_title, document_by_id, composite_by_id, base_by_id,
                 complex_by_id);
};

/// The indexes of a module, opened in a transaction. REQUIRES: the transaction is active.
template <class Database>
struct OpenIndexes {
  using Transaction = typename Database::Transaction;
  template <class Definition>
  using Tree = btree::Tree<Database, Definition>;

  OpenIndexes(Transaction& txn, const Indexes<typename Database::Pointers>& indexes)
      : atomic_by_id(txn, indexes.atomic_by_id),
        atomic_by_date(txn, indexes.atomic_by_date),
        document_by_title(txn, indexes.document_by_title),
        document_by_id(txn, indexes.document_by_id),
        composite_by_id(txn, indexes.composite_by_id),
        base_by_id(txn, indexes.base_by_id),
        complex_by_id(txn, indexes.complex_by_id) {}

  Tree<AtomicById> atomic_by_id;
  Tree<AtomicByDate> atomic_by_date;
  Tree<DocumentByTitle> document_by_title;
  Tree<DocumentById> document_by_id;
  Tree<CompositeById> composite_by_id;
  Tree<BaseById> base_by_id;
  Tree<ComplexById> complex_by_id;
};

/// Module number `number` of the database as `txn` sees it.
template <class Database>
const Module<typename Database::Pointers>& module_of(typename Database::Transaction& txn, std::uint32_t number) {
  return txn.read(txn.root().template get<Module<typename Database::Pointers>>(module_name(number)));
}

/// The indexes of `module`, opened.
template <class Database>
OpenIndexes<Database> open_indexes(typename Database::Transaction& txn,
                                   const Module<typename Database::Pointers>& module) {
  return {txn, txn.read(module.indexes)};
}

/// Seven empty indexes.
template <class Database>
Indexes<typename Database::Pointers> create_indexes(typename Database::Transaction& txn) {
  return {.atomic_by_id = btree::Tree<Database, AtomicById>::create(txn),
          .atomic_by_date = btree::Tree<Database, AtomicByDate>::create(txn),
          .document_by_title = btree::Tree<Database, DocumentByTitle>::create(txn),
          .document_by_id = btree::Tree<Database, DocumentById>::create(txn),
          .composite_by_id = btree::Tree<Database, CompositeById>::create(txn),
          .base_by_id = btree::Tree<Database, BaseById>::create(txn),
          .complex_by_id = btree::Tree<Database, ComplexById>::create(txn)};
}

}  // namespace cow::bench::oo7
