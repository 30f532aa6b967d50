// TransactionNote: what a commit says of itself, for those who read the history.
//
// Thread safety: plain values.
#pragma once

#include "cow_cache/version.hpp"

#include <cstddef>
#include <map>
#include <string>

namespace cow {

/// Who made a commit, and what for. The time is not part of it: the store notes that by itself.
struct TransactionNote {
  std::string user;
  std::string description;
  std::map<std::string, std::string> properties;  ///< what else a program wants to keep: a request's number, an address

  bool empty() const noexcept { return user.empty() && description.empty() && properties.empty(); }

  /// The bytes of all its texts, and eight for each.
  std::size_t bytes() const noexcept {
    std::size_t sum = user.size() + description.size() + 16;
    for (const auto& [name, value] : properties) sum += name.size() + value.size() + 16;
    return sum;
  }

  friend bool operator==(const TransactionNote&, const TransactionNote&) = default;
};

/// A note is small: every store keeps one of so many bytes (TransactionNote::bytes), and none has to keep a larger one.
inline constexpr std::size_t kMaxNoteBytes = std::size_t{64} << 10;

}  // namespace cow
