// What a program and its plugin have in common. Both are compiled with -fvisibility=hidden: nothing here is visible but what
// says so.
#pragma once

#include <msgpack.hpp>

#include <string>
#include <vector>

#include "cow_cache/cow_cache.hpp"

struct Thing {
  static constexpr std::string_view cow_type_name = "test.Thing";
  int value = 0;
  std::vector<cow::Ref<Thing>> others;
  MSGPACK_DEFINE(value, others);
};

/// Not shared, whatever it is called in records: there is another one in each library.
namespace {
struct Private {
  static constexpr std::string_view cow_type_name = "test.Private";
  int value = 0;
  MSGPACK_DEFINE(value);
};
}  // namespace

/// The same size and name in records, but another type.
struct Namesake {
  static constexpr std::string_view cow_type_name = "test.Thing";
  std::vector<int> values;
  long value = 0;
  MSGPACK_DEFINE(value, values);
};
static_assert(sizeof(Namesake) == sizeof(Thing));

/// The plugin's functions, found by one symbol.
struct Plugin {
  const void* (*memory)();
  std::uint64_t (*type_bits)();
  int (*read)(cow::Database& db, const cow::Ref<Thing>& reference);
  int (*read_in)(cow::Transaction& txn, const cow::Ref<Thing>& reference);
  void (*write_in)(cow::Transaction& txn, const cow::Ref<Thing>& reference, int value);
  cow::Ref<Thing> (*create)(cow::Database& db, int value);
  cow::Ref<Thing> (*create_in)(cow::Transaction& txn, int value);
  void (*commit)(cow::Transaction& txn);
  cow::Oid (*create_private)(cow::Database& db);
  int (*read_namesake)(cow::Database& db, cow::Oid oid);
};
#define PLUGIN_EXPORT extern "C" __attribute__((visibility("default")))
PLUGIN_EXPORT const Plugin* cow_test_plugin();
