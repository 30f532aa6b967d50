// Walk: a workload of places. A transaction goes from the square along random ways; one that writes leaves a mark where it ends.
//
// Thread safety: as TransactionWorkload (bench/driver/transaction_workload.hpp).
#include <msgpack.hpp>

#include "bench/driver/transaction_workload.hpp"
#include "bench/support/option_checks.hpp"

namespace cow::bench {
namespace {

template <class Database>
struct Place {
  static constexpr std::string_view cow_type_name = "walk.Place";
  std::uint64_t marks = 0;
  std::vector<typename Database::Pointers::template Ref<Place>> ways;  // of the square: to all places
  MSGPACK_DEFINE(marks, ways);
};

struct Walk {
  static constexpr std::string_view kRoot = "walk.square";
  std::uint32_t places = 10'000, steps = 20;

  void add_options(CLI::App& own) {
    own.add_option("--places", places, "So many, with four ways each")->check(at_least_one())->capture_default_str();
    own.add_option("--steps", steps, "Of a transaction")->check(at_least_one())->capture_default_str();
  }
  nlohmann::json parameters() const { return {{"places", places}, {"steps", steps}}; }

  template <class Database>
  void load(typename Database::Transaction& txn, Random& random) const {
    Place<Database> square;
    for (std::uint32_t i = 0; i < places; ++i) square.ways.push_back(txn.create(Place<Database>{}));
    for (const auto& place : square.ways) {
      for (int way = 0; way < 4; ++way) txn.write(place).ways.push_back(square.ways[random.below(places)]);
    }
    txn.root().emplace(kRoot, square);
  }

  template <class Database>
  void step(typename Database::Transaction& txn, Random& dice, bool writes) const {
    const auto square = txn.root().template get<Place<Database>>(kRoot);
    const auto* at = &square;
    for (std::uint32_t i = 0; i < steps; ++i) {
      const auto& ways = txn.read(*at).ways;
      at = &ways[dice.below(ways.size())];
    }
    if (writes) ++txn.write(*at).marks;
  }

  template <class Database>
  std::uint64_t count(typename Database::Transaction& txn) const {
    const auto square = txn.root().template get<Place<Database>>(kRoot);
    check_count("places", places, txn.read(square).ways.size());
    std::uint64_t marks = 0;
    for (const auto& place : txn.read(square).ways) marks += txn.read(place).marks;
    return marks;
  }
};

}  // namespace

std::unique_ptr<Workload> make_walk() { return std::make_unique<TransactionWorkload<Walk>>(); }

}  // namespace cow::bench
