// What a database knows of the other processes that commit to its store, and since when.
//
// Thread safety: a plain value.
#pragma once

#include "version.hpp"

#include <chrono>
#include <cstdint>
#include <exception>

#include "types.hpp"

namespace cow {

/// Of Database::peer_status, as of some time during the call.
struct PeerStatus {
  bool has_peers = false;  ///< false: nobody else commits to the store, and the rest says nothing
  Tid frontier;            ///< what a transaction that begins now sees
  Tid held;                ///< the oldest snapshot that the store was told to keep; Tid{0}: none yet
  std::chrono::milliseconds
      since_last_poll{};  ///< since the store was asked, and all was learned that it then had: so old the frontier is at most
  std::uint64_t polls = 0;           ///< that were answered
  std::uint64_t failures = 0;        ///< that were not
  std::uint64_t remote_commits = 0;  ///< of other processes
  std::uint64_t jumps =
      0;  ///< how often the cache was emptied, for the store had forgotten what was committed meanwhile
  std::exception_ptr error;  ///< of the last poll, if it has failed; null: it has not
};

}  // namespace cow
