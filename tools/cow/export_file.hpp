// The file that `cow export` writes and `cow import` reads: MessagePack values, one after another.
//
//   {"format": "cow export", "version": 1, "store": id, "at": tid, "top": oid}
//   [oid, record as bin]     an object that can be reached from the top; nil in the place of a record: it is not there, and
//   ...                      some other object refers to it
//   [0, number of these, XXH3-64 of all bytes before this array]
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. A file without the last array, or with another checksum, is none.
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/types.hpp"

namespace cow::tool {

/// Writes a file, which is removed again unless `finish` was called.
class ExportWriter {
 public:
  /// `path`: "-" is standard output. Throws Refusal if there is a file already, or none can be made.
  ExportWriter(const std::string& path, std::uint64_t store_id, Tid at, Oid top);
  ~ExportWriter();
  ExportWriter(const ExportWriter&) = delete;
  ExportWriter& operator=(const ExportWriter&) = delete;

  void add(Oid oid, const std::optional<std::string>& record);
  /// Throws Refusal if not all could be written.
  void finish();

 private:
  void write();

  const std::string path_;
  std::FILE* file_ = nullptr;
  msgpack::sbuffer buffer_;
  XXH3_state_t* hash_ = nullptr;
  std::uint64_t count_ = 0;
};

/// What a file holds.
struct ExportedGraph {
  struct Object {
    Oid oid;
    std::optional<std::string_view> record;
  };

  std::string bytes;  ///< of the file; records refer to them
  Oid top;
  std::vector<Object> objects;

  /// Throws Refusal if the file cannot be read or is no export. `path`: "-" is standard input.
  static ExportedGraph read(const std::string& path);
};

}  // namespace cow::tool
