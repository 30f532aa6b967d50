// The failure of a group of commits, for each of its threads.
//
// Thread safety: called by the leader. What it gives belongs to one request: no exception object is shared, so a program may
// change, keep or destroy the one that it catches without regard to the other threads.
#pragma once

#include <exception>
#include <typeinfo>

#include "cow_cache/errors.hpp"

namespace cow::detail {

/// A copy, if `error` is of exactly this type. What a store has derived from it would lose what it adds: that one is shared.
template <class Exception>
std::exception_ptr copy_of_failure(const Exception& error) noexcept {
  if (typeid(error) == typeid(Exception)) return std::make_exception_ptr(error);
  return std::current_exception();
}

/// The exception that is being handled, as an object of its own if its type is one that commits throw.
inline std::exception_ptr failure_for_one_of_group() noexcept {
  try {
    throw;
  } catch (const OutcomeUnknownError& error) {
    return copy_of_failure(error);
  } catch (const StoreFullError& error) {
    return copy_of_failure(error);
  } catch (const StoreReadOnlyError& error) {
    return copy_of_failure(error);
  } catch (const StoreCorruptError& error) {
    return copy_of_failure(error);
  } catch (const StoreLockedError& error) {
    return copy_of_failure(error);
  } catch (const StoreError& error) {
    return copy_of_failure(error);
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace cow::detail
