// What there must be one of in a process, whatever shared libraries are compiled with.
//
// Thread safety: a macro.
//
// With -fvisibility=hidden every shared library gets a copy of its own of a static variable in an inline function. A class
// or a function with this attribute keeps its statics visible, so the dynamic linker makes one of them. It cannot do so
// for a library that is opened with dlopen by a program that exports nothing (no -rdynamic): StateMemory::is_ours.
#pragma once

#define COW_CACHE_ONE_PER_PROCESS __attribute__((visibility("default")))
