// The error of a store that is measured beside the cache.
//
// Thread safety: a plain value.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace cow::bench::peers {

/// Which peer, at which call, and what it says itself.
class PeerError : public std::runtime_error {
 public:
  PeerError(std::string_view peer, std::string_view call, std::string_view why)
      : std::runtime_error(std::string(peer) + ": " + std::string(call) + ": " + std::string(why)) {}
};

/// Throws what a map that lacks an object is: an error of the peer, for all of them are there.
[[noreturn]] inline void throw_absent(std::string_view peer, std::uint64_t key) {
  throw PeerError(peer, "a read", "there is no object " + std::to_string(key));
}

}  // namespace cow::bench::peers
