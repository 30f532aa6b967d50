// The failure of a group of commits: each thread that waited for the leader throws an exception of its own.
//
// Thread safety: what the leader has caught is read by any number of threads, and changed by none.
#pragma once

#include <exception>
#include <typeinfo>

#include "cow_cache/errors.hpp"

namespace cow::detail {

/// Copies an exception of exactly this type. What a store has derived from it would lose what it adds, so it is thrown as it is.
template <class Exception>
[[noreturn]] void throw_own(const Exception& error) {
  if (typeid(error) == typeid(Exception)) throw Exception(error);
  throw;
}

/// Throws what `failure` is. It may be shared with other threads, which see another object if the type is of errors.hpp: a
/// program may then change or keep what it catches without regard to the others.
[[noreturn]] inline void throw_failure_of_group(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const OutcomeUnknownError& error) {
    throw_own(error);
  } catch (const StoreFullError& error) {
    throw_own(error);
  } catch (const StoreReadOnlyError& error) {
    throw_own(error);
  } catch (const StoreCorruptError& error) {
    throw_own(error);
  } catch (const StoreError& error) {
    throw_own(error);
  }
}

}  // namespace cow::detail
