// The address of a store in PostgreSQL, where a program takes one beside the path of a directory: a URL as libpq understands it, with two
// parameters more, which are the store's own.
//
//   postgres://app@db.example.org/objects?sslmode=verify-full&schema=archive&pooler=transaction
//
// Needs no libpq: a program that is built without PostgresStore can say so.
//
// Thread safety: pure functions.
#pragma once

#include "cow_cache/version.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "postgres_options.hpp"

namespace cow {

/// Whether a text is an address of a server: postgres://..., postgresql://...
inline bool is_postgres_url(std::string_view text) noexcept {
  return text.starts_with("postgres://") || text.starts_with("postgresql://");
}

namespace detail {

/// %41 is A. Throws std::invalid_argument.
inline std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned char byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2)
      throw std::invalid_argument("'" + std::string(text) + "': two digits in base 16 come after %");
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

/// The URL without those of its parameters for which `take(name, value)` is true.
template <class Take>
std::string url_without(std::string_view url, Take&& take) {
  const std::size_t question = url.find('?');
  std::string kept(url.substr(0, question));
  if (question == std::string_view::npos) return kept;
  char separator = '?';
  for (std::size_t at = question + 1; at <= url.size();) {
    const std::size_t end = std::min(url.find('&', at), url.size());
    const std::string_view parameter = url.substr(at, end - at);
    const std::size_t equals = std::min(parameter.find('='), parameter.size());
    if (!take(parameter.substr(0, equals), parameter.substr(std::min(equals + 1, parameter.size())))) {
      kept += separator;
      kept += parameter;
      separator = '&';
    }
    at = end + 1;
  }
  return kept;
}

}  // namespace detail

/// What an address says: `schema` (default: cow) and `pooler` (none, transaction) are taken from it, all else is left to libpq. Throws
/// std::invalid_argument.
inline PostgresOptions postgres_options_of(std::string_view url) {
  PostgresOptions options;
  options.connection = detail::url_without(url, [&](std::string_view name, std::string_view value) {
    if (name == "schema") {
      options.schema = detail::percent_decoded(value);
    } else if (name == "pooler") {
      if (value != "none" && value != "transaction")
        throw std::invalid_argument("pooler is none or transaction, not '" + std::string(value) + "'");
      options.pooler = value == "none" ? PostgresPooler::none : PostgresPooler::transaction;
    } else {
      return false;
    }
    return true;
  });
  return options;
}

/// An address that may be shown: without passwords.
inline std::string without_password(std::string_view url) {
  std::string shown = detail::url_without(
      url, [](std::string_view name, std::string_view) { return name == "password" || name == "sslpassword"; });
  const std::size_t authority = std::min(shown.find("://") + 3, shown.size());
  const std::size_t end = std::min(shown.find_first_of("/?", authority), shown.size());
  const std::size_t at = shown.substr(0, end).rfind('@');
  if (at == std::string::npos || at < authority) return shown;
  if (const std::size_t colon = shown.find(':', authority); colon < at) shown.erase(colon, at - colon);
  return shown;
}

}  // namespace cow
