// The stored types of a bank: described once, whichever door a translation unit comes by.
#pragma once

#include <cow_cache/objects.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace bank {

struct Entry {
  std::int64_t amount = 0;
  std::int32_t kind = 0;
  COW_CACHE_DEFINE_ARRAY(amount, kind)
};

struct Account {
  std::string owner;
  std::int64_t balance = 0;
  cow::Ref<Account> referrer;
  std::vector<Entry> entries;
  COW_CACHE_DEFINE_MAP(owner, balance, referrer, entries)
};

struct Receipt {
  static constexpr std::string_view cow_type_name = "bank.Receipt";
  std::int64_t amount = 0;
  COW_CACHE_DEFINE_MAP(amount)
};

// transfers.cpp
std::int64_t transfer(cow::Database& database, const std::string& from, const std::string& to, std::int64_t amount);
std::int64_t total(cow::Transaction& txn);
void forget_receipt(cow::Transaction& txn);

}  // namespace bank

#ifndef WITHOUT_DECLARATIONS
COW_CACHE_DECLARE_CODEC(bank::Account);
COW_CACHE_DECLARE_CODEC(bank::Receipt);
#endif
