// The queries of OO7, Q1 to Q5, Q7 and Q8, and T7, which looks up an atomic part and goes from there to the root.
// STMBench7 uses the same pieces.
//
// Thread safety: Queries belong to one thread; any number of them may run on one database.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_set>

#include "bench/workloads/random.hpp"
#include "changes.hpp"
#include "operations.hpp"

namespace cow::bench::oo7 {

/// What several queries share: each works on one module within one transaction.
template <class Database>
class ModuleQueries {
 public:
  using Pointers = typename Database::Pointers;
  using Transaction = typename Database::Transaction;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  ModuleQueries(Transaction& txn, std::uint32_t number)
      : txn(txn), module(module_of<Database>(txn, number)), indexes(open_indexes<Database>(txn, module)) {}

  /// Calls `visit(reference)` for the atomic parts with build dates in [first, last].
  template <class Visit>
  void atomic_parts_built(std::int32_t first, std::int32_t last, Visit visit) const {
    indexes.atomic_by_date.scan({first, 0}, [&](const auto& key, const auto& reference) {
      if (key.first > last) return false;
      visit(reference);
      return true;
    });
  }

  /// Calls `complex(reference)` and `base(reference)` for each assembly that uses `composite` privately, directly or
  /// not, once each. Throws WrongAnswerError if a way up does not end at the design root.
  template <class Complex, class Base>
  void assemblies_above(const CompositePart<Pointers>& composite, Complex complex, Base base) const {
    std::unordered_set<std::uint32_t> bases, complexes;  // by id; mostly a handful
    for (const auto& user : composite.used_in_private) {
      const BaseAssembly<Pointers>& assembly = txn.read(user);
      if (!bases.insert(assembly.id).second) continue;
      const Ref<ComplexAssembly<Pointers>>* above = &assembly.super;
      base(user);
      while (complexes.insert(txn.read(*above).id).second) {
        const Ref<ComplexAssembly<Pointers>>& here = *above;
        above = &txn.read(here).super;
        complex(here);
        if (*above) continue;
        if (here != module.design_root) throw WrongAnswerError("OO7: a way up does not end at the design root");
        break;
      }
    }
  }

  /// Calls `visit(reference)` for the base assemblies that use a composite part younger than they are.
  template <class Visit>
  void base_assemblies_with_younger_parts(Visit visit) const {
    indexes.base_by_id.scan_all([&](std::uint32_t, const auto& reference) {
      if (uses_younger_part(txn.read(reference))) visit(reference);
      return true;
    });
  }

  bool uses_younger_part(const BaseAssembly<Pointers>& assembly) const {
    for (const auto& composite : assembly.components_private) {
      if (txn.read(composite).build_date > assembly.build_date) return true;
    }
    return false;
  }

  Transaction& txn;
  const Module<Pointers>& module;
  OpenIndexes<Database> indexes;
};

/// The newest 1% and 10% of build dates; and no change of a date by one crosses these bounds.
inline constexpr std::int32_t kFirstOfOnePercent = 1990, kFirstOfTenPercent = 1900, kLastDate = 1999;

/// Runs queries within a transaction that the caller owns. Its random numbers are part of its state: a transaction that
/// is tried again sets `random` back to what it was.
template <class Database>
class Queries {
 public:
  using Transaction = typename Database::Transaction;
  static constexpr std::uint32_t kParts = 10;   ///< of Q1
  static constexpr std::uint32_t kTitles = 10;  ///< of Q4

  Queries(const Parameters& parameters, std::uint64_t seed, std::uint32_t number = 1)
      : random(seed), parameters_(parameters), number_(number) {}

  /// Finds out what the queries must return, without their indexes: from the composite parts downwards.
  /// REQUIRES: before the first check; and until the last one nobody inserts or deletes parts.
  void learn_answers(Transaction& txn) {
    using enum Operation;
    for (Result& expected : expected_) expected = {};
    Module view(txn, number_);
    std::unordered_set<std::uint32_t> with_younger;
    view.indexes.composite_by_id.scan_all([&](std::uint32_t, const auto& reference) {
      const auto& composite = txn.read(reference);
      for (const auto& part_reference : composite.parts) {
        const std::int32_t date = txn.read(part_reference).build_date;
        answer(q2).found += date >= kFirstOfOnePercent;
        answer(q3).found += date >= kFirstOfTenPercent;
      }
      for (const auto& user : composite.used_in_private) {
        const auto& assembly = txn.read(user);
        if (composite.build_date > assembly.build_date) with_younger.insert(assembly.id);
      }
      return true;
    });
    answer(q1).found = kParts;
    answer(q5).found = with_younger.size();
    answer(q7).found = answer(q8).found = parameters_.atomic_parts();
  }

  /// Throws WrongAnswerError unless `result` has the counts that `operation` must have. T7 and Q4, whose counts depend
  /// on what they draw, check themselves.
  void check_answer(Operation operation, Result result) const {
    if (operation == Operation::t7 || operation == Operation::q4) return;
    check(expected_[static_cast<std::size_t>(operation)], result);
  }

  Result run(Transaction& txn, Operation operation) {
    using enum Operation;
    Module view(txn, number_);
    Result result;
    auto look_at = [&](const auto& reference) {
      const auto& part = txn.read(reference);
      ++result.found;
      result.checksum += part.x - part.y;
    };
    switch (operation) {
      case t7:
        walk_up(view, result);
        break;
      case q1:
        for (std::uint32_t i = 0; i < kParts; ++i) look_at(random_part(view));
        break;
      case q2:
        view.atomic_parts_built(kFirstOfOnePercent, kLastDate, look_at);
        break;
      case q3:
        view.atomic_parts_built(kFirstOfTenPercent, kLastDate, look_at);
        break;
      case q4:
        find_titles(view, result);
        break;
      case q5:
        view.base_assemblies_with_younger_parts([&](const auto&) { ++result.found; });
        break;
      case q7:
        view.indexes.atomic_by_id.scan_all([&](std::uint32_t, const auto& reference) {
          look_at(reference);
          return true;
        });
        break;
      case q8:
        join_documents(view, result);
        break;
      default:
        throw std::logic_error("not a query of OO7");
    }
    return result;
  }

  Random random;

 private:
  using Module = ModuleQueries<Database>;

  Result& answer(Operation operation) { return expected_[static_cast<std::size_t>(operation)]; }

  const auto& random_part(const Module& view) {
    const auto id = static_cast<std::uint32_t>(random.below(parameters_.atomic_parts()));
    const auto* found = view.indexes.atomic_by_id.find(id);
    if (found == nullptr) throw WrongAnswerError("OO7: no atomic part " + std::to_string(id));
    return *found;
  }

  void walk_up(const Module& view, Result& result) {
    const auto& part = view.txn.read(random_part(view));
    auto visit = [&](const auto& assembly) {
      ++result.assemblies;
      result.checksum += view.txn.read(assembly).build_date;
    };
    view.assemblies_above(view.txn.read(part.part_of), visit, visit);
  }

  void find_titles(const Module& view, Result& result) {
    for (std::uint32_t i = 0; i < kTitles; ++i) {
      const auto id = static_cast<std::uint32_t>(random.below(parameters_.composites));
      const auto* found = view.indexes.document_by_title.find(document_title(id));
      if (found == nullptr) throw WrongAnswerError("OO7: no document '" + document_title(id) + "'");
      ++result.documents;
      const auto& composite = view.txn.read(view.txn.read(*found).part);
      check_count("id of a document's composite part", id, composite.id);
      for (const auto& user : composite.used_in_private) {
        result.checksum += view.txn.read(user).build_date;
        ++result.found;
      }
    }
  }

  void join_documents(const Module& view, Result& result) {
    view.indexes.atomic_by_id.scan_all([&](std::uint32_t, const auto& reference) {
      const auto* document = view.indexes.document_by_id.find(view.txn.read(reference).doc_id);
      if (document != nullptr) {
        ++result.found;
        result.checksum += view.txn.read(*document).id;
      }
      return true;
    });
  }

  const Parameters parameters_;
  const std::uint32_t number_;
  std::array<Result, kOperations> expected_;
};

}  // namespace cow::bench::oo7
