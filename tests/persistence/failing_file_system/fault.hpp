// A fault to be injected, and what the test and the preloaded library tell each other about it.
//
// Thread safety: plain values; the counters of `FaultReport` are atomic, in memory that two processes share.
#pragma once

#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cow::testing {

inline constexpr const char* kFaultVariable = "COW_FAULT";                     // a `Fault`, as `to_string` writes it
inline constexpr const char* kFaultDirectoryVariable = "COW_FAULT_DIRECTORY";  // absolute; only below it faults occur
inline constexpr const char* kFaultReportVariable = "COW_FAULT_REPORT";        // a file of sizeof(FaultReport) bytes

/// What is counted, and made to fail.
enum class Operation { open, read, write, sync, rename, remove, resize, make_directory };
inline constexpr std::array<std::string_view, 8> kOperationNames{"open",   "read",   "write",  "sync",
                                                                 "rename", "remove", "resize", "make_directory"};

/// How.
///  - eio, enospc, emfile: nothing is done, and the call fails with that errno
///  - partial: half of the bytes are written or read, and the call says so
///  - torn: half of the bytes are written, and the call fails with EIO
///  - kill: the process dies before the call
///  - power: the process dies before the call, and all that was not synced is lost
///  - torn_power: the same, but some of what was not synced has reached the device
enum class Effect { eio, enospc, emfile, partial, torn, kill, power, torn_power };
inline constexpr std::array<std::string_view, 8> kEffectNames{"eio",  "enospc", "emfile", "partial",
                                                              "torn", "kill",   "power",  "torn_power"};

struct Fault {
  Operation operation = Operation::write;
  std::uint64_t first = 0;  ///< which call of its kind, counted from 1
  Effect effect = Effect::eio;
  std::uint64_t times = 1;  ///< so many calls, from the first on; 0: for ever
  std::string files;        ///< only those whose path contains this are counted, and fail

  /// "write:17:eio:once", "write:1:enospc:ever", "sync:3:enospc:20:.sst"
  std::string to_string() const {
    return std::string(kOperationNames[static_cast<std::size_t>(operation)]) + ":" + std::to_string(first) + ":" +
           std::string(kEffectNames[static_cast<std::size_t>(effect)]) + ":" +
           (times == 0   ? "ever"
            : times == 1 ? "once"
                         : std::to_string(times)) +
           (files.empty() ? "" : ":" + files);
  }

  static std::optional<Fault> parse(std::string_view text) {
    std::array<std::string_view, 5> parts;
    for (std::string_view& part : parts) {
      part = text.substr(0, text.find(':'));
      text.remove_prefix(part.size() < text.size() ? part.size() + 1 : text.size());
    }
    Fault fault;
    const auto index_in = [](const auto& names, std::string_view name) {
      std::size_t i = 0;
      while (i < names.size() && names[i] != name) ++i;
      return i;
    };
    const std::size_t operation = index_in(kOperationNames, parts[0]);
    const std::size_t effect = index_in(kEffectNames, parts[2]);
    if (operation == kOperationNames.size() || effect == kEffectNames.size()) return std::nullopt;
    fault.operation = static_cast<Operation>(operation);
    fault.effect = static_cast<Effect>(effect);
    const auto parse_number = [](std::string_view digits, std::uint64_t& number) {
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      return error == std::errc{} && end == digits.data() + digits.size();
    };
    if (!parse_number(parts[1], fault.first)) return std::nullopt;
    if (parts[3] == "ever") {
      fault.times = 0;
    } else if (parts[3] != "once" && !parse_number(parts[3], fault.times)) {
      return std::nullopt;
    }
    fault.files = parts[4];
    return fault;
  }
};

/// Written by the library, read by the test.
struct FaultReport {
  std::array<std::atomic<std::uint64_t>, 8> calls;  ///< of each operation
  std::atomic<std::uint64_t> faults;                ///< how often the fault has struck
};

}  // namespace cow::testing
