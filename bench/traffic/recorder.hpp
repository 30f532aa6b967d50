// Which threads read and write which cache lines: an exact simulation of a coherence protocol (MESI, caches without limit)
// that runs beside a program.
//
// The program is compiled with -fsanitize=thread, so that the compiler calls a function before each access to memory; but
// it is linked with instrumentation.cpp and library_calls.cpp instead of ThreadSanitizer's runtime, and these tell the
// recorder. Nothing in the program's sources changes.
//
// Thread safety: `Participant` objects are made and destroyed by the thread that they stand for. `begin_phase` and
// `end_phase` are called while no participant runs. The rest may be called from any thread.
//
// Invariants:
//  1. Only participants are recorded. What others wrote before counts as coming from memory: no transfer.
//  2. A line is *shared* in a phase if two participants or more have touched it in that phase.
//  3. A *transfer* is a read or a write that another core's cache must be asked for: a read of a line that this thread's
//     cache does not hold and another one's does, or a write of a line that another one's holds. What lies in the own
//     cache stays there until another thread writes it: a cache without limit, so what is counted is coherence alone.
//  4. The recorder's own code is compiled without instrumentation and uses no template or inline function of the standard
//     library: the linker would merge it with the program's instrumented copy.
//
// Not seen: what a library does inside, but for the calls in library_calls.cpp. The allocator is the case that matters;
// memory that it hands from one thread to another does show.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cow::bench::coherence {

inline constexpr int kMaxParticipants = 32;
inline constexpr std::size_t kLineBytes = 64;

/// What the participants did in a phase, together.
struct Traffic {
  std::uint64_t shared_writes = 0;    ///< stores to shared lines, read-modify-writes included
  std::uint64_t shared_updates = 0;   ///< atomic read-modify-writes of shared lines
  std::uint64_t read_transfers = 0;   ///< reads that another core's cache had to answer
  std::uint64_t write_transfers = 0;  ///< writes that had to take the line from another core's cache
  std::uint64_t busiest_line = 0;     ///< transfers of the line that has most of them
  std::uint64_t shared_lines = 0;     ///< touched by two or more
  std::uint64_t lines = 0;            ///< touched at all
  std::uint64_t heavy_fences = 0;     ///< calls of membarrier(2)
  std::uint64_t accesses = 0;         ///< everything that was recorded
};

/// Where the transfers come from: return addresses of the instrumentation.
struct Site {
  std::uintptr_t address = 0;
  std::uint64_t transfers = 0;
};

/// While one exists in a thread, what the thread does is recorded. REQUIRES: 0 <= number < kMaxParticipants, and no
/// other participant has it.
class Participant {
 public:
  explicit Participant(int number) noexcept;
  Participant(const Participant&) = delete;
  Participant& operator=(const Participant&) = delete;
  ~Participant();
};

/// While one exists, the thread is not recorded.
class Pause {
 public:
  Pause() noexcept;
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
  ~Pause();

 private:
  int was_;
};

/// Counting starts from 0; who holds which line stays as it is.
void begin_phase() noexcept;
/// What was counted since.
Traffic end_phase() noexcept;

/// The sites with most transfers of the phase, most first; returns how many were filled in.
std::size_t busiest_sites(Site* sites, std::size_t most) noexcept;

/// Lets `participants` threads run one after the other, in the order of their numbers, one step each. Unseen by the
/// recorder. REQUIRES: participants <= kMaxParticipants.
class Turns {
 public:
  explicit Turns(int participants) noexcept;
  /// Waits until it is this thread's turn.
  void take(int number) noexcept;
  /// Lets the next one go on. REQUIRES: it is this thread's turn.
  void pass(int number) noexcept;

 private:
  struct alignas(kLineBytes) Flag {
    std::uint32_t may_go = 0;
  };

  const int participants_;
  Flag flags_[kMaxParticipants];
};

// For the instrumentation.

enum class Access { read, write, update };
void record(const volatile void* address, std::size_t size, Access access, const void* site) noexcept;
void record_heavy_fence() noexcept;

}  // namespace cow::bench::coherence
