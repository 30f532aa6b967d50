// What the programs here have in common.
#pragma once

#include <cow_cache/cow_cache.hpp>
#include <persistence/memory_store.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

struct Account {
  std::string owner;
  std::int64_t balance = 0;
  MSGPACK_DEFINE_MAP(owner, balance);
};

struct Bank {
  cow::MemoryStore store;
  cow::Database db{store};
};
