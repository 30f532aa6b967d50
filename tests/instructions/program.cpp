// A program of a user's size, for counting the instructions of single operations under Valgrind: an order desk with customers,
// articles, orders and an index, which does more with its objects than read them. What is counted stands in functions that are not
// inlined, among others that use the same types in other ways, so the compiler decides as it does for a user.
#include <valgrind/callgrind.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "persistence/memory_store.hpp"

namespace {

// ---- what the desk keeps

struct Article {
  std::int64_t price = 0;
  std::int64_t stock = 0;
  MSGPACK_DEFINE(price, stock)
};

struct Customer {
  std::string name, city;
  std::int64_t balance = 0;
  std::vector<std::string> notes;
  MSGPACK_DEFINE_MAP(name, city, balance, notes)
};

struct Line {
  cow::Ref<Article> article;
  std::int32_t count = 0;
  MSGPACK_DEFINE(article, count)
};

struct Order {
  cow::Ref<Customer> customer;
  std::vector<Line> lines;
  std::optional<std::int64_t> discount;
  bool paid = false;
  MSGPACK_DEFINE_MAP(customer, lines, discount, paid)
};

struct Shelf {
  std::vector<cow::Ref<Article>> articles;
  std::unordered_map<std::string, std::int64_t> labels;
  MSGPACK_DEFINE_MAP(articles, labels)
};

struct Desk {
  std::vector<cow::Ref<Shelf>> shelves;
  std::map<std::string, cow::Ref<Customer>> customers;
  std::vector<cow::Ref<Order>> orders;
  MSGPACK_DEFINE_MAP(shelves, customers, orders)
};

/// A store that can be told to do nothing from here on. (The cache holds everything.)
class QuietStore final : public cow::Store {
 public:
  void be_quiet() { quiet_ = true; }
  std::optional<cow::Revision> load(cow::Oid oid, cow::Tid at) override { return store_.load(oid, at); }
  cow::Tid last_tid() override { return store_.last_tid(); }
  cow::OidBlock allocate_oids(std::uint64_t count) override { return store_.allocate_oids(count); }
  void commit(std::span<const cow::TransactionWrite> group) override {
    if (!quiet_) store_.commit(group);
  }

 private:
  cow::MemoryStore store_;
  bool quiet_ = false;
};

// ---- what the desk does

constexpr std::size_t kShelves = 20, kArticles = 50, kCustomers = 40, kOrders = 60;

cow::Ref<Desk> open_desk(cow::Database& db) {
  return db.transact([](cow::Transaction& txn) {
    Desk desk;
    std::vector<cow::Ref<Article>> all;
    for (std::size_t i = 0; i < kShelves; ++i) {
      Shelf shelf;
      for (std::size_t k = 0; k < kArticles; ++k) {
        shelf.articles.push_back(txn.create(Article{static_cast<std::int64_t>(i * 7 + k), 1000}));
        all.push_back(shelf.articles.back());
      }
      shelf.labels["aisle"] = static_cast<std::int64_t>(i);
      desk.shelves.push_back(txn.create(std::move(shelf)));
    }
    for (std::size_t i = 0; i < kCustomers; ++i) {
      std::string name = "customer " + std::to_string(i);
      desk.customers[name] = txn.create(Customer{name, i % 2 == 0 ? "Bonn" : "Kiel", 0, {}});
    }
    for (std::size_t i = 0; i < kOrders; ++i) {
      Order order;
      order.customer = desk.customers.at("customer " + std::to_string(i % kCustomers));
      for (std::size_t k = 0; k < 5; ++k)
        order.lines.push_back({all[(i * 31 + k * 7) % all.size()], static_cast<std::int32_t>(k + 1)});
      if (i % 3 == 0) order.discount = 5;
      desk.orders.push_back(txn.create(std::move(order)));
    }
    return txn.root().emplace("desk", std::move(desk));
  });
}

std::int64_t price_of(cow::Transaction& txn, const Order& order) {
  std::int64_t sum = 0;
  for (const Line& line : order.lines) sum += txn.read(line.article).price * line.count;
  return order.discount ? sum * (100 - *order.discount) / 100 : sum;
}

std::int64_t settle_orders(cow::Transaction& txn, cow::Ref<Desk> desk) {
  std::int64_t settled = 0;
  for (const cow::Ref<Order>& reference : txn.read(desk).orders) {
    const Order& order = txn.read(reference);
    if (order.paid) continue;
    std::int64_t price = price_of(txn, order);
    for (const Line& line : order.lines) {
      Article& article = txn.write(line.article);
      if (article.stock < line.count) throw std::runtime_error("sold out");
      article.stock -= line.count;
    }
    Customer& customer = txn.write(order.customer);
    customer.balance += price;
    customer.notes.push_back("paid " + std::to_string(price));
    txn.write(reference).paid = true;
    settled += price;
  }
  return settled;
}

std::size_t customers_in(cow::Transaction& txn, cow::Ref<Desk> desk, const std::string& city) {
  std::size_t count = 0;
  for (const auto& [name, reference] : txn.read(desk).customers) count += txn.read(reference).city == city;
  return count;
}

// ---- what is counted: a function each, and how often it does it

[[gnu::noinline]] std::int64_t read_articles(cow::Transaction& txn, const std::vector<cow::Ref<Article>>& articles) {
  std::int64_t sum = 0;
  for (const cow::Ref<Article>& article : articles) sum += txn.read(article).price;
  return sum;
}

[[gnu::noinline]] std::int64_t read_by_oid(cow::Transaction& txn, const std::vector<cow::Oid>& oids) {
  std::int64_t sum = 0;
  for (cow::Oid oid : oids) sum += txn.read(cow::Ref<Article>(oid)).price;
  return sum;
}

[[gnu::noinline]] void begin_and_commit(cow::Database& db, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) db.begin().commit();
}

[[gnu::noinline]] void write_articles(cow::Transaction& txn, const std::vector<cow::Ref<Article>>& articles) {
  for (const cow::Ref<Article>& article : articles) txn.write(article).stock += 1;
}

[[gnu::noinline]] void commit(cow::Transaction& txn) { txn.commit(); }

/// All that a commit asks about the fields of what it writes, once the store knows the types.
[[gnu::noinline]] bool ask_fields(const cow::detail::TypeRegistry& types, const cow::detail::WriteSet& writes) {
  return types.knows(writes);
}

/// Articles whose states have one home in a small read log: the worst that a transaction can read in turn.
std::vector<cow::Ref<Article>> colliding(const std::vector<cow::Ref<Article>>& articles, std::size_t count) {
  using cow::detail::HashLog;
  cow::detail::LogTable* table = HashLog::make();
  std::vector<cow::Ref<Article>> found;
  for (const cow::Ref<Article>& article : articles) {
    HashLog log(*table);
    log.add(handle_of(articles.front().hint()));
    log.add(handle_of(article.hint()));
    if (found.size() < count && (found.empty() || !log.contains(handle_of(article.hint())))) found.push_back(article);
    log.clear();
  }
  HashLog::destroy(table);
  return found;
}

/// What is counted meanwhile goes into a dump, whose description says what it was, and how often.
template <class Work>
[[gnu::noinline]] void measure(const char* name, std::size_t count, Work&& work) {
  std::string label = std::string(name) + " " + std::to_string(count);
  CALLGRIND_ZERO_STATS;
  work();
  CALLGRIND_DUMP_STATS_AT(label.c_str());
}

}  // namespace

int main() {
  if (!cow::detail::asymmetric_fences) {
    std::fputs("membarrier(2) is refused here: another path would be counted\n", stderr);
    return 3;
  }
  QuietStore store;
  cow::Database db(store, {.cache_bytes = std::size_t{1} << 28});
  cow::Ref<Desk> desk = open_desk(db);
  store.be_quiet();

  std::vector<cow::Ref<Article>> articles;
  std::vector<cow::Oid> oids;
  {
    cow::Transaction txn = db.begin();
    for (const cow::Ref<Shelf>& shelf : txn.read(desk).shelves) {
      for (const cow::Ref<Article>& article : txn.read(shelf).articles) {
        articles.push_back(article);
        oids.push_back(article.oid());
      }
    }
    for (const cow::Ref<Article>& article : articles)
      (void)txn.read(article);  // copies of references: their hints are set
  }
  // In batches, of which the median counts: a state whose place in the read log is taken costs more, and which those are depends
  // on addresses.
  constexpr std::size_t kBatch = 20, kBatches = 15;
  std::vector<std::vector<cow::Ref<Article>>> batches;
  std::vector<std::vector<cow::Oid>> oid_batches;
  for (std::size_t i = 0; i < kBatches; ++i) {
    auto first = static_cast<std::ptrdiff_t>(i * kBatch), last = static_cast<std::ptrdiff_t>((i + 1) * kBatch);
    batches.emplace_back(articles.begin() + first, articles.begin() + last);
    oid_batches.emplace_back(oids.begin() + first, oids.begin() + last);
  }
  std::int64_t sum = 0;

  // The first round warms: tables grow, functions are linked.
  for (const char* name : {"warm", "first-read"}) {
    cow::Transaction txn = db.begin();
    for (const auto& batch : batches) measure(name, kBatch, [&] { sum += read_articles(txn, batch); });
  }
  {
    cow::Transaction txn = db.begin();
    for (const char* name : {"warm", "repeated-read"}) {
      for (const auto& batch : batches) measure(name, kBatch, [&] { sum += read_articles(txn, batch); });
    }
    for (const char* name : {"warm", "hit-by-oid"}) {
      for (const auto& batch : oid_batches) measure(name, kBatch, [&] { sum += read_by_oid(txn, batch); });
    }
  }
  // Small transactions, in a log as small: the first ones are given up by those before them. (Several hundred reads of states that
  // lie together, as above, make a bitmap.)
  for (int round = 0; round < 60; ++round) {
    cow::Transaction txn = db.begin();
    std::vector<cow::Ref<Article>> few(batches[5].begin(), batches[5].begin() + 12);
    measure(round < 40 ? "warm" : "first-read-of-12", few.size(), [&] { sum += read_articles(txn, few); });
    measure(round < 40 ? "warm" : "repeated-of-12", few.size(), [&] { sum += read_articles(txn, few); });
  }
  for (std::size_t count : {2, 30}) {
    std::vector<cow::Ref<Article>> some = colliding(articles, count);
    if (some.size() != count) return 1;
    std::vector<cow::Ref<Article>> in_turn;
    while (in_turn.size() < 10'000) in_turn.insert(in_turn.end(), some.begin(), some.end());
    cow::Transaction txn = db.begin();
    std::string name = "colliding-" + std::to_string(count);
    measure(name.c_str(), in_turn.size(), [&] { sum += read_articles(txn, in_turn); });
  }
  for (const char* name : {"warm", "begin-commit"}) measure(name, 1000, [&] { begin_and_commit(db, 1000); });
  for (const char* name : {"warm", "first-write"}) {
    cow::Transaction txn = db.begin();
    for (const auto& batch : batches) sum += read_articles(txn, batch);
    for (const auto& batch : batches) measure(name, kBatch, [&] { write_articles(txn, batch); });
  }
  for (int round = 0; round < 40; ++round) {
    cow::Transaction txn = db.begin();
    txn.write(articles[500]).stock += 1;
    measure(round < 30 ? "warm" : "commit-of-one", 1, [&] { commit(txn); });
  }

  {
    constexpr std::size_t kWritten = 100;
    cow::detail::TypeRegistry types(store);
    cow::detail::WriteSet writes;
    for (std::uint64_t i = 0; i < kWritten; ++i) writes.add(cow::Oid{i}, cow::detail::new_state(Article{}));
    types.mark_known(types.unknown_in(writes), {});
    bool known = true;
    for (const char* name : {"warm", "fields-known"})
      measure(name, kWritten, [&] { known = ask_fields(types, writes) && known; });
    for (const cow::detail::WriteSetEntry& entry : writes) cow::detail::destroy_state(*entry.state);
    if (!known) return 1;
  }

  // What the desk is there for; also so that the compiler has more to do than the above.
  std::int64_t settled = db.transact([&](cow::Transaction& txn) { return settle_orders(txn, desk); });
  std::size_t in_bonn = db.transact([&](cow::Transaction& txn) { return customers_in(txn, desk, "Bonn"); });
  std::printf("%" PRId64 " %" PRId64 " %zu\n", sum, settled, in_bonn);
  return settled > 0 && in_bonn == kCustomers / 2 ? 0 : 1;
}
