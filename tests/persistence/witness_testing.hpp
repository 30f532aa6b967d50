// For tests that change a store's files behind its back.
#pragma once

#include <filesystem>

#include "persistence/detail/witness.hpp"

namespace cow::testing {

/// The witness forgets that the store was closed, and with which files, so that it does not complain of a change.
inline void forget_close(const std::filesystem::path& directory) {
  detail::WitnessRecord record = detail::read_witness(directory).value();
  record.state = detail::WitnessRecord::State::open;
  record.manifest = {};
  detail::Witness(directory).begin(record);
}

}  // namespace cow::testing
