#include <cow_cache/codecs.hpp>

#include "bank.hpp"

COW_CACHE_DEFINE_CODEC(bank::Account);
COW_CACHE_DEFINE_CODEC(bank::Receipt);
