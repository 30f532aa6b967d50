// Stacks of fibers, each with a guard below it: a fiber that needs more than its stack ends the program, by SIGSEGV, instead of
// overwriting what others have there.
//
// Thread safety: the stacks of one thread's fibers; a fiber stays on its thread.
//
// Invariants:
//  1. Below each stack lies a guard that cannot be read or written, of 1 MiB of addresses, as the kernel keeps below a
//     thread's stack: one page would be stepped over by a function with a large array. (A frame that is larger than the guard
//     still is; -fstack-clash-protection makes the compiler touch each page of it.)
//  2. A guard costs addresses, no memory. But it is a mapping of its own, so a stack counts twice in vm.max_map_count, which
//     is 65,530 where nobody has changed it: some 32,000 fibers in a process. Past that `take` says that there are none.
//  3. Up to kKept stacks wait to be used again, for to map and unmap one takes microseconds. What they have touched stays in
//     memory.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/stack_context.hpp>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace cow::detail {

class FiberStacks {
 public:
  static constexpr std::size_t kGuardBytes = std::size_t{1} << 20;
  static constexpr std::size_t kMinBytes = std::size_t{16} << 10;
  static constexpr std::size_t kKept = 256;

  /// `bytes`: of each stack, rounded up to pages. Throws std::invalid_argument if nothing could run on it.
  explicit FiberStacks(std::size_t bytes) : bytes_(round_up(bytes)) { kept_.reserve(kKept); }
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;
  ~FiberStacks() {
    for (boost::context::stack_context& stack : kept_) unmap(stack);
  }

  static std::size_t round_up(std::size_t bytes) {
    auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    if (bytes < kMinBytes) {
      throw std::invalid_argument("stacks of fibers need " + std::to_string(kMinBytes) + " bytes, not " +
                                  std::to_string(bytes));
    }
    if (bytes > kMaxBytes)
      throw std::invalid_argument("no addresses for stacks of " + std::to_string(bytes) + " bytes");
    return (bytes + page - 1) / page * page;
  }

  /// Nothing: there is no memory, or no mapping, for another one now.
  std::optional<boost::context::stack_context> take() noexcept {
    if (!kept_.empty()) {
      boost::context::stack_context stack = kept_.back();
      kept_.pop_back();
      return stack;
    }
    void* memory = ::mmap(nullptr, kGuardBytes + bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return std::nullopt;
    std::byte* lowest = static_cast<std::byte*>(memory) + kGuardBytes;
    boost::context::stack_context stack;
    stack.size = bytes_;
    stack.sp = lowest + bytes_;
    if (::mprotect(lowest, bytes_, PROT_READ | PROT_WRITE) == 0) return stack;
    unmap(stack);
    return std::nullopt;
  }

  void give_back(boost::context::stack_context& stack) noexcept {
    if (kept_.size() < kKept) {
      kept_.push_back(stack);  // reserved
    } else {
      unmap(stack);
    }
  }

 private:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 40;

  void unmap(boost::context::stack_context& stack) const noexcept {
    ::munmap(static_cast<std::byte*>(stack.sp) - bytes_ - kGuardBytes, bytes_ + kGuardBytes);
  }

  const std::size_t bytes_;
  std::vector<boost::context::stack_context> kept_;
};

/// A stack that was taken already, in the form that Boost.Fiber asks for.
class TakenFiberStack {
 public:
  TakenFiberStack(FiberStacks& from, const boost::context::stack_context& stack) noexcept
      : from_(&from), stack_(stack) {}
  boost::context::stack_context allocate() const noexcept { return stack_; }
  void deallocate(boost::context::stack_context& stack) const noexcept { from_->give_back(stack); }

 private:
  FiberStacks* from_;
  boost::context::stack_context stack_;
};

}  // namespace cow::detail
