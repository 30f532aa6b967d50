// Calls of the C library that touch the program's memory where no instrumentation is: locks, condition variables, copies.
// Each stands in the place of the library's own (the dynamic linker finds the program's first), tells the recorder what it
// is going to touch, and calls the original.
//
// A lock is one read-modify-write of its line when it is taken and one when it is released, as glibc's mutexes and
// reader-writer locks are when nobody waits; waiting itself is the kernel's and is not counted.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <cstdarg>
#include <cstddef>
#include <cstdlib>

#include "recorder.hpp"

using cow::bench::coherence::Access;
using cow::bench::coherence::record;

namespace {

template <class Function>
Function* original(Function*& known, const char* name) {
  if (known == nullptr) {
    void* found = ::dlsym(RTLD_NEXT, name);
    if (found == nullptr) std::abort();
    __atomic_store_n(&known, reinterpret_cast<Function*>(found), __ATOMIC_RELAXED);
  }
  return known;
}

}  // namespace

#define COW_SITE __builtin_return_address(0)

#define COW_LOCK_CALL(function, type)                    \
  int function(type* lock) noexcept {                    \
    static decltype(::function)* known = nullptr;        \
    record(lock, sizeof(int), Access::update, COW_SITE); \
    return original(known, #function)(lock);             \
  }

extern "C" {

COW_LOCK_CALL(pthread_mutex_lock, pthread_mutex_t)
COW_LOCK_CALL(pthread_mutex_trylock, pthread_mutex_t)
COW_LOCK_CALL(pthread_mutex_unlock, pthread_mutex_t)
COW_LOCK_CALL(pthread_rwlock_rdlock, pthread_rwlock_t)
COW_LOCK_CALL(pthread_rwlock_tryrdlock, pthread_rwlock_t)
COW_LOCK_CALL(pthread_rwlock_wrlock, pthread_rwlock_t)
COW_LOCK_CALL(pthread_rwlock_trywrlock, pthread_rwlock_t)
COW_LOCK_CALL(pthread_rwlock_unlock, pthread_rwlock_t)

// With nobody waiting, a signal is one read.
int pthread_cond_signal(pthread_cond_t* condition) noexcept {
  static decltype(::pthread_cond_signal)* known = nullptr;
  record(condition, sizeof(int), Access::read, COW_SITE);
  return original(known, "pthread_cond_signal")(condition);
}
int pthread_cond_broadcast(pthread_cond_t* condition) noexcept {
  static decltype(::pthread_cond_broadcast)* known = nullptr;
  record(condition, sizeof(int), Access::read, COW_SITE);
  return original(known, "pthread_cond_broadcast")(condition);
}
// Joins the waiters, gives the mutex up, and takes it again.
int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  static decltype(::pthread_cond_wait)* known = nullptr;
  record(condition, sizeof(int), Access::update, COW_SITE);
  record(mutex, sizeof(int), Access::update, COW_SITE);
  int result = original(known, "pthread_cond_wait")(condition, mutex);
  record(condition, sizeof(int), Access::update, COW_SITE);
  record(mutex, sizeof(int), Access::update, COW_SITE);
  return result;
}

// These are called before anything can be looked up, so they do the work themselves.
void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) noexcept {
  record(from, size, Access::read, COW_SITE);
  record(to, size, Access::write, COW_SITE);
  void* at = to;
  asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}
void* memmove(void* to, const void* from, std::size_t size) noexcept {
  record(from, size, Access::read, COW_SITE);
  record(to, size, Access::write, COW_SITE);
  auto* target = static_cast<unsigned char*>(to);
  const auto* source = static_cast<const unsigned char*>(from);
  if (target <= source || target >= source + size) {
    asm volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
  } else {
    for (; size > 0; --size) {
      target[size - 1] = source[size - 1];
      asm volatile("" : : : "memory");  // or the compiler makes it a call of memmove
    }
  }
  return to;
}
void* memset(void* to, int value, std::size_t size) noexcept {
  record(to, size, Access::write, COW_SITE);
  void* at = to;
  asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
  return to;
}
int memcmp(const void* left, const void* right, std::size_t size) noexcept {
  record(left, size, Access::read, COW_SITE);
  record(right, size, Access::read, COW_SITE);
  const auto* one = static_cast<const volatile unsigned char*>(left);
  const auto* other = static_cast<const volatile unsigned char*>(right);
  for (; size > 0; --size, ++one, ++other) {
    if (*one != *other) return *one < *other ? -1 : 1;
  }
  return 0;
}

// membarrier(2) writes no line, but it interrupts every core that runs a thread of the program.
long syscall(long number, ...) noexcept {
  static decltype(::syscall)* known = nullptr;
  if (number == SYS_membarrier) cow::bench::coherence::record_heavy_fence();
  va_list arguments;
  va_start(arguments, number);
  long a = va_arg(arguments, long), b = va_arg(arguments, long), c = va_arg(arguments, long);
  long d = va_arg(arguments, long), e = va_arg(arguments, long), f = va_arg(arguments, long);
  va_end(arguments);
  return original(known, "syscall")(number, a, b, c, d, e, f);
}

}  // extern "C"
