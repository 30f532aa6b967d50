// The failure of a group of commits, for each of its threads.
//
// Thread safety: called by the leader. What it gives belongs to one request: no exception object of a type of errors.hpp
// is shared, so a program may change, keep or destroy the one that it catches without regard to the other threads.
#pragma once

#include <exception>
#include <typeinfo>

#include "cow_cache/detail/store_failure.hpp"

namespace cow::detail {

/// The exception that is being handled, as an object of its own if its type is one of errors.hpp that stores throw. A copy of what
/// a store has derived from it would lose what it adds: that one is shared, and so are others.
inline std::exception_ptr failure_for_one_of_group() noexcept {
  return visit_store_failure(
      []<class Exception>(const Exception& error) {
        return typeid(error) == typeid(Exception) ? std::make_exception_ptr(error) : std::current_exception();
      },
      [] { return std::current_exception(); });
}

}  // namespace cow::detail
