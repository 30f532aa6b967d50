// What a store has thrown, as one of the types of errors.hpp: for threads that each need an exception object of their own.
//
// Thread safety: called in the thread that has caught it.
#pragma once

#include "cow_cache/errors.hpp"

namespace cow::detail {

/// Gives what `known(error)` does for the exception that is being handled, as the most derived type that it has in errors.hpp, and
/// what `other()` does for an exception that no store is meant to throw.
template <class Known, class Other>
auto visit_store_failure(Known known, Other other) {
  try {
    throw;
  } catch (const StoreMissingError& error) {
    return known(error);
  } catch (const StoreLockedError& error) {
    return known(error);
  } catch (const StoreFormatError& error) {
    return known(error);
  } catch (const StoreCorruptError& error) {
    return known(error);
  } catch (const StoreFullError& error) {
    return known(error);
  } catch (const StoreReadOnlyError& error) {
    return known(error);
  } catch (const StoreConnectionError& error) {
    return known(error);
  } catch (const StoreBehindError& error) {
    return known(error);
  } catch (const OutcomeUnknownError& error) {
    return known(error);
  } catch (const StoreError& error) {
    return known(error);
  } catch (const CorruptRecordError& error) {
    return known(error);
  } catch (...) {
    return other();
  }
}

}  // namespace cow::detail
