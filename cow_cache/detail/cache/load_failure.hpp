// Why a load has failed, for the transactions that were waiting for it: one failing load serves them all.
//
// Thread safety: immutable. What it throws is made anew by each thread, for its own: no exception object is shared.
//
// Invariants:
//  1. It says of which transactions it is the failure (Of). All others load for themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "cow_cache/detail/store_failure.hpp"
#include "cow_cache/errors.hpp"

namespace cow::detail {

struct TypeOperations;

/// Has no virtual destructor: a shared pointer knows what it was made from, and the static ones must outlive all statics.
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor)
class LoadFailure {
 public:
  enum class Of {
    store,   ///< the store could not read: of everybody
    absent,  ///< the store has no such object: of everybody
    value,   ///< the record of `begin` is no value of the type: of the readers that see it, and asked for the same type
    loader,  ///< of the thread that loaded alone: its memory, or what its codec has read
  };

  explicit constexpr LoadFailure(Of whose, const TypeOperations* type = nullptr, Tid revision = {}) noexcept
      : of(whose), operations(type), begin(revision) {}
  LoadFailure(const LoadFailure&) = delete;
  LoadFailure& operator=(const LoadFailure&) = delete;

  /// Throws an exception like that of the loader. REQUIRES: of the store or of a value.
  virtual void raise() const {}

  const Of of;
  const TypeOperations* const operations;
  const Tid begin;
};

using SharedLoadFailure = std::shared_ptr<const LoadFailure>;

template <class Exception>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor)
class CopiedLoadFailure final : public LoadFailure {
 public:
  CopiedLoadFailure(const Exception& error, Of whose, const TypeOperations* type, Tid revision)
      : LoadFailure(whose, type, revision), error_(error) {}
  [[noreturn]] void raise() const override { throw Exception(error_); }

 private:
  const Exception error_;
};

/// For these there is nothing to copy, so no memory is needed.
inline SharedLoadFailure load_failure_of_the_loader() noexcept {
  static constinit const LoadFailure failure(LoadFailure::Of::loader);
  return SharedLoadFailure(std::shared_ptr<void>(), &failure);
}
inline SharedLoadFailure load_failure_of_absence() noexcept {
  static constinit const LoadFailure failure(LoadFailure::Of::absent);
  return SharedLoadFailure(std::shared_ptr<void>(), &failure);
}

template <class Exception>
SharedLoadFailure copied_load_failure(const Exception& error, LoadFailure::Of of,
                                      const TypeOperations* operations = nullptr, Tid begin = {}) noexcept {
  try {
    return std::make_shared<CopiedLoadFailure<Exception>>(error, of, operations, begin);
  } catch (...) {  // no memory
    return load_failure_of_the_loader();
  }
}

/// The exception that is being handled was thrown by `Store::load`. What a store has derived from a type of errors.hpp
/// reaches the waiters as that type, with the same text.
inline SharedLoadFailure load_failure_of_store() noexcept {
  return visit_store_failure([](const auto& error) { return copied_load_failure(error, LoadFailure::Of::store); },
                             [] { return load_failure_of_the_loader(); });
}

/// The exception that is being handled came from decoding the revision of `oid` that began at `begin`.
inline SharedLoadFailure load_failure_of_value(Oid oid, const TypeOperations& operations, Tid begin) noexcept {
  constexpr auto kOf = LoadFailure::Of::value;
  try {
    throw;
  } catch (const TypeMismatchError& error) {
    if (error.oid == oid) return copied_load_failure(error, kOf, &operations, begin);
  } catch (const CorruptRecordError& error) {
    if (error.oid == oid) return copied_load_failure(error, kOf, &operations, begin);
  } catch (const UnfitRecordError& error) {
    if (error.oid == oid) return copied_load_failure(error, kOf, &operations, begin);
  } catch (const NewerSchemaError& error) {
    if (error.oid == oid) return copied_load_failure(error, kOf, &operations, begin);
  } catch (...) {
  }
  return load_failure_of_the_loader();  // of another object, perhaps, which its codec has read
}

}  // namespace cow::detail
