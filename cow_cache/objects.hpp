// The light door: what it takes to read and write objects whose codecs are defined elsewhere.
//
//   // account.hpp                                      // account.cpp
//   #include <cow_cache/objects.hpp>                    #include <cow_cache/codecs.hpp>
//   struct Account {                                    #include "account.hpp"
//     std::string name;
//     std::int64_t balance = 0;                         COW_CACHE_DEFINE_CODEC(Account);
//     COW_CACHE_DEFINE_MAP(name, balance)
//   };
//   COW_CACHE_DECLARE_CODEC(Account);
//
// It includes no msgpack-cxx, which is the larger part of what cow_cache.hpp costs to compile. The two doors mix in one
// program, and a type may be used through both. Where no translation unit defines the codec of a type, the linker names the
// type: undefined reference to `cow::detail::DefinedCodec<Account>::...'.
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
