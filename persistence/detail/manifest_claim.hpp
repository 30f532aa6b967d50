// What is known of RocksDB's MANIFEST, the file that says which files make up the database.
//
// A MANIFEST grows at its end only, and each opening starts a new one with a higher number. So whatever was seen of it
// must still be its beginning.
//
// Thread safety: pure functions.
//
// Invariants:
//  1. A claim is made of bytes that are on the device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace cow::detail {

/// The first `size` bytes of MANIFEST-`number`. Number 0: nothing is known.
struct ManifestClaim {
  std::uint64_t number = 0;
  std::uint64_t size = 0;
  std::uint64_t hash = 0;

  friend bool operator==(const ManifestClaim&, const ManifestClaim&) = default;
};

/// Syncs the current MANIFEST of `directory` and says what it holds. Throws StoreError if it cannot be read.
ManifestClaim claim_manifest(const std::filesystem::path& directory);

/// What contradicts `claim`, in words; empty if nothing does. `whole`: nothing may follow what is claimed, and no newer
/// MANIFEST may be in its place. Throws StoreError if a file cannot be read.
std::string contradiction_of_manifest(const std::filesystem::path& directory, const ManifestClaim& claim, bool whole);

}  // namespace cow::detail
