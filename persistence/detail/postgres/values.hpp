// Parameters and results of statements in PostgreSQL's binary format: 64-bit integers, bytes, texts, and arrays of the first two.
//
// Thread safety: plain values; one thread at a time uses one.
//
// Invariants:
//  1. Integers are big endian. Oids and tids are stored as the signed integers of the same bits.
//  2. What a Result hands out is borrowed from it.
#pragma once

#include <libpq-fe.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/types.hpp"

namespace cow::detail::postgres {

/// Types as the catalogue numbers them (pg_type.dat of PostgreSQL).
enum class Type : unsigned { bytes = 17, integer = 20, text = 25, bytes_array = 1001, integer_array = 1016 };

inline constexpr std::int64_t kMaxInteger = INT64_MAX;

/// A tid for a comparison; what is greater than any that is stored is the greatest one.
inline std::int64_t stored(Tid tid) noexcept {
  return tid.value > static_cast<std::uint64_t>(kMaxInteger) ? kMaxInteger : static_cast<std::int64_t>(tid.value);
}
inline std::int64_t stored(Oid oid) noexcept { return std::bit_cast<std::int64_t>(oid.value); }
inline Tid tid_of(std::int64_t integer) noexcept { return Tid{std::bit_cast<std::uint64_t>(integer)}; }
inline Oid oid_of(std::int64_t integer) noexcept { return Oid{std::bit_cast<std::uint64_t>(integer)}; }

/// The parameters of one execution, $1 first.
class Parameters {
 public:
  Parameters& integer(std::int64_t value) {
    std::string& bytes = add(Type::integer);
    append(bytes, static_cast<std::uint64_t>(value));
    return *this;
  }
  Parameters& text(std::string_view value) {
    add(Type::text) = value;
    return *this;
  }
  Parameters& bytes(std::string_view value) {
    add(Type::bytes) = value;
    return *this;
  }
  Parameters& integers(std::span<const std::int64_t> values) {
    std::string& bytes = add(Type::integer_array);
    bytes.reserve(20 + 12 * values.size());
    header(bytes, Type::integer, values.size());
    for (const std::int64_t value : values) {
      append(bytes, std::uint32_t{8});
      append(bytes, static_cast<std::uint64_t>(value));
    }
    return *this;
  }
  /// Nothing: NULL.
  Parameters& byte_strings(std::span<const std::optional<std::string_view>> values) {
    std::size_t size = 20;
    for (const auto& value : values) size += 4 + (value ? value->size() : 0);
    std::string& bytes = add(Type::bytes_array);
    bytes.reserve(size);
    header(bytes, Type::bytes, values.size());
    for (const auto& value : values) {
      append(bytes, value ? static_cast<std::uint32_t>(value->size()) : ~std::uint32_t{0});
      if (value) bytes.append(*value);
    }
    return *this;
  }

  std::size_t size() const noexcept { return values_.size(); }
  std::span<const unsigned> types() const noexcept { return types_; }
  std::span<const std::string> values() const noexcept { return values_; }

 private:
  std::string& add(Type type) {
    types_.push_back(static_cast<unsigned>(type));
    return values_.emplace_back();
  }
  template <class Int>
  static void append(std::string& bytes, Int value) {
    for (int shift = 8 * (sizeof value - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  }
  /// One dimension, perhaps with NULLs, numbered from 1; an array without elements has no dimension.
  static void header(std::string& bytes, Type element, std::size_t size) {
    append(bytes, std::uint32_t{size != 0});
    append(bytes, std::uint32_t{1});
    append(bytes, static_cast<std::uint32_t>(element));
    if (size == 0) return;
    append(bytes, static_cast<std::uint32_t>(size));
    append(bytes, std::uint32_t{1});
  }

  std::vector<unsigned> types_;
  std::vector<std::string> values_;
};

/// Of statements without parameters.
inline const Parameters kNone;

/// What a statement has answered.
class Result {
 public:
  explicit Result(PGresult* result = nullptr) : result_(result) {}

  int rows() const noexcept { return PQntuples(result_.get()); }
  bool is_null(int row, int column) const noexcept { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view bytes(int row, int column) const noexcept {
    return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
  }
  std::int64_t integer(int row, int column) const noexcept { return read<std::uint64_t>(bytes(row, column).data()); }
  Tid tid(int row, int column) const noexcept { return tid_of(integer(row, column)); }
  Oid oid(int row, int column) const noexcept { return oid_of(integer(row, column)); }
  bool boolean(int row, int column) const noexcept { return *PQgetvalue(result_.get(), row, column) != 0; }

  /// An array of integers, none of them NULL.
  std::vector<std::int64_t> integers(int row, int column) const {
    const char* at = bytes(row, column).data();
    std::vector<std::int64_t> values;
    if (read<std::uint32_t>(at) == 0) return values;
    values.resize(static_cast<std::uint32_t>(read<std::uint32_t>(at + 12)));
    at += 20;
    for (std::int64_t& value : values) {
      value = read<std::uint64_t>(at + 4);
      at += 12;
    }
    return values;
  }

  PGresult* get() const noexcept { return result_.get(); }

 private:
  template <class Int>
  static std::int64_t read(const char* at) noexcept {
    Int value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
    return static_cast<std::int64_t>(value);
  }

  struct Clear {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

}  // namespace cow::detail::postgres
