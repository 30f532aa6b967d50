// What clients write down of their transactions, so that it survives the death of their process: one file for each client.
//
// Thread safety: a Journal is used by one thread. read_journal is called when the process that wrote it is dead or done.
//
// Invariants:
//  1. An entry is one write(2): it is in the file, whole, before anything is done that depends on it. What a killed process has half
//     written is the last entry, and it is left out: nothing came of it, for `write` has not returned.
//  2. [asked-first] A transaction that writes is in the file before its commit is called, and once more with what came of it. So one without
//     an end was not answered, and one that is not there at all was not even asked.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cow_cache/types.hpp"
#include "history.hpp"

namespace cow::bench::history {

/// A transaction as its client has known it.
struct Recorded {
  HistoryTransaction what;  ///< `unknown`, too, if its process died before it got the answer
  std::uint64_t id = 0;
  Tid snapshot;            ///< what it has read
  Tid tid;                 ///< of its commit, if it was acknowledged and has written something
  std::int64_t began = 0;  ///< before it began. (`what.begin` may be earlier, where the past is allowed)
  std::int64_t asked = 0;  ///< before commit was called; 0: it was not, or it had written nothing
  bool has_ended = true;   ///< false: its process died before
  bool is_unseen = false;  ///< committed, and its process could not see it at once
  std::uint32_t client = 0;
};

class Journal {
 public:
  explicit Journal(const std::filesystem::path& path)
      : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), path.string());
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal() { ::close(file_); }

  /// All that is known before the commit.
  void asks(const Recorded& recorded) { write_down(kAsks, recorded); }
  /// What came of one that has asked.
  void is_answered(const Recorded& recorded) {
    words_ = {0, kAnswered, recorded.id};
    add_end(recorded);
    append();
  }
  /// One that has not asked.
  void has_ended(const Recorded& recorded) { write_down(kEnded, recorded); }

 private:
  friend void read_journal(const std::filesystem::path&, std::vector<Recorded>&);
  enum Kind : std::uint64_t { kAsks = 1, kAnswered, kEnded };

  void write_down(Kind kind, const Recorded& recorded) {
    words_ = {0, kind, recorded.id};
    add_end(recorded);
    for (const std::uint64_t word :
         {static_cast<std::uint64_t>(recorded.what.begin), static_cast<std::uint64_t>(recorded.began),
          static_cast<std::uint64_t>(recorded.asked), recorded.snapshot.value, std::uint64_t{recorded.client},
          std::uint64_t{recorded.what.operations.size()}})
      words_.push_back(word);
    for (const HistoryOperation& operation : recorded.what.operations) {
      words_.insert(words_.end(), {operation.key, operation.appended, operation.found.size()});
      words_.insert(words_.end(), operation.found.begin(), operation.found.end());
    }
    append();
  }
  void add_end(const Recorded& recorded) {
    words_.insert(words_.end(), {static_cast<std::uint64_t>(recorded.what.outcome), recorded.tid.value,
                                 static_cast<std::uint64_t>(recorded.what.end), recorded.is_unseen ? 1u : 0u});
  }

  void append() {
    words_.front() = words_.size();
    const std::size_t size = words_.size() * sizeof words_.front();
    const ssize_t written = ::write(file_, words_.data(), size);
    if (written != static_cast<ssize_t>(size)) throw std::system_error(errno, std::generic_category(), "a journal");
  }

  const int file_;
  std::vector<std::uint64_t> words_;
};

/// Adds what a journal says. Throws std::runtime_error if it says what no client writes.
inline void read_journal(const std::filesystem::path& path, std::vector<Recorded>& all) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::vector<std::uint64_t> words(bytes.size() / sizeof(std::uint64_t));
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
  std::unordered_map<std::uint64_t, std::size_t> asking;  // by id, where it is in `all`
  const auto set_end = [](Recorded& recorded, const std::uint64_t* word) {
    recorded.what.outcome = static_cast<Outcome>(word[0]);
    recorded.tid = Tid{word[1]};
    recorded.what.end = static_cast<std::int64_t>(word[2]);
    recorded.is_unseen = word[3] != 0;
  };
  const auto fail = [&] { throw std::runtime_error(path.string() + " is no journal"); };
  for (std::size_t at = 0; at < words.size(); at += words[at]) {
    const std::uint64_t* entry = words.data() + at;
    if (*entry < 7) fail();
    if (*entry > words.size() - at) return;  // half written
    const std::uint64_t* const end = entry + *entry;
    const auto kind = static_cast<Journal::Kind>(entry[1]);
    if (kind == Journal::kAnswered) {
      const auto found = asking.find(entry[2]);
      if (found == asking.end()) fail();
      set_end(all[found->second], entry + 3);
      all[found->second].has_ended = true;
      continue;
    }
    if (*entry < 13) fail();
    Recorded recorded;
    recorded.id = entry[2];
    set_end(recorded, entry + 3);
    recorded.what.begin = static_cast<std::int64_t>(entry[7]);
    recorded.began = static_cast<std::int64_t>(entry[8]);
    recorded.asked = static_cast<std::int64_t>(entry[9]);
    recorded.snapshot = Tid{entry[10]};
    recorded.client = static_cast<std::uint32_t>(entry[11]);
    std::uint64_t left = entry[12];
    for (const std::uint64_t* word = entry + 13; left > 0; --left) {
      if (end - word < 3 || word[2] > static_cast<std::uint64_t>(end - word - 3)) fail();
      recorded.what.operations.push_back(
          {static_cast<std::uint32_t>(word[0]), word[1], {word + 3, word + 3 + word[2]}});
      word += 3 + word[2];
    }
    if (kind == Journal::kAsks) {
      recorded.what.outcome = Outcome::unknown;
      recorded.what.end = INT64_MAX;
      recorded.has_ended = false;
      asking.emplace(recorded.id, all.size());
    }
    all.push_back(std::move(recorded));
  }
}

}  // namespace cow::bench::history
