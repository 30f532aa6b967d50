// Rows of JSON: how every program that measures says what it has measured.
//
// Thread safety: plain functions; processes may append to one file at the same time.
#pragma once

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace cow::bench {

inline std::string iso_8601(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// Appends one line for each row. An empty path: nowhere. Throws std::runtime_error if it cannot.
inline void append_rows(const std::filesystem::path& output, const std::vector<nlohmann::json>& rows) {
  if (output.empty()) return;
  std::string text;
  for (const nlohmann::json& row : rows) text += row.dump() + "\n";
  std::ofstream out(output, std::ios::app);
  out << text << std::flush;  // one write, so that rows of two processes do not mix
  if (!out) throw std::runtime_error("cannot write to " + output.string());
}

}  // namespace cow::bench
