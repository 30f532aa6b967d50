// What the chunk check is tried on: OO7's small module in a shared cache, some of whose chunks were written to since they were filled,
// and passes over it by each way to read.
//
// Thread safety: one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string_view>
#include <vector>

#include "bench/support/in_memory_systems.hpp"
#include "bench/workloads/oo7/oo7.hpp"
#include "chunk_reader.hpp"

namespace cow::bench {

inline oo7::Parameters chunk_check_module(bool small) {
  oo7::Parameters parameters = oo7::Parameters::small();
  if (small) {
    parameters.composites = 20;
    parameters.assembly_levels = 3;
  }
  return parameters;
}

/// One traversal.
template <class Database, oo7::Operation kOperation>
class Pass {
 public:
  explicit Pass(const oo7::Parameters& parameters)
      : traverser_(std::make_shared<oo7::Traverser<Database>>(parameters)) {}

  /// Returns the checksum of what was read. Throws WrongAnswerError if its counts are wrong.
  template <class Transaction>
  std::int64_t operator()(Transaction& txn) {
    const oo7::Result result = traverser_->template traverse<kOperation>(txn);
    oo7::check(traverser_->expected(kOperation), result);
    return result.checksum;
  }

 private:
  std::shared_ptr<oo7::Traverser<Database>> traverser_;
};

/// The module in a cache that has loaded it in the order in which T1 reads it. Chunks are counted by 2^kShift bytes.
template <unsigned kShift>
class ChunkedModule {
 public:
  using Headers = ChunkHeaders<kShift>;

  ChunkedModule(const oo7::Parameters& parameters, std::uint64_t seed)
      : parameters_(parameters),
        random_(seed),
        system_([&](Database& database) { oo7::generate(database, parameters); }),
        sleeper_(system_.database.begin()),
        loaded_(system_.database.last_tid()) {
    Pass<Database, oo7::Operation::t1>{parameters_}(sleeper_);
    look_around();
    std::map<std::uint64_t, std::vector<StateHeader*>> by_chunk;
    residents_->for_each_state([&](StateHeader& state) {
      if (is_design_object(state)) by_chunk[chunk_of<kShift>(state)].push_back(&state);
    });
    for (auto& [chunk, states] : by_chunk) unwritten_.push_back(states[random_() % states.size()]);
    std::shuffle(unwritten_.begin(), unwritten_.end(), random_);
    chunks_ = unwritten_.size();
  }

  /// Writes to an object in each of further chunks, until at least that share of them was written to. The states that are superseded
  /// stay, for a transaction sleeps that sees them. REQUIRES: no other transaction is open.
  void write_to(double share) {
    const auto wanted = static_cast<std::size_t>(share * static_cast<double>(chunks_) + 0.999);
    if (wanted > chunks_ - unwritten_.size()) {
      system_.database.transact([&](Transaction& txn) {
        for (std::size_t written = chunks_ - unwritten_.size(); written < wanted; ++written) {
          write(txn, *unwritten_.back());
          unwritten_.pop_back();
        }
      });
    }
    look_around();
  }

  const oo7::Parameters& parameters() const noexcept { return parameters_; }
  InMemory<SharedCache>& system() noexcept { return system_; }
  Residents& residents() noexcept { return *residents_; }
  Headers& headers() noexcept { return *headers_; }
  /// No chunk is whole.
  Headers& no_headers() noexcept { return no_headers_; }
  std::mt19937_64& random() noexcept { return random_; }
  /// That hold objects of the design.
  std::size_t chunks() const noexcept { return chunks_; }

  /// Reads by reference what a transaction that looks at a few parts would.
  template <class Txn>
  void read_parts(Txn& txn, std::size_t count, std::mt19937_64 random) {
    for (std::size_t i = 0; i < count; ++i) {
      StateHeader& state = *parts_[random() % parts_.size()];
      (void)txn.read(Ref<Part>(state.oid(), state));
    }
  }

 private:
  using Part = oo7::AtomicPart<SharedCache::Pointers>;

  /// With the states as they are now, and every hint right.
  void look_around() {
    headers_.reset();
    residents_.reset();
    Transaction txn = system_.database.begin();
    for (int i = 0; i < 2; ++i) Pass<Database, oo7::Operation::t1>{parameters_}(txn);
    residents_.emplace(system_.database, txn.read(Transaction::root_reference()));
    headers_.emplace(*residents_, loaded_);
    parts_.clear();
    residents_->for_each_state([&](StateHeader& state) {
      if (!state.is_superseded() && state.operations().name == Part::cow_type_name) parts_.push_back(&state);
    });
  }

  template <class Visitor>
  static bool with_type_of(const StateHeader& state, Visitor&& visit) {
    using P = SharedCache::Pointers;
    const std::string_view name = state.operations().name;
    auto is = [&]<class T>(std::type_identity<T> type) {
      if (name != T::cow_type_name) return false;
      visit(type);
      return true;
    };
    return is(std::type_identity<oo7::AtomicPart<P>>{}) || is(std::type_identity<oo7::Connection<P>>{}) ||
           is(std::type_identity<oo7::CompositePart<P>>{}) || is(std::type_identity<oo7::BaseAssembly<P>>{}) ||
           is(std::type_identity<oo7::ComplexAssembly<P>>{});
  }
  /// Of those that traversals read.
  static bool is_design_object(const StateHeader& state) {
    return with_type_of(state, [](auto) {});
  }
  static void write(Transaction& txn, StateHeader& state) {
    with_type_of(state, [&]<class T>(std::type_identity<T>) { (void)txn.write(Ref<T>(state.oid(), state)); });
  }

  const oo7::Parameters parameters_;
  std::mt19937_64 random_;
  InMemory<SharedCache> system_;
  Transaction sleeper_;  // holds what it has read
  const Tid loaded_;
  std::optional<Residents> residents_;
  std::optional<Headers> headers_;
  Headers no_headers_;
  std::size_t chunks_ = 0;
  std::vector<StateHeader*> unwritten_;  // one in each of the chunks that were not written to yet
  std::vector<StateHeader*> parts_;
};

/// What a transaction holds of the memory: what nobody may free before it ends.
struct Holdings {
  std::size_t chunks = 0, states = 0;           ///< entries of its logs
  std::size_t held_states = 0, held_bytes = 0;  ///< with all that lie in the chunks
};

template <class Transaction>
Holdings holdings_of(const Transaction& txn, const Residents& residents, unsigned shift) {
  Holdings holdings{.chunks = txn.chunks().size(), .states = txn.states().size()};
  std::set<std::uint64_t> chunks;
  txn.chunks().for_each([&](std::uint64_t chunk) { chunks.insert(chunk); });
  std::set<cow::detail::StateHandle> states;
  txn.states().for_each([&](cow::detail::StateHandle handle) { states.insert(handle); });
  residents.for_each_state([&](const StateHeader& state) {
    const std::uint64_t chunk = reinterpret_cast<std::uintptr_t>(&state + 1) >> shift;
    if (!chunks.contains(chunk) && !states.contains(handle_of(&state))) return;
    ++holdings.held_states;
    holdings.held_bytes += state.charge();
  });
  return holdings;
}

}  // namespace cow::bench
