// The 45 operations of STMBench7, their classes, and how often each is asked for (Guerraoui, Kapalka, Vitek:
// "STMBench7: A Benchmark for Software Transactional Memory", EuroSys 2007; weights as in the authors' Java program).
//
// Thread safety: plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/workloads/random.hpp"

namespace cow::bench::stmbench7 {

// clang-format off
enum class Operation : std::uint8_t {
  kT1, kT2a, kT2b, kT2c, kT3a, kT3b, kT3c, kT4, kT5, kT6, kQ6, kQ7,
  kST1, kST2, kST3, kST4, kST5, kST6, kST7, kST8, kST9, kST10,
  kOP1, kOP2, kOP3, kOP4, kOP5, kOP6, kOP7, kOP8, kOP9, kOP10, kOP11, kOP12, kOP13, kOP14, kOP15,
  kSM1, kSM2, kSM3, kSM4, kSM5, kSM6, kSM7, kSM8
};
// clang-format on
inline constexpr std::size_t kOperations = 45;

enum class Class : std::uint8_t { kLongTraversal, kShortTraversal, kOperation, kStructure };
inline constexpr std::size_t kClasses = 4;
inline constexpr std::array<std::string_view, kClasses> kClassNames = {"long_traversals", "short_traversals",
                                                                       "operations", "structure"};
/// Percent of all operations, before structural changes are scaled with the share of updates.
inline constexpr std::array<double, kClasses> kClassWeights = {5, 40, 45, 10};

struct OperationInfo {
  std::string_view name;
  Class group;
  bool read_only;
};

inline constexpr std::array<OperationInfo, kOperations> kOperationTable = [] {
  constexpr std::array<std::string_view, kOperations> kNames = {
      "T1",  "T2a",  "T2b",  "T2c",  "T3a",  "T3b",  "T3c",  "T4",  "T5",  "T6",  "Q6",  "Q7",  "ST1", "ST2", "ST3",
      "ST4", "ST5",  "ST6",  "ST7",  "ST8",  "ST9",  "ST10", "OP1", "OP2", "OP3", "OP4", "OP5", "OP6", "OP7", "OP8",
      "OP9", "OP10", "OP11", "OP12", "OP13", "OP14", "OP15", "SM1", "SM2", "SM3", "SM4", "SM5", "SM6", "SM7", "SM8"};
  std::array<OperationInfo, kOperations> table{};
  for (std::size_t i = 0; i < kOperations; ++i) {
    using enum Operation;
    const auto operation = static_cast<Operation>(i);
    table[i].name = kNames[i];
    table[i].group = operation <= kQ7     ? Class::kLongTraversal
                     : operation <= kST10 ? Class::kShortTraversal
                     : operation <= kOP15 ? Class::kOperation
                                          : Class::kStructure;
    table[i].read_only = operation == kT1 || operation == kT4 || operation == kT6 || operation == kQ6 ||
                         operation == kQ7 || (operation >= kST1 && operation <= kST5) || operation == kST9 ||
                         (operation >= kOP1 && operation <= kOP8);
  }
  return table;
}();

inline const OperationInfo& info_of(Operation operation) {
  return kOperationTable[static_cast<std::size_t>(operation)];
}

/// How often each operation comes.
class Mix {
 public:
  /// `read_share`: of long and short traversals and of operations, in [0, 1].
  Mix(double read_share, bool long_traversals) {
    // Each operation of a class that reads, or that writes, comes as often as the others. Structural changes all write,
    // and their weight counts as far as writing is wanted at all.
    std::array<std::array<double, 2>, kClasses> members{};
    for (const OperationInfo& info : kOperationTable) ++members[static_cast<std::size_t>(info.group)][info.read_only];
    double sum = 0;
    for (std::size_t i = 0; i < kOperations; ++i) {
      const OperationInfo& info = kOperationTable[i];
      const auto group = static_cast<std::size_t>(info.group);
      const bool wanted = info.group != Class::kLongTraversal || long_traversals;
      shares_[i] = wanted ? kClassWeights[group] * (info.read_only ? read_share : 1 - read_share) /
                                members[group][info.read_only]
                          : 0;
      sum += shares_[i];
    }
    double cumulative = 0;
    for (std::size_t i = 0; i < kOperations; ++i) {
      shares_[i] /= sum;
      cumulative_[i] = cumulative += shares_[i];
    }
  }

  /// "read" (90% read), "read-write" (60%) or "write" (10%). Throws std::invalid_argument.
  static Mix named(std::string_view name, bool long_traversals) {
    if (name == "read") return {0.9, long_traversals};
    if (name == "read-write") return {0.6, long_traversals};
    if (name == "write") return {0.1, long_traversals};
    throw std::invalid_argument("STMBench7 is dominated by read, read-write or write, not '" + std::string(name) + "'");
  }

  /// Of all operations.
  double share(Operation operation) const { return shares_[static_cast<std::size_t>(operation)]; }

  Operation draw(Random& random) const {
    const double point = random.unit() * cumulative_.back();
    std::size_t i = 0;
    while (cumulative_[i] <= point) ++i;
    return static_cast<Operation>(i);
  }

 private:
  std::array<double, kOperations> shares_{}, cumulative_{};
};

}  // namespace cow::bench::stmbench7
