// The traversals of OO7: T1, T2a/b/c, T3a/b/c, T4, T5, T6, T8, T9.
//
// Thread safety: a Traverser belongs to one thread; any number of them may run on one database.
//
// The visited set of a composite part's use is an array of generation marks indexed by the number of the atomic part
// within its composite: no hashing and no clearing, so that it costs little beside the references that the benchmark
// is about, and it is the same code for every database.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/until_committed.hpp"
#include "changes.hpp"
#include "operations.hpp"

namespace cow::bench::oo7 {

/// Runs operations within a transaction that the caller owns.
template <class Database>
class Traverser {
 public:
  using Transaction = typename Database::Transaction;

  /// Of module number `number`.
  explicit Traverser(const Parameters& parameters, std::uint32_t number = 1)
      : number_(number), marks_(parameters.atomic_per_composite) {
    for (std::size_t i = 0; i < kOperations; ++i) {
      const auto operation = static_cast<Operation>(i);
      if (is_traversal(operation))
        expected_[i] = expected_result(operation, parameters);  // now, so checks cost nothing
    }
    std::string text = document_text(0, parameters.document_bytes);
    characters_of_documents_[0] = count_of('I', text);
    toggle_phrases(text);
    characters_of_documents_[1] = count_of('I', text);
  }

  /// The counts that a traversal must have.
  const Result& expected(Operation operation) const { return expected_[static_cast<std::size_t>(operation)]; }

  Result run(Transaction& txn, Operation operation) {
    using enum Operation;
    switch (operation) {
      case t1:
        return traverse<t1>(txn);
      case t2a:
        return traverse<t2a>(txn);
      case t2b:
        return traverse<t2b>(txn);
      case t2c:
        return traverse<t2c>(txn);
      case t3a:
        return traverse<t3a>(txn);
      case t3b:
        return traverse<t3b>(txn);
      case t3c:
        return traverse<t3c>(txn);
      case t4:
        return traverse<t4>(txn);
      case t5:
        return traverse<t5>(txn);
      case t6:
        return traverse<t6>(txn);
      case t8:
      case t9:
        return scan_manual(txn, operation);
      default:
        throw std::logic_error("not a traversal of OO7");
    }
  }

  /// As `run`, for those that are traversals of the assemblies. Programs that only read instantiate no more than they use.
  template <Operation operation>
  Result traverse(Transaction& txn) {
    result_ = {};
    const auto& module = module_of<Database>(txn, number_);
    if constexpr (changes_dates(operation)) indexes_.emplace(open_indexes<Database>(txn, module));
    visit_complex<operation>(txn, txn.read(module.design_root));
    return result_;
  }

  /// What T1 does below one base assembly, or with `operation` what T2a, ... do there.
  template <Operation operation>
  Result traverse_base(Transaction& txn, const BaseAssembly<typename Database::Pointers>& assembly) {
    result_ = {};
    visit_base<operation>(txn, assembly);
    return result_;
  }

  /// What they do with one composite part.
  template <Operation operation>
  Result traverse_composite(Transaction& txn, const CompositePart<typename Database::Pointers>& composite) {
    result_ = {};
    visit_composite<operation>(txn, composite);
    return result_;
  }

 private:
  using Pointers = typename Database::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  static constexpr bool changes_dates(Operation operation) {
    return operation >= Operation::t3a && operation <= Operation::t3c;
  }

  template <Operation operation>
  void visit_complex(Transaction& txn, const ComplexAssembly<Pointers>& assembly) {
    for (const auto& sub : assembly.complex_assemblies) visit_complex<operation>(txn, txn.read(sub));
    for (const auto& sub : assembly.base_assemblies) visit_base<operation>(txn, txn.read(sub));
  }

  template <Operation operation>
  void visit_base(Transaction& txn, const BaseAssembly<Pointers>& assembly) {
    ++result_.base_assemblies;
    for (const auto& use : assembly.components_private) visit_composite<operation>(txn, txn.read(use));
  }

  template <Operation operation>
  void visit_composite(Transaction& txn, const CompositePart<Pointers>& composite) {
    using enum Operation;
    if constexpr (operation == t4 || operation == t5) {
      visit_document<operation>(txn, composite.documentation);
    } else if constexpr (operation == t6) {
      look_at(txn.read(composite.root_part));
    } else {
      const AtomicPart<Pointers>& root = txn.read(composite.root_part);
      ++generation_;  // forgets all marks
      first_id_ = root.id;
      mark(root);
      visit_part<operation>(txn, composite.root_part, root);
      if constexpr (operation == t2a) swap(txn, composite.root_part);
      if constexpr (operation == t3a) change_date(txn, composite.root_part);
    }
  }

  template <Operation operation>
  void visit_part(Transaction& txn, const Ref<AtomicPart<Pointers>>& reference, const AtomicPart<Pointers>& part) {
    using enum Operation;
    look_at(part);
    if constexpr (operation == t2b) swap(txn, reference);
    if constexpr (operation == t3b) change_date(txn, reference);
    if constexpr (operation == t2c || operation == t3c) {
      for (int i = 0; i < 4; ++i) operation == t2c ? swap(txn, reference) : change_date(txn, reference);
    }
    for (const auto& outgoing : part.to) {
      const Connection<Pointers>& connection = txn.read(outgoing);
      const AtomicPart<Pointers>& next = txn.read(connection.to);
      if (mark(next)) visit_part<operation>(txn, connection.to, next);
    }
  }

  template <Operation operation>
  void visit_document(Transaction& txn, const Ref<Document<Pointers>>& reference) {
    ++result_.documents;
    if constexpr (operation == Operation::t5) {
      result_.replacements += toggle_phrases(txn.write(reference).text);
    } else {
      const std::uint64_t found = count_of('I', txn.read(reference).text);
      if (found != characters_of_documents_[1]) check_count("'I' in a document", characters_of_documents_[0], found);
      result_.checksum += static_cast<std::int64_t>(found);
    }
  }

  /// The paper's small piece of work per part: count it and look at its position.
  void look_at(const AtomicPart<Pointers>& part) {
    ++result_.atomic_parts;
    result_.checksum += part.x - part.y;
  }

  void swap(Transaction& txn, const Ref<AtomicPart<Pointers>>& reference) {
    swap_position(txn, reference);
    ++result_.swaps;
  }

  void change_date(Transaction& txn, const Ref<AtomicPart<Pointers>>& reference) {
    toggle_indexed_date<Database>(txn, *indexes_, reference);
    ++result_.date_changes;
  }

  /// Whether `part` was not yet marked.
  bool mark(const AtomicPart<Pointers>& part) {
    return std::exchange(marks_[part.id - first_id_], generation_) != generation_;
  }

  Result scan_manual(Transaction& txn, Operation operation) {
    const std::string& text = txn.read(module_of<Database>(txn, number_).manual).text;
    Result result;
    result.characters = operation == Operation::t9 ? text.front() == text.back() : count_of('I', text);
    return result;
  }

  const std::uint32_t number_;
  std::array<Result, kOperations> expected_;
  std::array<std::uint64_t, 2> characters_of_documents_;  ///< 'I's that one has, as made and after T5
  std::vector<std::uint64_t> marks_;                      ///< by number within the composite: the last generation there
  std::uint64_t generation_ = 0;
  std::uint32_t first_id_ = 0;  ///< id of the composite's first part
  std::optional<OpenIndexes<Database>> indexes_;
  Result result_;
};

/// Runs a traversal as one transaction of `session`, and checks its counts. `attempts`, if given, counts executions.
template <ObjectDatabase Database>
Result run(Session<Database>& session, Traverser<Database>& traverser, Operation operation,
           std::uint64_t* attempts = nullptr) {
  std::uint64_t counted = 0;
  const Result result = until_committed(session, attempts != nullptr ? *attempts : counted,
                                        [&](auto& txn) { return traverser.run(txn, operation); });
  check(traverser.expected(operation), result);
  return result;
}

}  // namespace cow::bench::oo7
