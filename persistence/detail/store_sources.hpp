// Opens the files of a store for reading, whoever has them open, and as many of them as can be read.
//
// RocksDB is asked to open the database for reading, with all its files at once: what is open stays readable when a writer
// deletes it. Where a writer replaces files between the reading of their list and the opening, it is tried again. (A
// "secondary" of RocksDB's would follow the writer, but wants a folder of its own to write in.)
//
// A damaged database is taken apart: its files are opened one by one, and what is in the log is read by itself, as far as
// RocksDB recovers it. If not even the list of files can be read, all files in the directory are taken, and the log is not.
//
// Thread safety: one thread at a time.
//
// Invariants:
//  1. Nothing is written, and no lock is taken.
//  2. A file that is not read was reported.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/sst_file_reader.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rocksdb_handle.hpp"
#include "tolerant_cursor.hpp"

namespace cow::detail {

class StoreSources {
 public:
  enum class Family { metadata, transactions, revisions };
  /// What cannot be read, and why.
  using Report = std::function<void(const std::string& part, const std::string& why)>;

  /// Throws StoreFormatError for another program's database, StoreError if nothing can be read at all, or if this process may not
  /// read it or has too few descriptors. What is only damaged is reported.
  StoreSources(const std::filesystem::path& directory, Report report);

  TolerantCursor cursor(Family family);
  /// The value of a key of the metadata.
  std::optional<std::string> metadata(std::string_view key) const;
  /// About how many keys there are.
  std::uint64_t estimated_keys(Family family) const;
  /// True: the database could be opened as a whole.
  bool whole() const noexcept { return whole_; }
  /// REQUIRES: whole.
  const RocksDbHandle& handle() const noexcept { return *handle_; }

 private:
  struct File {
    std::string name;
    Family family;
    std::unique_ptr<rocksdb::SstFileReader> reader;
    std::uint64_t keys = 0;
  };

  rocksdb::Status open_whole();
  bool open_parts(const std::string& why);
  void open_live_files();
  void open_all_files();
  std::vector<TolerantCursor::Source> parts(Family family) const;
  void add_file(const std::string& name, std::optional<Family> family, const std::string& range);
  rocksdb::Status open_database(int max_open_files, bool paranoid);

  const std::filesystem::path directory_;
  Report report_;
  bool whole_ = false;
  std::optional<RocksDbHandle> handle_;
  std::vector<File> files_;  // if it is not whole, or was taken apart
  bool has_files_ = false;
};

}  // namespace cow::detail
