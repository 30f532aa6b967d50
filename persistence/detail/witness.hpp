// The witness: a small file beside RocksDB's, of which RocksDB knows nothing, that says what the store is known to hold.
//
// RocksDB opens what it can read. If its MANIFEST or its log is cut, damaged or gone, that may be an old state of the
// store, or none, and it deletes the files that this state does not need. So the witness is compared first, with the
// database opened for reading only (witness_check.hpp), and a store that holds less than its witness says is refused
// with nothing changed.
//
// The file is three blocks of 4 KiB, each with a record of a sequence number and a checksum at its start. Of the sound
// records the one with the highest number counts.
//  - What must be durable (`begin`, `checkpoint`, the end) is written to the first and the second block in turn, and
//    synced. So while one of them is written the other one is sound, whatever becomes of that write.
//  - What a commit or a reservation changes is written to the third block, after the log was synced, and not synced:
//    half a microsecond in the place of a second wait for the device. The page is with the operating system, so it
//    survives the end of the process; after a power failure the witness may be some seconds old.
// After a write or a sync that failed nothing more is written until the store is opened again.
//
// Thread safety: every function may be called from any thread at once, but for `begin` and the destructor.
//
// Invariants:
//  1. What a record claims was on the device before the record was written. So an older record is true as well, and
//     neither a crash nor a power failure contradicts one.
//  2. A record that says `clean` is on the device only while nothing is written to the database: it is replaced, synced,
//     before RocksDB opens the directory for writing, and written when RocksDB has closed it.
//  3. The sequence number grows from record to record, over all openings.
//  4. Of the first two blocks, one is sound and on the device, and is not being written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>

#include "transaction_record.hpp"
#include "witness_record.hpp"

namespace cow::detail {

inline constexpr std::string_view kWitnessName = "WITNESS";
inline constexpr std::string_view kTemporaryWitness = "WITNESS.dbtmp";

/// Reads the witness in `directory`; nothing if there is none. Throws StoreCorruptError if it has no sound record,
/// StoreFormatError if it is of a version that this build does not know, StoreError if it cannot be read.
std::optional<WitnessRecord> read_witness(const std::filesystem::path& directory);

/// The witness of a store that is open for writing.
class Witness {
 public:
  explicit Witness(const std::filesystem::path& directory) : directory_(directory) {}
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  /// Says `clean` if `closed_cleanly` was called. REQUIRES: RocksDB has closed the directory.
  ~Witness();

  /// Makes `record` count, which is not clean, durably; makes the file if there is none. Throws StoreFullError or
  /// StoreError; what counted before counts on then.
  void begin(const WitnessRecord& record);

  /// RocksDB has opened the directory, and holds this, in database files.
  void opened(const ChainEnd& end, std::uint64_t next_oid, std::uint64_t oid_limit) noexcept;

  /// These note what is on the device now. A failure is ignored: the witness then claims less.
  void committed(const ChainEnd& end) noexcept;
  void reserved(std::uint64_t oid_limit) noexcept;

  /// Notes which files are there, once their names and content are on the device. `log` is the number of the log that is
  /// written to. Does nothing before `opened` and after `closing`. A failure is ignored.
  void note_files(std::uint64_t log) noexcept;

  /// `note_files`, and makes all that was noted durable. Waits for the device, so it is for threads that nobody waits for.
  void checkpoint(std::uint64_t log) noexcept;

  /// No checkpoint is needed any more.
  void closing() noexcept;

  /// All is in database files, and RocksDB is about to be closed: the destructor may say `clean`.
  void closed_cleanly(const ChainEnd& end, std::uint64_t next_oid, std::uint64_t oid_limit) noexcept;

 private:
  template <class Change>
  void note(Change&& change) noexcept;
  bool add_files(std::uint64_t log) noexcept;
  bool write(std::size_t block) noexcept;
  bool write_durable_block() noexcept;
  bool sync() noexcept;

  const std::filesystem::path directory_;
  int fd_ = -1;                  // set by `begin`
  std::mutex checkpoint_mutex_;  // one checkpoint at a time, taken before mutex_
  std::mutex mutex_;
  WitnessRecord record_;          // guarded by mutex_, as are the others
  std::size_t durable_next_ = 0;  // which of the first two blocks may be written next
  bool failed_ = false;
  bool checkpoints_ = false;  // between `opened` and `closing`
  bool closed_cleanly_ = false;
};

}  // namespace cow::detail
