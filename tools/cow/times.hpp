// Times on the command line and in tables: ISO 8601, in UTC where nothing else is said.
//
// Thread safety: pure functions.
#pragma once

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

namespace cow::tool {

using Time = std::chrono::sys_time<std::chrono::microseconds>;

/// "2026-01-31 23:59:59Z", or with all its microseconds "2026-01-31T23:59:59.000001Z".
inline std::string text_of(Time time, bool exact = false) {
  using namespace std::chrono;
  const sys_days day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u%c%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), exact ? 'T' : ' ',
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  std::string result(text.data());
  if (exact) {
    std::snprintf(text.data(), text.size(), ".%06d", static_cast<int>(clock.subseconds().count()));
    result += text.data();
  }
  return result + 'Z';
}

/// YYYY-MM-DD, and behind it THH:MM, :SS and a fraction, and then Z or an offset like +01:00. A day or a minute is all of it: its
/// last microsecond. Nothing: it is no time.
inline std::optional<Time> parse_time(const std::string& text) {
  using namespace std::chrono;
  int year = 0, at = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &at) != 3) return std::nullopt;
  const year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  microseconds clock{0}, precision = days(1);
  std::string rest = text.substr(static_cast<std::size_t>(at));
  if (!rest.empty() && (rest[0] == 'T' || rest[0] == ' ')) {
    unsigned hour = 0, minute = 0, second = 0;
    if (std::sscanf(rest.c_str() + 1, "%2u:%2u%n", &hour, &minute, &at) != 2) return std::nullopt;
    rest.erase(0, static_cast<std::size_t>(at) + 1);
    precision = minutes(1);
    if (!rest.empty() && rest[0] == ':') {
      if (std::sscanf(rest.c_str() + 1, "%2u%n", &second, &at) != 1) return std::nullopt;
      rest.erase(0, static_cast<std::size_t>(at) + 1);
      precision = seconds(1);
    }
    if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
    clock = hours(hour) + minutes(minute) + seconds(second);
    if (precision == seconds(1) && !rest.empty() && rest[0] == '.') {
      std::size_t digit = 1;
      for (; digit < rest.size() && rest[digit] >= '0' && rest[digit] <= '9'; ++digit) {
        if (precision == microseconds(1)) continue;
        precision /= 10;
        clock += (rest[digit] - '0') * precision;
      }
      if (digit == 1) return std::nullopt;
      rest.erase(0, digit);
    }
    unsigned offset_hours = 0, offset_minutes = 0;
    if (!rest.empty() && (rest[0] == '+' || rest[0] == '-') &&
        std::sscanf(rest.c_str() + 1, "%2u:%2u%n", &offset_hours, &offset_minutes, &at) == 2) {
      if (offset_hours > 23 || offset_minutes > 59) return std::nullopt;
      const microseconds offset = hours(offset_hours) + minutes(offset_minutes);
      clock -= rest[0] == '+' ? offset : -offset;
      rest.erase(0, static_cast<std::size_t>(at) + 1);
    } else if (rest == "Z") {
      rest.clear();
    }
  }
  if (!rest.empty()) return std::nullopt;
  return Time(sys_days(date)) + clock + precision - microseconds(1);
}

}  // namespace cow::tool
