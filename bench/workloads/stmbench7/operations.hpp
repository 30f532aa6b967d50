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
  t1, t2a, t2b, t2c, t3a, t3b, t3c, t4, t5, t6, q6, q7,
  st1, st2, st3, st4, st5, st6, st7, st8, st9, st10,
  op1, op2, op3, op4, op5, op6, op7, op8, op9, op10, op11, op12, op13, op14, op15,
  sm1, sm2, sm3, sm4, sm5, sm6, sm7, sm8
};
// clang-format on
inline constexpr std::size_t kOperations = 45;

enum class Class : std::uint8_t { long_traversal, short_traversal, operation, structure };
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
    table[i].group = operation <= q7     ? Class::long_traversal
                     : operation <= st10 ? Class::short_traversal
                     : operation <= op15 ? Class::operation
                                         : Class::structure;
    table[i].read_only = operation == t1 || operation == t4 || operation == t6 || operation == q6 || operation == q7 ||
                         (operation >= st1 && operation <= st5) || operation == st9 ||
                         (operation >= op1 && operation <= op8);
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
      const bool wanted = info.group != Class::long_traversal || long_traversals;
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
