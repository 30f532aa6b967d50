// The functions that code compiled with -fsanitize=thread calls before it touches memory, and those that do its atomic
// operations. ThreadSanitizer's runtime has them, too; here they tell the recorder.
//
// Every atomic operation is done sequentially consistent, which is at least what was asked for.
#include <cstddef>
#include <cstdint>

#include "recorder.hpp"

using cow::bench::coherence::Access;
using cow::bench::coherence::record;

#define COW_SITE __builtin_return_address(0)

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the compiler's.
extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

#define COW_PLAIN(size)                                                                              \
  void __tsan_read##size(void* address) { record(address, size, Access::read, COW_SITE); }           \
  void __tsan_write##size(void* address) { record(address, size, Access::write, COW_SITE); }         \
  void __tsan_unaligned_read##size(void* address) { record(address, size, Access::read, COW_SITE); } \
  void __tsan_unaligned_write##size(void* address) { record(address, size, Access::write, COW_SITE); }
COW_PLAIN(1)
COW_PLAIN(2)
COW_PLAIN(4)
COW_PLAIN(8)
COW_PLAIN(16)
#undef COW_PLAIN

void __tsan_read_range(void* address, std::size_t size) { record(address, size, Access::read, COW_SITE); }
void __tsan_write_range(void* address, std::size_t size) { record(address, size, Access::write, COW_SITE); }
void __tsan_vptr_read(void** address) { record(address, sizeof(void*), Access::read, COW_SITE); }
// Called before the constructor stores the pointer.
void __tsan_vptr_update(void** address, void*) { record(address, sizeof(void*), Access::write, COW_SITE); }

#define COW_FETCH(bits, type, name, builtin)                                         \
  type __tsan_atomic##bits##_fetch_##name(volatile type* address, type value, int) { \
    record(address, sizeof(type), Access::update, COW_SITE);                         \
    return builtin(address, value, __ATOMIC_SEQ_CST);                                \
  }
// A compare-exchange that fails takes the line as one that succeeds does.
#define COW_ATOMIC(bits, type)                                                                                      \
  type __tsan_atomic##bits##_load(const volatile type* address, int) {                                              \
    record(address, sizeof(type), Access::read, COW_SITE);                                                          \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                                              \
  }                                                                                                                 \
  void __tsan_atomic##bits##_store(volatile type* address, type value, int) {                                       \
    record(address, sizeof(type), Access::write, COW_SITE);                                                         \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                                 \
  type __tsan_atomic##bits##_exchange(volatile type* address, type value, int) {                                    \
    record(address, sizeof(type), Access::update, COW_SITE);                                                        \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                                 \
  COW_FETCH(bits, type, add, __atomic_fetch_add)                                                                    \
  COW_FETCH(bits, type, sub, __atomic_fetch_sub)                                                                    \
  COW_FETCH(bits, type, and, __atomic_fetch_and)                                                                    \
  COW_FETCH(bits, type, or, __atomic_fetch_or)                                                                      \
  COW_FETCH(bits, type, xor, __atomic_fetch_xor)                                                                    \
  COW_FETCH(bits, type, nand, __atomic_fetch_nand)                                                                  \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* address, type* expected, type value, int, int) { \
    record(address, sizeof(type), Access::update, COW_SITE);                                                        \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                                 \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* address, type* expected, type value, int, int) {   \
    record(address, sizeof(type), Access::update, COW_SITE);                                                        \
    return __atomic_compare_exchange_n(address, expected, value, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);         \
  }                                                                                                                 \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* address, type expected, type value, int, int) {    \
    record(address, sizeof(type), Access::update, COW_SITE);                                                        \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);              \
    return expected;                                                                                                \
  }
COW_ATOMIC(8, std::uint8_t)
COW_ATOMIC(16, std::uint16_t)
COW_ATOMIC(32, std::uint32_t)
COW_ATOMIC(64, std::uint64_t)
#undef COW_ATOMIC
#undef COW_FETCH
// No function of 128 bits: nothing here has such an atomic, and the linker says so if that changes.

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
