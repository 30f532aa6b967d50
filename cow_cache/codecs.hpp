// Defines codecs for translation units that include objects.hpp only: once per stored type, in any .cpp.
//
// Thread safety: nothing here runs.
#pragma once

#include "version.hpp"

#include "cow_cache.hpp"

/// Compiles the codec of a type, with all checks of what may be stored. The type must be complete, and what its codec needs
/// (adaptors of msgpack-cxx, a Codec, a HeapBytes) must have been declared before. At file scope, in no namespace.
#define COW_CACHE_DEFINE_CODEC(...)                         \
  template struct ::cow::detail::DefinedCodec<__VA_ARGS__>; \
  template struct ::cow::detail::DefinedAccess<__VA_ARGS__>

namespace cow::detail {

/// What every program needs that reads and writes objects, whatever their types. Naming a function compiles it.
struct DefinedParts {
  using Root = DefinedAccess<RootDirectory>;

  using Note = void (BasicTransaction<SharedCache>::*)(TransactionNote);

  decltype(&TransactRunner<SharedCache>::run) run = &TransactRunner<SharedCache>::run;
  Note note = &BasicTransaction<SharedCache>::note;
  decltype(&TypeNumbers<void>::number_of) number_of = &TypeNumbers<void>::number_of;
  decltype(&Root::read_first) read_root = &Root::read_first;
  decltype(&Root::read_by_oid) read_root_by_oid = &Root::read_by_oid;
  decltype(&Root::write) write_root = &Root::write;
  const TypeOperations* root = &type_operations<RootDirectory>;
};

/// Each translation unit that includes this header has them.
[[gnu::used]] inline constexpr DefinedParts kDefinedParts{};

}  // namespace cow::detail
