// Checks what RocksDB reads of a database file before RocksDB checks it.
//
// RocksDB compares the checksum of each block before it takes the block apart, but for one: the properties of a database
// file are parsed first, and their checksum compared afterwards. In a build with assertions, as Debian's, a flipped byte
// at the end of that block ends the process. A footer is covered by no checksum, and a size in it that is wrong is
// asked of the allocator. So both are looked at here, each time RocksDB opens such a file: two or three reads of
// what RocksDB reads next.
//
// Thread safety: every function may be called from any number of threads at once.
//
// Invariants:
//  1. What is refused is damaged: what the check does not know, it leaves to RocksDB.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace cow::detail {

/// Reads `size` bytes at `offset` of a file to `bytes`, all of them; false: that failed, and is RocksDB's to report.
using ReadTable = std::function<bool(std::uint64_t offset, std::uint64_t size, std::string& bytes)>;

/// What is damaged of the parts of a database file of `size` bytes that RocksDB does not check itself, in words; empty
/// if nothing is.
std::string damage_of_table(std::uint64_t size, const ReadTable& read);

/// The system's files, and database files as above. Lives as long as the process, as RocksDB's own does.
rocksdb::Env* checked_env();

}  // namespace cow::detail
