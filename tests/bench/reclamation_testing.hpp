// What the tests of the schemes of bench/ablation share: states whose life is known by their number, and sessions without a cache.
//
// A scheme that was broken on purpose frees too early. It must be noticed without touching what was freed: so the numbers are asked,
// not the states.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bench/ablation/attachment.hpp"
#include "bench/ablation/scheme.hpp"
#include "cow_cache/detail/reclaim/asymmetric_fence.hpp"
#include "cow_cache/detail/reclaim/read_log.hpp"
#include "cow_cache/detail/reclaim/transaction_registry.hpp"
#include "cow_cache/detail/state/key.hpp"
#include "cow_cache/detail/state/lifecycle.hpp"

namespace cow::testing {

/// A value that says by its number whether it is alive. Its text lives on the heap, where AddressSanitizer watches.
struct Tracked {
  static constexpr std::size_t kNumbers = std::size_t{1} << 20;

  explicit Tracked(std::uint64_t number)
      : number(number), text("a text too long for the small string buffer, " + std::to_string(number)) {
    alive[number % kNumbers] = true;
    ++count;
  }
  ~Tracked() {
    alive[number % kNumbers] = false;
    --count;
  }
  bool is_intact() const { return text.ends_with(" " + std::to_string(number)); }

  std::uint64_t number;
  std::string text;
  static inline std::array<std::atomic<bool>, kNumbers> alive{};
  static inline std::atomic<std::int64_t> count = 0;
};

inline constexpr detail::TypeOperations kTrackedOperations{
    .name = "Tracked",
    .spelled = "cow::testing::Tracked",
    .schema = 1,
    .state_bytes = sizeof(detail::State<Tracked>),
    .type_bits = detail::type_bits<Tracked>,
    .destroy = [](detail::StateHeader& state) noexcept { detail::value_of<Tracked>(state).~Tracked(); },
    .copy = nullptr,
    .encode = nullptr,
    .prepare_decode = nullptr,
    .decode = nullptr,
    .add_heap_bytes = nullptr,
};

/// A scheme, and what it needs of a cache.
class World {
 public:
  static constexpr std::size_t kBudget = std::size_t{64} << 10;

  explicit World(const bench::Scheme& scheme) : member_(scheme), reclaimer_(scheme.make(registry_, kBudget)) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  /// REQUIRES: no reader is open.
  ~World() {
    reclaimer_.reset();
    EXPECT_EQ(Tracked::count.load(), 0) << "states leaked";
  }

  /// A state born with the last commit.
  detail::StateHeader& make() { return make_as(next_number_++, frontier_.load()); }
  static detail::StateHeader& make_as(std::uint64_t number, std::uint64_t birth) {
    detail::StateHeader& state = detail::build_state(
        kTrackedOperations, [&](detail::StateHeader& raw) { ::new (&detail::value_of<Tracked>(raw)) Tracked(number); });
    detail::set_charge(state, 0);
    state.begin.store(birth, std::memory_order_relaxed);
    state.key.store(state.key_as(Oid{number}, 0), std::memory_order_release);
    return state;
  }

  void retire(detail::StateHeader& state) {
    detail::Reclaimer::mark_dead(state);
    reclaimer_->retire(detail::StateChain(state));
  }

  /// Retires so many states that nobody has read, born with the last commit. Returns the bytes of one.
  std::size_t retire_garbage(int states) {
    std::size_t charge = 0;
    for (int i = 0; i < states; ++i) {
      detail::StateHeader& state = make();
      charge = state.charge();
      retire(state);
    }
    return charge;
  }

  void commit() { ++frontier_; }
  std::uint64_t frontier() const { return frontier_.load(std::memory_order_acquire); }
  detail::TransactionRegistry& registry() noexcept { return registry_; }
  detail::Reclaimer& reclaimer() noexcept { return *reclaimer_; }

 private:
  bench::Membership member_;
  std::atomic<std::uint64_t> frontier_{1};
  std::uint64_t next_number_ = 1;
  detail::TransactionRegistry registry_{frontier_};
  std::unique_ptr<detail::Reclaimer> reclaimer_;
};

/// What AttachedSession (bench/ablation/session.hpp) is, without a cache: reads go by states.
class Reader {
 public:
  explicit Reader(World& world) : world_(world) {
    auto* attached = dynamic_cast<bench::AttachedReclaimer*>(&world.reclaimer());
    if (attached != nullptr) attachment_ = attached->attach();
    if (attachment_ == nullptr) attachment_ = std::make_unique<bench::Attachment>();
    begin();
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { end(); }

  /// REQUIRES: it has ended.
  void begin() {
    attachment_->opening();
    participant_ = &world_.registry().begin();
    log_.open(*participant_);
    attachment_->opened(*participant_);
  }

  /// A read in two steps, the caller being between the look and what a session does then. False: the state is not to be used, and the read
  /// is over. Throws SnapshotTooOldError.
  bool start_read(detail::StateHeader& state) {
    attachment_->enter(log_.size());
    reading_ = detail::handle_of(&state);
    is_new_ = log_.add(reading_) == detail::ReadLog::Outcome::inserted;
    std::uint64_t key = detail::validate(state.key);
    if (key != 0 && (key & detail::kDeadMark) == 0 && state.begin.load(std::memory_order_relaxed) <= snapshot())
      return true;
    if (is_new_) log_.undo_add(reading_);
    attachment_->leave();
    return false;
  }
  void finish_read() {
    if (is_new_) attachment_->logged(reading_);
    attachment_->leave();
  }
  bool read(detail::StateHeader& state) {
    if (!start_read(state)) return false;
    finish_read();
    return true;
  }

  void mark_diverted(const detail::StateHeader& state) { log_.mark_diverted(detail::handle_of(&state)); }
  void will_sleep() { world_.registry().will_sleep(*participant_); }
  void wake() { world_.registry().wake(*participant_); }

  /// Whether it may go on: nobody has aborted it.
  bool may_go_on() {
    try {
      attachment_->enter(log_.size());
    } catch (const bench::SnapshotTooOldError&) {
      return false;
    }
    attachment_->leave();
    return true;
  }

  /// A commit in two steps, the caller being in the middle.
  void start_commit() {
    attachment_->closing(true);
    attachment_->enter(log_.size());
  }
  void finish_commit() {
    attachment_->leave();
    end_participant();
  }

  /// Harmless if it has ended.
  void end() {
    if (participant_ == nullptr) return;
    attachment_->closing(false);
    end_participant();
  }

 private:
  std::uint64_t snapshot() const { return participant_->snapshot.load(std::memory_order_relaxed); }
  void end_participant() {
    log_.close();
    world_.registry().end(*std::exchange(participant_, nullptr));
    attachment_->closed();
  }

  World& world_;
  std::unique_ptr<bench::Attachment> attachment_;
  detail::Participant* participant_ = nullptr;
  detail::ReadLog log_;
  detail::StateHandle reading_ = 0;
  bool is_new_ = false;
};

}  // namespace cow::testing
