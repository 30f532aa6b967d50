// One way to follow the chain, measured by one or several threads.
//
// Thread safety: one thread measures; it starts the threads that read.
#pragma once

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/thread_time.hpp"
#include "bench/workloads/workload_error.hpp"
#include "chain.hpp"

namespace cow::bench::peers {

/// What varies between measurements of the same objects.
struct Shape {
  std::size_t reads = 100;  ///< of each transaction
  std::size_t threads = 1;
};

class Contender {
 public:
  explicit Contender(std::string name) : name_(std::move(name)) {}
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
  virtual ~Contender() = default;

  const std::string& name() const { return name_; }

  /// Nanoseconds that a read takes, begin and end of its transaction included: the mean of the threads. Each of them reads for
  /// `seconds`. Throws WrongAnswerError if what was read is not what the chain holds.
  virtual double sample(const Shape& shape, double seconds) = 0;
  /// Reads every byte of every object once. Throws WrongAnswerError.
  virtual void verify() = 0;

 private:
  const std::string name_;
};

/// `open(object)` gives a Reader that begins there. A Reader has `transaction(body)`, which calls `body(step)`; each `step()` reads an
/// object and goes on to the next one, where the next transaction begins.
template <class Reader>
class ContenderOf final : public Contender {
 public:
  using Open = std::function<Reader(std::size_t object)>;

  ContenderOf(std::string name, const Chain& chain, Open open)
      : Contender(std::move(name)), chain_(chain), open_(std::move(open)) {}

  double sample(const Shape& shape, double seconds) override {
    while (walkers_.size() < shape.threads) {
      // Far from each other, so that no thread reads what another has just brought into the processor's cache.
      constexpr double kGoldenRatio = 0.618;
      const double around = kGoldenRatio * static_cast<double>(walkers_.size());
      const auto start =
          static_cast<std::size_t>((around - std::floor(around)) * static_cast<double>(chain_.objects()));
      walkers_.push_back({open_(chain_.object(start)), start, 0, {}});
    }
    std::barrier<> ready(static_cast<std::ptrdiff_t>(shape.threads));
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < shape.threads; ++i) {
      threads.emplace_back([&, i] { walk_for(walkers_[i], shape.reads, seconds, ready); });
    }
    for (std::thread& thread : threads) thread.join();
    double sum = 0;
    for (std::size_t i = 0; i < shape.threads; ++i) {
      if (walkers_[i].failure) std::rethrow_exception(walkers_[i].failure);
      sum += walkers_[i].nanoseconds;
    }
    return sum / static_cast<double>(shape.threads);
  }

  void verify() override {
    Reader reader = open_(chain_.object(0));
    constexpr std::size_t kBatch = 1'000;
    for (std::size_t from = 0; from < chain_.objects(); from += kBatch) {
      reader.transaction([&](auto&& step) {
        for (std::size_t i = from; i < std::min(chain_.objects(), from + kBatch); ++i) {
          chain_.check(chain_.object(i), step());
        }
      });
    }
  }

 private:
  /// On cache lines of its own: each is written by another thread.
  struct alignas(128) Walker {
    Reader reader;
    std::uint64_t at = 0;  ///< the step at which it is
    double nanoseconds = 0;
    std::exception_ptr failure;
  };

  /// A function of its own: the same machine code, whoever measures.
  [[gnu::noinline]] static std::uint64_t transaction(Reader& reader, std::size_t reads) {
    std::uint64_t sum = 0;
    reader.transaction([&](auto&& step) {
      for (std::size_t i = 0; i < reads; ++i) sum += step().number;
    });
    return sum;
  }

  /// Seconds that so many transactions take. Of the processor: reads of warm objects do not wait. (RocksDB takes a mutex for a
  /// snapshot; the time for which another thread holds it is left out, in its favour.)
  double walk(Walker& walker, std::size_t reads, std::size_t transactions) const {
    std::uint64_t sum = 0;
    const double seconds = processor_seconds_of([&] {
      for (std::size_t i = 0; i < transactions; ++i) sum += transaction(walker.reader, reads);
    });
    const std::uint64_t all = transactions * reads;
    check_count(name() + "'s sum over the objects read", chain_.sum(walker.at, all), sum);
    walker.at += all;
    return seconds;
  }

  void walk_for(Walker& walker, std::size_t reads, double seconds, std::barrier<>& ready) const {
    bool is_ready = false;
    try {
      // What was measured before has left the processor's caches full of its own; and the time of a read says how many fit.
      const std::size_t first = (kLeadIn + reads - 1) / reads;
      const double each = walk(walker, reads, first) / static_cast<double>(first);
      const std::size_t transactions =
          std::max<std::size_t>(1, static_cast<std::size_t>(seconds / std::max(each, 1e-9)));
      is_ready = true;
      ready.arrive_and_wait();
      walker.nanoseconds = walk(walker, reads, transactions) * 1e9 / static_cast<double>(transactions * reads);
    } catch (...) {
      walker.failure = std::current_exception();
      if (!is_ready) ready.arrive_and_drop();
    }
  }

  static constexpr std::size_t kLeadIn = 10'000;

  const Chain& chain_;
  const Open open_;
  std::vector<Walker> walkers_;
};

/// Deduces the kind of reader.
template <class Open>
std::unique_ptr<Contender> contender(std::string name, const Chain& chain, Open open) {
  using Reader = decltype(open(std::size_t{}));
  return std::make_unique<ContenderOf<Reader>>(std::move(name), chain, std::move(open));
}

/// The contender keeps its peer alive.
template <class Peer>
std::unique_ptr<Contender> contender_of(std::string name, const Chain& chain, std::shared_ptr<Peer> peer) {
  return contender(std::move(name), chain, [peer](std::size_t object) { return peer->open_reader(object); });
}

}  // namespace cow::bench::peers
