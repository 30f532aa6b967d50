// What a workload throws when a database gives it a wrong answer, and the checks that throw it.
//
// Thread safety: plain functions and values.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cow::bench {

/// A run whose counts or answers are wrong is a failed run, however fast it was.
class WrongAnswerError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws WrongAnswerError unless `found == expected`.
inline void check_count(std::string_view what, std::uint64_t expected, std::uint64_t found) {
  if (found == expected) return;
  throw WrongAnswerError("wrong number of " + std::string(what) + ": " + std::to_string(found) + ", expected " +
                         std::to_string(expected));
}

/// Throws WrongAnswerError unless `found == expected`.
inline void check_answer(std::string_view what, std::string_view expected, std::string_view found) {
  if (found == expected) return;
  throw WrongAnswerError("wrong " + std::string(what) + ": '" + std::string(found) + "', expected '" +
                         std::string(expected) + "'");
}

}  // namespace cow::bench
