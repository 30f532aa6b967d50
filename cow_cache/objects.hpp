// The light door: what it takes to read and write objects whose codecs are defined elsewhere.
//
// Headers declare stored types, with COW_CACHE_DEFINE_MAP (members.hpp) and, outside, COW_CACHE_DECLARE_CODEC; one .cpp file has
// COW_CACHE_DEFINE_CODEC for each (codecs.hpp); the others read and write in `transact(database, body)`, or in a transaction that
// they are given. docs/guide/importing.md has an example. Databases are opened where cow_cache.hpp is included.
//
// It includes no msgpack-cxx and no cache, which are what cow_cache.hpp costs to compile. The two doors mix in one program,
// and a type may be used by way of both. Where no translation unit defines the codec of a type, the linker names the type:
// undefined reference to `cow::detail::DefinedAccess<Account>::write(...)'.
//
// Thread safety: includes only.
#pragma once

#include "version.hpp"

#include "detail/apart/access.hpp"
#include "errors.hpp"
#include "heap_sum.hpp"
#include "isolation.hpp"
#include "members.hpp"
#include "ref.hpp"
#include "root.hpp"
#include "transact.hpp"
#include "transaction.hpp"
#include "type_name.hpp"
#include "types.hpp"

/// Says in a header that some translation unit has COW_CACHE_DEFINE_CODEC for the type: those that include cow_cache.hpp need
/// not compile the codec then. Optional for those that include objects.hpp only. At file scope, in no namespace.
#define COW_CACHE_DECLARE_CODEC(...)                               \
  extern template struct ::cow::detail::DefinedCodec<__VA_ARGS__>; \
  extern template struct ::cow::detail::DefinedAccess<__VA_ARGS__>
