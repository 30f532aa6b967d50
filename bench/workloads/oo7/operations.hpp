// The operations of OO7 by name, what each reports, and the counts that it must have.
//
// Thread safety: plain values and functions.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "bench/workloads/workload_error.hpp"
#include "changes.hpp"
#include "model.hpp"

namespace cow::bench::oo7 {

enum class Operation {
  t1,         ///< depth-first search over the atomic parts of every private use of a composite part
  t2a,        ///< as T1, swapping x and y of each composite's root part
  t2b,        ///< as T1, swapping x and y of every part
  t2c,        ///< as T2b, four times each
  t3a,        ///< as T2a, but changing the build date, which is indexed
  t3b,        ///< as T2b, likewise
  t3c,        ///< as T2c, likewise
  t4,         ///< count the 'I' in the document of every private use of a composite part
  t5,         ///< replace "I am" by "This is" in these documents, or back
  t6,         ///< as T1, but only the root parts
  t7,         ///< from a random atomic part up to the design root, by every private use
  t8,         ///< count the 'I' in the manual
  t9,         ///< compare the first and the last character of the manual
  cu,         ///< T1, and then T2a in a transaction of its own, which is what gets timed
  q1,         ///< look up 10 random atomic parts by id
  q2,         ///< the atomic parts of the newest 1% of build dates
  q3,         ///< of the newest 10%
  q4,         ///< 10 random document titles: the base assemblies that use their composite parts
  q5,         ///< base assemblies that use a composite part younger than they are
  q7,         ///< all atomic parts
  q8,         ///< all pairs of a document and an atomic part with its id
  s1_and_s2,  ///< S1 and then S2: insert 10 composite parts, delete them; two transactions
};
inline constexpr std::size_t kOperations = 22;
inline constexpr std::array<std::string_view, kOperations> kOperationNames = {
    "T1", "T2a", "T2b", "T2c", "T3a", "T3b", "T3c", "T4", "T5", "T6", "T7",
    "T8", "T9",  "CU",  "Q1",  "Q2",  "Q3",  "Q4",  "Q5", "Q7", "Q8", "S"};

/// "T1", "T2a", ... Throws std::invalid_argument.
inline Operation operation_named(std::string_view name) {
  const auto found = std::find(kOperationNames.begin(), kOperationNames.end(), name);
  if (found != kOperationNames.end()) return static_cast<Operation>(found - kOperationNames.begin());
  throw std::invalid_argument("no OO7 operation '" + std::string(name) + "' here");
}

/// Whether a Traverser runs it.
inline bool is_traversal(Operation operation) { return (operation <= Operation::t9 && operation != Operation::t7); }
/// Whether Queries run it.
inline bool is_query(Operation operation) {
  return operation == Operation::t7 || (operation >= Operation::q1 && operation <= Operation::q8);
}
/// Whether it changes the database.
inline bool is_update(Operation operation) {
  using enum Operation;
  return (operation >= t2a && operation <= t3c) || operation == t5 || operation == cu || operation == s1_and_s2;
}

/// What an operation did.
struct Result {
  std::uint64_t atomic_parts = 0;     ///< visited
  std::uint64_t base_assemblies = 0;  ///< visited
  std::uint64_t swaps = 0;
  std::uint64_t date_changes = 0;
  std::uint64_t documents = 0;     ///< visited
  std::uint64_t replacements = 0;  ///< of phrases in documents
  std::uint64_t characters = 0;    ///< T8: 'I's found; T9: 1 if first and last are the same
  std::uint64_t assemblies = 0;    ///< T7: visited, base and complex ones
  std::uint64_t found = 0;         ///< queries: objects or pairs that matched
  std::int64_t checksum = 0;       ///< of what was read, so that reading is not optimised away

  friend bool operator==(const Result&, const Result&) = default;
};

/// The counts that a traversal must have. Its `checksum` is not known beforehand.
inline Result expected_result(Operation operation, const Parameters& parameters) {
  using enum Operation;
  Result expected;
  if (operation == t8 || operation == t9) {
    const std::string text = manual_text(parameters);
    expected.characters = operation == t9 ? text.front() == text.back() : count_of('I', text);
    return expected;
  }
  const std::uint64_t uses = parameters.private_uses(), parts = uses * parameters.atomic_per_composite;
  expected.base_assemblies = parameters.base_assemblies();
  if (operation == t4 || operation == t5) {
    expected.documents = uses;
    if (operation == t5) {
      std::string text = document_text(0, parameters.document_bytes);
      expected.replacements = uses * toggle_phrases(text);
    }
    return expected;
  }
  expected.atomic_parts = operation == t6 ? uses : parts;
  if (operation == t2a) expected.swaps = uses;
  if (operation == t2b) expected.swaps = parts;
  if (operation == t2c) expected.swaps = 4 * parts;
  if (operation == t3a) expected.date_changes = uses;
  if (operation == t3b) expected.date_changes = parts;
  if (operation == t3c) expected.date_changes = 4 * parts;
  return expected;
}

/// Throws WrongAnswerError unless `result` has the counts of `expected`.
inline void check(const Result& expected, const Result& result) {
  check_count("base assemblies visited", expected.base_assemblies, result.base_assemblies);
  check_count("atomic parts visited", expected.atomic_parts, result.atomic_parts);
  check_count("swaps", expected.swaps, result.swaps);
  check_count("changes of dates", expected.date_changes, result.date_changes);
  check_count("documents visited", expected.documents, result.documents);
  check_count("phrases replaced", expected.replacements, result.replacements);
  check_count("characters", expected.characters, result.characters);
  check_count("matches", expected.found, result.found);
}

}  // namespace cow::bench::oo7
