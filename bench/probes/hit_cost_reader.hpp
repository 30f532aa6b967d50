// The read path of SharedCache::Reader with parts left out, to measure what each part costs.
//
// It is made of the cache's own parts (registry, read logs, oid table, state headers) and reads the states of a real
// SharedCache, so that every variant meets the same objects at the same addresses. What is left out is left out when the
// program is compiled: no variant pays for a question that another one asks. It cannot write, load or wait.
//
// The variants are for measuring only. None of them may be used as a cache:
//  - without the log nothing tells the reclaimer what is being read, so a state can be freed under its reader;
//  - without the interval check a transaction sees commits after its snapshot, and halves of them;
//  - without the visited bit the replacement policy takes what is read all the time for cold, and evicts it;
//  - without the key check a hint that is stale leads to another object, or to freed memory.
// Without hints and without decoded values reads are right and slow. Here all of them are harmless: nobody
// writes, and nothing is evicted.
//
// Thread safety: a transaction belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "hit_cost_logs.hpp"
#include "residents.hpp"

namespace cow::bench {

using cow::detail::build_state;
using cow::detail::destroy_state;
using cow::detail::handle_of;
using cow::detail::Participant;
using cow::detail::ReadLog;
using cow::detail::StateHeader;
using cow::detail::type_operations;
using cow::detail::TypeOperations;
using cow::detail::value_of;

/// What a read does; a variant has less. Each is a part of the real reader, as `Everything` is all of it.
struct Everything {
  using Log = ReadLog;                     ///< NoLog: none; or one layout only
  static constexpr bool kInterval = true;  ///< asks whether the state is visible at the snapshot
  static constexpr bool kVisited = true;   ///< tells the replacement policy
  static constexpr bool kHint = true;      ///< false: searches the oid table
  static constexpr bool kDecoded =
      true;                           ///< false: the cache has records, and each read decodes one; REQUIRES no hints
  static constexpr bool kKey = true;  ///< asks whether the hint is right; false: REQUIRES neither log nor interval
  static constexpr bool kCounts = false;  ///< how many reads there are, which the real reader does not count
};

struct WithoutLog : Everything {
  using Log = NoLog;
};
struct WithoutVisited : Everything {
  static constexpr bool kVisited = false;
};
struct WithoutInterval : Everything {
  static constexpr bool kInterval = false;
};
struct WithoutHint : Everything {
  static constexpr bool kHint = false;
};
struct WithoutDecode : WithoutHint {  // a record has no place for hints
  static constexpr bool kDecoded = false;
};
struct HashOnly : Everything {
  using Log = HashLog;
};
struct BitmapOnly : Everything {
  using Log = BitmapLog;
};
struct KeyOnly : WithoutLog {
  static constexpr bool kInterval = false, kVisited = false;
};
struct HintOnly : KeyOnly {
  static constexpr bool kKey = false;
};
struct Counting : Everything {
  static constexpr bool kCounts = true;
};

/// A transaction that can only read what is resident. See SharedCache::Reader, whose steps these are.
template <class Features>
class ProbeTransaction {
 public:
  explicit ProbeTransaction(Residents& residents)
      : residents_(residents),
        participant_(residents.registry().begin()),
        cache_bits_(residents.cache_bits()),
        snapshot_(participant_.snapshot.load(std::memory_order_relaxed)) {
    log_.open(participant_);
  }
  ProbeTransaction(const ProbeTransaction&) = delete;
  ProbeTransaction& operator=(const ProbeTransaction&) = delete;
  ~ProbeTransaction() {
    end_pass();
    log_.close();
    residents_.registry().end(participant_);
  }

  template <class T>
  [[gnu::always_inline]] const T& read(const Ref<T>& reference) {
    if constexpr (Features::kCounts) ++reads_;
    if constexpr (!Features::kDecoded) {
      return decoded<T>(*read_by_oid(reference, type_operations<T>));
    } else if constexpr (!Features::kHint) {
      return value_of<T>(*read_by_oid(reference, type_operations<T>));
    } else {
      StateHeader* state = reference.hint();
      if (is_hit(*state, reference.identity() | cache_bits_)) [[likely]]
        return value_of<T>(*state);
      return value_of<T>(*read_first(reference, type_operations<T>));
    }
  }

  RootView<ProbeTransaction> root() { return RootView<ProbeTransaction>(*this); }
  static Ref<RootDirectory> root_reference() { return Ref<RootDirectory>(kRootOid); }

  /// What a pass over the objects has decoded goes with it.
  void end_pass() noexcept {
    for (StateHeader* state : decoded_) destroy_state(*state);
    decoded_.clear();
  }

  std::uint64_t reads() const noexcept { return reads_; }  ///< 0 unless it counts
  std::uint32_t states_logged() const noexcept { return log_.size(); }
  bool log_is_bitmap() const noexcept { return participant_.log.load(std::memory_order_relaxed)->bitmap != nullptr; }

 private:
  static constexpr bool kLogs = !std::is_same_v<typename Features::Log, NoLog>;

  /// Whether nothing more is to be done. What is not in a log must be looked at again each time.
  [[gnu::always_inline]] bool is_hit(StateHeader& state, std::uint64_t key) const noexcept {
    if constexpr (kLogs) {
      return log_.contains(handle_of(&state)) && state.key.load(std::memory_order_acquire) == key;
    } else if constexpr (Features::kKey) {
      if (state.key.load(std::memory_order_acquire) != key || !is_visible(state)) return false;
      mark_visited(state);
      return true;
    } else {
      return &state != &cow::detail::null_state.header;
    }
  }

  [[gnu::noinline]] StateHeader* read_first(auto& reference, const TypeOperations& operations) {
    StateHeader* state = reference.hint();
    if (log_.try_add(handle_of(state))) [[likely]] {
      if (look_at(*state, reference.identity() | cache_bits_)) [[likely]]
        return state;
      log_.undo_add(handle_of(state));
    }
    return read_by_any_means(reference, operations);
  }

  [[gnu::noinline]] StateHeader* read_by_any_means(auto& reference, const TypeOperations& operations) {
    StateHeader* state = reference.hint();
    if (state != &cow::detail::null_state.header && log_and_validate(*state, reference.identity() | cache_bits_))
      return state;
    return find(reference.oid(), operations);
  }

  /// A hit without a hint: what the table says is in the log, or is looked at.
  [[gnu::always_inline]] StateHeader* read_by_oid(auto& reference, const TypeOperations& operations) {
    StateHeader* state = residents_.newest(reference.oid());
    if (state != nullptr && is_hit(*state, reference.identity() | cache_bits_)) [[likely]]
      return state;
    return find(reference.oid(), operations);
  }

  [[gnu::noinline]] StateHeader* find(Oid oid, const TypeOperations& operations) {
    StateHeader* state = residents_.newest(oid);
    if (state == nullptr || !log_and_validate(*state, cache_bits_ | operations.type_bits() | oid.value)) {
      throw std::logic_error("oid " + std::to_string(oid.value) + " is not resident");
    }
    return state;
  }

  bool log_and_validate(StateHeader& state, std::uint64_t key) {
    ReadLog::Outcome outcome = log_.add(handle_of(&state));
    if (look_at(state, key)) return true;
    if (outcome == ReadLog::Outcome::inserted) log_.undo_add(handle_of(&state));
    return false;
  }

  [[gnu::always_inline]] bool look_at(StateHeader& state, std::uint64_t key) const noexcept {
    if (cow::detail::validate(state.key) != key || !is_visible(state)) return false;
    mark_visited(state);
    return true;
  }

  [[gnu::always_inline]] bool is_visible(const StateHeader& state) const noexcept {
    if constexpr (!Features::kInterval) return true;
    return state.begin.load(std::memory_order_relaxed) <= snapshot_ &&  // memory orders: as in SharedCache::Reader
           state.end.load(std::memory_order_acquire) > snapshot_;
  }

  [[gnu::always_inline]] static void mark_visited(StateHeader& state) noexcept {
    if constexpr (!Features::kVisited) return;
    state.mark_visited();
  }

  /// The value once more, from its record. It lasts until the pass ends, for the program may hold references to it.
  template <class T>
  const T& decoded(const StateHeader& state) {
    const Oid oid = state.oid();
    StateHeader& made = build_state(type_operations<T>, [&](StateHeader& raw) {
      type_operations<T>.decode(raw, residents_.record_of(oid), oid, Tid{state.begin.load(std::memory_order_relaxed)});
    });
    decoded_.push_back(&made);
    return value_of<T>(made);
  }

  typename Features::Log log_;
  Residents& residents_;
  Participant& participant_;
  const std::uint64_t cache_bits_, snapshot_;
  std::uint64_t reads_ = 0;
  std::vector<StateHeader*> decoded_;
};

template <class Features>
using ProbeDatabase = DatabaseOf<ProbeTransaction<Features>>;

}  // namespace cow::bench
