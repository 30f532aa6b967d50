// The traversals of OO7: T1, T2a/b/c, T6, T8, T9.
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
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oo7_model.hpp"
#include "workload_error.hpp"

namespace cow::bench::oo7 {

enum class Operation {
  kT1,   ///< depth-first search over the atomic parts of every private use of a composite part
  kT2a,  ///< as T1, swapping x and y of each composite's root part
  kT2b,  ///< as T1, swapping x and y of every part
  kT2c,  ///< as T2b, four times each
  kT6,   ///< as T1, but only the root parts
  kT8,   ///< count the 'I' in the manual
  kT9,   ///< compare the first and the last character of the manual
};
inline constexpr std::size_t kOperations = 7;

/// "T1", "T2a", ... Throws std::invalid_argument.
inline Operation operation_named(std::string_view name) {
  constexpr std::pair<std::string_view, Operation> kNames[] = {
      {"T1", Operation::kT1}, {"T2a", Operation::kT2a}, {"T2b", Operation::kT2b}, {"T2c", Operation::kT2c},
      {"T6", Operation::kT6}, {"T8", Operation::kT8},   {"T9", Operation::kT9}};
  for (const auto& [known, operation] : kNames) {
    if (known == name) return operation;
  }
  throw std::invalid_argument("no OO7 operation '" + std::string(name) + "' here; T1, T2a, T2b, T2c, T6, T8, T9");
}

/// What a traversal did.
struct Result {
  std::uint64_t atomic_parts = 0;     ///< visited
  std::uint64_t base_assemblies = 0;  ///< visited
  std::uint64_t swaps = 0;
  std::uint64_t characters = 0;  ///< T8: 'I's found; T9: 1 if first and last are the same
  std::int64_t checksum = 0;     ///< of what was read, so that reading is not optimised away

  friend bool operator==(const Result&, const Result&) = default;
};

/// The counts that `operation` must have. Its `checksum` is not known beforehand.
inline Result expected_result(Operation operation, const Parameters& parameters) {
  Result expected;
  if (operation == Operation::kT8 || operation == Operation::kT9) {
    const std::string text = manual_text(parameters);
    if (operation == Operation::kT9) {
      expected.characters = text.front() == text.back();
    } else {
      for (char c : text) expected.characters += c == 'I';
    }
    return expected;
  }
  const std::uint64_t all = parameters.private_uses() * parameters.atomic_per_composite;
  expected.base_assemblies = parameters.base_assemblies();
  expected.atomic_parts = operation == Operation::kT6 ? parameters.private_uses() : all;
  if (operation == Operation::kT2a) expected.swaps = parameters.private_uses();
  if (operation == Operation::kT2b) expected.swaps = all;
  if (operation == Operation::kT2c) expected.swaps = 4 * all;
  return expected;
}

/// Throws WrongAnswerError unless `result` has the counts of `expected`.
inline void check(const Result& expected, const Result& result) {
  check_count("base assemblies visited", expected.base_assemblies, result.base_assemblies);
  check_count("atomic parts visited", expected.atomic_parts, result.atomic_parts);
  check_count("swaps", expected.swaps, result.swaps);
  check_count("characters", expected.characters, result.characters);
}

/// Runs operations within a transaction that the caller owns.
template <class Database>
class Traverser {
 public:
  using Transaction = typename Database::Transaction;

  explicit Traverser(const Parameters& parameters) : marks_(parameters.atomic_per_composite) {
    for (std::size_t i = 0; i < kOperations; ++i) {
      expected_[i] = expected_result(static_cast<Operation>(i), parameters);  // now, so that checks cost runs nothing
    }
  }

  /// The counts that `operation` must have.
  const Result& expected(Operation operation) const { return expected_[static_cast<std::size_t>(operation)]; }

  Result run(Transaction& txn, Operation operation) {
    switch (operation) {
      case Operation::kT1:
        return traverse<Operation::kT1>(txn);
      case Operation::kT2a:
        return traverse<Operation::kT2a>(txn);
      case Operation::kT2b:
        return traverse<Operation::kT2b>(txn);
      case Operation::kT2c:
        return traverse<Operation::kT2c>(txn);
      case Operation::kT6:
        return traverse<Operation::kT6>(txn);
      case Operation::kT8:
      case Operation::kT9:
        return scan_manual(txn, operation);
    }
    throw std::logic_error("not an OO7 operation");
  }

 private:
  using Pointers = typename Database::Pointers;
  template <class T>
  using Ref = typename Pointers::template Ref<T>;

  template <Operation operation>
  Result traverse(Transaction& txn) {
    result_ = {};
    const auto module = txn.root().template get<Module<Pointers>>(kModuleName);
    visit_complex<operation>(txn, txn.read(txn.read(module).design_root));
    return result_;
  }

  template <Operation operation>
  void visit_complex(Transaction& txn, const ComplexAssembly<Pointers>& assembly) {
    for (const auto& sub : assembly.complex_assemblies) visit_complex<operation>(txn, txn.read(sub));
    for (const auto& sub : assembly.base_assemblies) {
      ++result_.base_assemblies;
      for (const auto& use : txn.read(sub).components_private) visit_composite<operation>(txn, txn.read(use));
    }
  }

  template <Operation operation>
  void visit_composite(Transaction& txn, const CompositePart<Pointers>& composite) {
    const AtomicPart<Pointers>& root = txn.read(composite.root_part);
    if constexpr (operation == Operation::kT6) {
      look_at(root);
    } else {
      ++generation_;  // forgets all marks
      first_id_ = root.id;
      mark(root);
      visit_part<operation>(txn, composite.root_part, root);
      if constexpr (operation == Operation::kT2a) swap(txn, composite.root_part);
    }
  }

  template <Operation operation>
  void visit_part(Transaction& txn, const Ref<AtomicPart<Pointers>>& reference, const AtomicPart<Pointers>& part) {
    look_at(part);
    if constexpr (operation == Operation::kT2b) swap(txn, reference);
    if constexpr (operation == Operation::kT2c) {
      for (int i = 0; i < 4; ++i) swap(txn, reference);
    }
    for (const auto& outgoing : part.to) {
      const Connection<Pointers>& connection = txn.read(outgoing);
      const AtomicPart<Pointers>& next = txn.read(connection.to);
      if (mark(next)) visit_part<operation>(txn, connection.to, next);
    }
  }

  /// The paper's small piece of work per part: count it and look at its position.
  void look_at(const AtomicPart<Pointers>& part) {
    ++result_.atomic_parts;
    result_.checksum += part.x - part.y;
  }

  void swap(Transaction& txn, const Ref<AtomicPart<Pointers>>& reference) {
    AtomicPart<Pointers>& part = txn.write(reference);
    std::swap(part.x, part.y);
    ++result_.swaps;
  }

  /// Whether `part` was not yet marked.
  bool mark(const AtomicPart<Pointers>& part) {
    return std::exchange(marks_[part.id - first_id_], generation_) != generation_;
  }

  Result scan_manual(Transaction& txn, Operation operation) {
    const auto module = txn.root().template get<Module<Pointers>>(kModuleName);
    const std::string& text = txn.read(txn.read(module).manual).text;
    Result result;
    if (operation == Operation::kT9) {
      result.characters = text.front() == text.back();
    } else {
      for (char c : text) result.characters += c == 'I';
    }
    return result;
  }

  std::array<Result, kOperations> expected_;
  std::vector<std::uint64_t> marks_;  ///< by number within the composite: the generation that visited it last
  std::uint64_t generation_ = 0;
  std::uint32_t first_id_ = 0;  ///< id of the composite's first part
  Result result_;
};

/// Runs `operation` as one transaction of `session`, and checks its counts. `attempts`, if given, counts executions.
template <class Database>
Result run(typename Database::Session& session, Traverser<Database>& traverser, Operation operation,
           std::uint64_t* attempts = nullptr) {
  const Result result = session.transact([&](typename Database::Transaction& txn) {
    if (attempts != nullptr) ++*attempts;
    return traverser.run(txn, operation);
  });
  check(traverser.expected(operation), result);
  return result;
}

}  // namespace cow::bench::oo7
