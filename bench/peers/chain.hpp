// The objects that all peers hold, and the way through them: a random cycle, as in bench/workloads/chase.hpp, whose nodes also
// carry a number. The sum of the numbers on a stretch of the way is known beforehand, so that a peer that reads anything else
// is found out.
//
// Thread safety: never changes once it is made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bench/workloads/random.hpp"
#include "bench/workloads/workload_error.hpp"

namespace cow::bench::peers {

/// What every node holds besides its reference and its number. With them and the header a state takes 192 bytes, as a node of the
/// other chases.
inline constexpr std::size_t kPayloadBytes = 120;
using Payload = std::array<char, kPayloadBytes>;

/// The names of objects in the peers: 1 to the number of objects. (WiredTiger's record numbers begin at 1.)
using Key = std::uint64_t;

/// A node as the peers store it: as it lies in memory, so that decoding it costs nothing.
struct Record {
  Key next;
  std::uint64_t number;
  Payload payload;
};
static_assert(sizeof(Record) == 16 + kPayloadBytes);

/// What one read has found. The payload can be looked at until the next read.
struct Seen {
  std::uint64_t number;
  const char* payload;
};

/// A field of a record that stands at any address: stores align bytes as they like.
template <class Field>
Field load(const void* bytes) {
  Field field;
  std::memcpy(&field, bytes, sizeof field);
  return field;
}

/// Reads a record where it lies, and moves `at` on to the next one.
inline Seen visit(const void* bytes, Key& at) {
  const char* record = static_cast<const char*>(bytes);
  at = load<Key>(record + offsetof(Record, next));
  return {load<std::uint64_t>(record + offsetof(Record, number)), record + offsetof(Record, payload)};
}

class Chain {
 public:
  /// REQUIRES: objects > 0.
  Chain(std::size_t objects, std::uint64_t seed) : seed_(seed), successor_(objects), sums_(objects + 1) {
    Random random(seed);
    order_ = random_permutation(objects, random);
    for (std::size_t step = 0; step < objects; ++step) {
      successor_[order_[step]] = order_[(step + 1) % objects];
      sums_[step + 1] = sums_[step] + number(order_[step]);
    }
  }

  std::size_t objects() const { return order_.size(); }
  /// The object that is read at a step of the way; the way has no end.
  std::size_t object(std::uint64_t step) const { return order_[step % objects()]; }
  std::size_t successor(std::size_t object) const { return successor_[object]; }
  static Key key(std::size_t object) { return object + 1; }

  std::uint64_t number(std::size_t object) const { return Random(seed_ ^ (object << 20)).next(); }

  Payload payload(std::size_t object) const {
    Random random(seed_ + object);
    Payload payload;
    for (std::size_t at = 0; at < payload.size(); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = random.next();
      std::memcpy(payload.data() + at, &word, sizeof word);
    }
    return payload;
  }

  Record record(std::size_t object) const {
    return {.next = key(successor(object)), .number = number(object), .payload = payload(object)};
  }

  /// The sum of the numbers of `steps` objects from a step on, modulo 2^64.
  std::uint64_t sum(std::uint64_t from, std::uint64_t steps) const {
    return sum_before(from + steps) - sum_before(from);
  }

  /// Throws WrongAnswerError unless this is what lies in an object.
  void check(std::size_t object, const Seen& seen) const {
    check_count("the number in an object", number(object), seen.number);
    const Payload expected = payload(object);
    check_answer("bytes in an object", {expected.data(), expected.size()}, {seen.payload, expected.size()});
  }

 private:
  std::uint64_t sum_before(std::uint64_t step) const {
    return step / objects() * sums_.back() + sums_[step % objects()];
  }

  const std::uint64_t seed_;
  std::vector<std::uint32_t> order_;      ///< of the way
  std::vector<std::uint32_t> successor_;  ///< of each object
  std::vector<std::uint64_t> sums_;       ///< of all that come before a step
};

}  // namespace cow::bench::peers
