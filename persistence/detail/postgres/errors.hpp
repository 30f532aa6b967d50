// What the server says, as exceptions.
//
// Thread safety: plain values.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/errors.hpp"

namespace cow::detail::postgres {

/// An error that a statement has ended with; the connection goes on.
class ServerError : public StoreError {
 public:
  ServerError(const std::string& what, std::string state) : StoreError(what), sqlstate(std::move(state)) {}
  std::string sqlstate;

  /// Refused for the sake of another transaction: worth a repetition.
  bool is_passing() const noexcept { return sqlstate == "40001" || sqlstate == "40P01"; }
};

inline constexpr std::string_view kUniqueViolation = "23505";
inline constexpr std::string_view kDivisionByZero = "22012";

/// The connection is lost: what it was asked last was done, or not, or will be.
class ConnectionLost : public StoreConnectionError {
  using StoreConnectionError::StoreConnectionError;
};

/// Whether the server ends the session with this state, or gives it none: it shuts down, starts up, or has no room.
inline bool ends_session(std::string_view sqlstate) noexcept {
  return sqlstate.starts_with("08") || sqlstate.starts_with("57P") || sqlstate == "25P03" || sqlstate == "53300";
}

/// Throws what a statement's error is for the users of a store.
[[noreturn]] inline void throw_server_error(const std::string& what, const std::string& sqlstate) {
  if (ends_session(sqlstate)) throw ConnectionLost(what);
  if (sqlstate == "53100") throw StoreFullError(what);
  if (sqlstate == "25006") throw StoreReadOnlyError(what);
  throw ServerError(what, sqlstate);
}

}  // namespace cow::detail::postgres
