// One transaction's memory: one-transaction, objects read over and over under a budget that is too small for them.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/support/process_memory.hpp"
#include "claim.hpp"
#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace cow::bench {
namespace {

struct Page {
  static constexpr std::string_view cow_type_name = "claims.Page";
  std::string text;
  MSGPACK_DEFINE(text);
};
struct Book {
  static constexpr std::string_view cow_type_name = "claims.Book";
  std::vector<Ref<Page>> pages;
  MSGPACK_DEFINE(pages);
};

/// How the transaction comes by its objects.
enum class By {
  oid,         ///< as out of an index: there is never a hint
  reference,   ///< its own, whose hints go stale as objects are evicted
  shared_ones  ///< in an object that all share, and whose hints others repair as they load the objects again
};

/// What the process and the cache have grown by, beyond the objects themselves, when one transaction has read 100 objects
/// `rounds` times.
struct Excess {
  double cache = 0, process = 0;
};

Excess measure_excess(By by, int rounds) {
  constexpr std::size_t kPages = 100, kText = 2000;
  MemoryStore store;
  Database database(store, {.cache_bytes = 64 << 10, .limbo_bytes = 16 << 10});
  Ref<Book> book = database.transact([&](Transaction& txn) {
    Book pages;
    for (std::size_t i = 0; i < kPages; ++i) pages.pages.push_back(txn.create(Page{std::string(kText, 'x')}));
    return txn.create(std::move(pages));
  });
  database.evict_all();
  Transaction txn = database.begin();
  std::vector<Ref<Page>> own = txn.read(book).pages;
  const std::vector<Ref<Page>>& pages = by == By::shared_ones ? txn.read(book).pages : own;
  auto held = [&] {
    Statistics statistics = database.statistics();
    return static_cast<double>(statistics.cache_bytes + statistics.limbo_bytes + statistics.transaction_bytes);
  };
  double before = held(), process = static_cast<double>(process_memory().anonymous), most = 0;
  for (int round = 0; round < rounds; ++round) {
    for (const Ref<Page>& page : pages) {
      if (by == By::shared_ones) (void)database.begin().read(page);
      const Page& value = by == By::oid ? txn.read(Ref<Page>(page.oid())) : txn.read(page);
      if (value.text.size() != kText) throw std::runtime_error("wrong value");
    }
    if ((round & (round - 1)) == 0) most = std::max(most, held());  // after 1, 2, 4, ... rounds
  }
  most = std::max(most, held());
  constexpr double kObjects = kPages * kText;
  return {most - before - kObjects, static_cast<double>(process_memory().anonymous) - process - kObjects};
}

Measured measure_one_transaction() {
  constexpr double kMiB = 1 << 20;
  const int rounds = static_cast<int>(100'000 * effort);
  std::string detail = fmt::format("100 objects of 2 KB, {} rounds, cache of 64 KiB; beyond the objects", rounds);
  double worst = 0;
  for (auto [name, by] : {std::pair("by oid", By::oid), std::pair("by own references", By::reference),
                          std::pair("by references that others repair", By::shared_ones)}) {
    Excess excess = measure_excess(by, by == By::shared_ones ? rounds / 10 : rounds);
    worst = std::max(worst, excess.cache);
    detail += fmt::format("; {}: {:.2f} MiB, the process {:.2f} MiB", name, excess.cache / kMiB, excess.process / kMiB);
  }
  return {worst / kMiB, detail};
}

}  // namespace

std::vector<Claim> transaction_claims() {
  return {{"one-transaction",
           "memory of a transaction that reads 100 objects 100,000 times under a budget too small for them, beyond the "
           "objects",
           Claim::Comparison::at_most, 1, "MiB", measure_one_transaction}};
}

}  // namespace cow::bench
