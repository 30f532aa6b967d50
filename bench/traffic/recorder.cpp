// The recorder: see recorder.hpp. No instrumentation here, and nothing of the standard library but declarations.
#include "recorder.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>

#include <linux/futex.h>
#include <sched.h>

namespace cow::bench::coherence {

namespace {

struct alignas(kLineBytes) Line {
  std::uint64_t number;   // address / 64; 0: the entry is free
  std::uint32_t lock;     // 1: held
  std::uint32_t holders;  // whose caches have it, one bit each
  std::uint32_t toucher;  // in this phase, one bit each
  std::uint64_t phase;    // in which the counters below were last used
  std::uint64_t writes;
  std::uint64_t updates;
  std::uint32_t read_transfers, write_transfers;
};

struct SiteEntry {
  std::uint64_t address, phase, transfers;
};

constexpr std::uint64_t kLines = std::uint64_t{1} << 21;
constexpr std::uint64_t kSites = std::uint64_t{1} << 14;

Line* lines = nullptr;
SiteEntry* sites_seen = nullptr;
std::uint64_t phase = 1, accesses = 0, heavy_fences = 0;
thread_local int participant = -1;

void* reserve(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return memory;
}

void prepare() {
  if (lines != nullptr) return;
  lines = static_cast<Line*>(reserve(kLines * sizeof(Line)));
  sites_seen = static_cast<SiteEntry*>(reserve(kSites * sizeof(SiteEntry)));
}

std::uint64_t scatter(std::uint64_t value) { return value * 0x9E3779B97F4A7C15u; }

/// The entry of that key in an open table, made if there is none.
template <class Entry>
Entry& entry_of(Entry* table, std::uint64_t size, std::uint64_t key, std::uint64_t Entry::*key_of) {
  std::uint64_t at = scatter(key) >> 20 & (size - 1);
  for (std::uint64_t tried = 0; tried < size; ++tried, at = (at + 1) & (size - 1)) {
    std::uint64_t* place = &(table[at].*key_of);
    std::uint64_t found = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    if (found == key) return table[at];
    if (found != 0) continue;
    if (__atomic_compare_exchange_n(place, &found, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) || found == key)
      return table[at];
  }
  std::fputs("coherence recorder: more cache lines than it has room for\n", stderr);
  std::abort();
}

void note_site(const void* site) {
  SiteEntry& entry = entry_of(sites_seen, kSites, reinterpret_cast<std::uint64_t>(site), &SiteEntry::address);
  if (__atomic_exchange_n(&entry.phase, phase, __ATOMIC_RELAXED) != phase)
    __atomic_store_n(&entry.transfers, 0, __ATOMIC_RELAXED);
  __atomic_fetch_add(&entry.transfers, 1, __ATOMIC_RELAXED);
}

void record_line(std::uint64_t number, Access access, const void* site) {
  Line& line = entry_of(lines, kLines, number, &Line::number);
  while (__atomic_exchange_n(&line.lock, 1, __ATOMIC_ACQUIRE) != 0) ::sched_yield();
  if (line.phase != phase) {
    line.phase = phase;
    line.toucher = 0;
    line.writes = line.updates = 0;
    line.read_transfers = line.write_transfers = 0;
  }
  const std::uint32_t self = std::uint32_t{1} << participant;
  const bool others_hold = (line.holders & ~self) != 0;
  line.toucher |= self;
  bool transfer = false;
  if (access == Access::read) {
    transfer = (line.holders & self) == 0 && others_hold;
    line.read_transfers += transfer;
    line.holders |= self;
  } else {
    transfer = others_hold;
    line.write_transfers += transfer;
    line.holders = self;
    ++line.writes;
    line.updates += access == Access::update;
  }
  __atomic_store_n(&line.lock, 0, __ATOMIC_RELEASE);
  if (transfer) note_site(site);
}

}  // namespace

Participant::Participant(int number) noexcept {
  if (number < 0 || number >= kMaxParticipants) std::abort();
  participant = number;
}
Participant::~Participant() { participant = -1; }

Pause::Pause() noexcept : was_(participant) { participant = -1; }
Pause::~Pause() { participant = was_; }

void begin_phase() noexcept {
  prepare();
  ++phase;
  accesses = heavy_fences = 0;
}

Traffic end_phase() noexcept {
  Traffic traffic;
  for (std::uint64_t i = 0; i < kLines; ++i) {
    const Line& line = lines[i];
    if (line.phase != phase) continue;
    ++traffic.lines;
    const std::uint64_t transfers = std::uint64_t{line.read_transfers} + line.write_transfers;
    traffic.read_transfers += line.read_transfers;
    traffic.write_transfers += line.write_transfers;
    if (transfers > traffic.busiest_line) traffic.busiest_line = transfers;
    if ((line.toucher & (line.toucher - 1)) == 0) continue;
    ++traffic.shared_lines;
    traffic.shared_writes += line.writes;
    traffic.shared_updates += line.updates;
  }
  traffic.heavy_fences = heavy_fences;
  traffic.accesses = accesses;
  return traffic;
}

std::size_t busiest_sites(Site* sites, std::size_t most) noexcept {
  std::size_t count = 0;
  for (std::uint64_t i = 0; i < kSites; ++i) {
    const SiteEntry& entry = sites_seen[i];
    if (entry.address == 0 || entry.phase != phase) continue;
    // Insertion into a short sorted list.
    std::size_t place = count;
    while (place > 0 && sites[place - 1].transfers < entry.transfers) --place;
    if (place == most) continue;
    if (count < most) ++count;
    for (std::size_t k = count - 1; k > place; --k) sites[k] = sites[k - 1];
    sites[place].address = entry.address;
    sites[place].transfers = entry.transfers;
  }
  return count;
}

Turns::Turns(int participants) noexcept : participants_(participants) { flags_[0].may_go = 1; }

void Turns::take(int number) noexcept {
  std::uint32_t* flag = &flags_[number].may_go;
  // The kernel hands over faster than a yield does when other programs want the processor, too.
  for (int spins = 0; __atomic_exchange_n(flag, 0, __ATOMIC_ACQUIRE) == 0; ++spins) {
    if (spins > 64) ::syscall(SYS_futex, flag, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
}

void Turns::pass(int number) noexcept {
  std::uint32_t* flag = &flags_[number + 1 == participants_ ? 0 : number + 1].may_go;
  __atomic_store_n(flag, 1, __ATOMIC_RELEASE);
  ::syscall(SYS_futex, flag, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void record(const volatile void* address, std::size_t size, Access access, const void* site) noexcept {
  if (participant < 0 || size == 0) return;
  __atomic_fetch_add(&accesses, 1, __ATOMIC_RELAXED);
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  for (std::uint64_t line = first / kLineBytes; line <= (first + size - 1) / kLineBytes; ++line)
    record_line(line, access, site);
}

void record_heavy_fence() noexcept {
  if (participant >= 0) __atomic_fetch_add(&heavy_fences, 1, __ATOMIC_RELAXED);
}

}  // namespace cow::bench::coherence
