// Bad bytes cost memory in proportion to their number, and all that fails in decoding is a RecordError.
//
// Each case is decoded in a child process whose memory is bounded: what asks for more ends with std::bad_alloc, which
// decoding passes on. Sanitizers reserve addresses of their own, so there only the type of the error is tested.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/detail/sanitizers.hpp"

namespace cow {

using cow::detail::decode_record;

namespace {

struct Item {
  std::vector<int> values;
  std::vector<std::vector<Item>> nested;
  std::map<std::string, std::vector<std::string>> table;
  std::unordered_map<int, std::vector<double>> hashed;
  std::list<std::set<int>> sets;
  std::vector<bool> bits;
  std::vector<char> bytes;
  std::string text;
  std::optional<std::vector<Item>> maybe;
  std::shared_ptr<Item> shared;
  std::vector<Ref<Item>> references;
  std::tuple<int, std::vector<std::string>> tuple;
  MSGPACK_DEFINE(values, nested, table, hashed, sets, bits, bytes, text, maybe, shared, references, tuple);
};

/// The elements are the largest that need no word from their type.
struct Large {
  std::array<std::uint64_t, kMaxElementBytes / 8> words{};
  MSGPACK_DEFINE(words);
};
static_assert(sizeof(Large) == kMaxElementBytes);

struct HoldsLarge {
  std::vector<Large> all;
  MSGPACK_DEFINE(all);
};

struct ThrowsAnything {
  std::string how;
  MSGPACK_DEFINE(how);
};

}  // namespace

template <>
struct Codec<ThrowsAnything> {
  static void encode(const ThrowsAnything& value, std::string& out) {
    detail::StringSink sink{out};
    msgpack::pack(sink, value.how);
  }
  static ThrowsAnything decode(const msgpack::object& object, std::uint32_t) {
    auto how = object.as<std::string>();
    if (how == "int") throw 42;
    if (how == "length") throw std::length_error("too long");
    if (how == "new") throw std::bad_array_new_length();  // as `new` does when it is asked for a negative number
    if (how == "memory") throw std::bad_alloc();
    return {how};
  }
};

namespace {

std::string big_endian(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string array_of(std::uint32_t count) { return '\xdd' + big_endian(count, 4); }
std::string map_of(std::uint32_t count) { return '\xdf' + big_endian(count, 4); }

/// A record of T around any value, with a right checksum.
template <class T>
std::string sealed(const std::string& value) {
  std::string record(detail::record_prefix<T>.bytes, detail::record_prefix<T>.size);
  record += value;
  detail::store_big_endian(record.data() + 2, detail::record_checksum(record));
  return record;
}

/// Bytes of address space in use.
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

enum Outcome : int { kDecoded = 0, kCorrupt = 1, kNoMemory = 2, kOther = 3 };

/// Exits with what comes of decoding, with `per_byte` bytes of memory for each byte of the record.
template <class T>
[[noreturn]] void decode_and_exit(const std::string& record, std::size_t per_byte) {
  if (!detail::kThreadSanitizer && !detail::kAddressSanitizer) {
    std::size_t most = address_space() + (std::size_t{16} << 20) + per_byte * record.size();
    rlimit limit{most, most};
    if (setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(kOther);
  }
  try {
    (void)decode_record<T>(record, Oid{1}, Tid{1});
    std::_Exit(kDecoded);
  } catch (const RecordError&) {
    std::_Exit(kCorrupt);
  } catch (const std::bad_alloc&) {
    std::_Exit(kNoMemory);
  } catch (...) {
    std::_Exit(kOther);
  }
}

constexpr std::size_t kObjectBytesPerByte = 64;  // 24 for an element, and what a zone and an allocator add

TEST(RecordCost, ClaimsWithoutBytesAreRefusedAndAllocateNothing) {
  constexpr std::size_t kSize = 1 << 20;
  auto padded = [](std::string value) { return value.resize(kSize, '\0'), value; };
  auto repeated = [](const std::string& part, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += part;
    return all;
  };
  const std::pair<const char*, std::string> cases[] = {
      {"nested arrays that each claim all bytes", padded('\x91' + repeated(array_of(kSize - 8192), 1000))},
      {"nested maps that each claim all bytes", padded('\x91' + repeated(map_of(kSize / 2 - 8192) + '\0', 1000))},
      {"nested arrays that each claim half of what is left", padded('\x91' + repeated(array_of(kSize / 2), 100))},
      {"arrays of claims side by side", padded("\x9c" + repeated(array_of(kSize / 4), 12))},
      {"an array of four billion", padded("\x91" + array_of(0xffffffff))},
      {"a map of four billion", padded("\x91" + map_of(0xffffffff))},
      {"a map of half of four billion", padded("\x91" + map_of(0x80000001))},
      {"a string of four billion", padded("\x91\xdb" + big_endian(0xffffffff, 4))},
      {"a binary value of four billion", padded("\x91\xc6" + big_endian(0xffffffff, 4))},
      {"an extension of four billion", padded("\x91\xc9" + big_endian(0xffffffff, 4) + '\x4f')},
  };
  for (const auto& [what, value] : cases) {
    EXPECT_EXIT(decode_and_exit<Item>(sealed<Item>(value), kObjectBytesPerByte), ::testing::ExitedWithCode(kCorrupt),
                "")
        << what;
  }
}

TEST(RecordCost, ElementsOfOneByteCostWhatTheirTypeTakes) {
  constexpr std::uint32_t kCount = 1 << 16;
  // Whatever member the elements are for: right ones are decoded, others refused.
  for (int member = 0; member < 12; ++member) {
    for (char element : {'\x90', '\x80', '\xc0', '\x01', '\xa0'}) {
      for (bool map : {false, true}) {
        std::string value = '\xdc' + big_endian(12, 2);
        for (int i = 0; i < 12; ++i) {
          const bool is_map = i == 2 || i == 3;
          if (i != member) {
            value += i == 7 ? '\xa0' : i == 8 || i == 9 ? '\xc0' : i == 11 ? '\x92' : is_map ? '\x80' : '\x90';
            if (i == 11) value += std::string("\x01\x90", 2);
            continue;
          }
          value += map ? map_of(kCount / 2) : array_of(kCount);
          value += std::string(kCount, element);
        }
        EXPECT_EXIT(
            decode_and_exit<Item>(sealed<Item>(value), kObjectBytesPerByte + 2 * sizeof(Item)),
            [](int status) {
              return WIFEXITED(status) && (WEXITSTATUS(status) == kDecoded || WEXITSTATUS(status) == kCorrupt);
            },
            "")
            << "member " << member << ", element " << static_cast<int>(element) << ", map " << map;
      }
    }
  }
}

TEST(RecordCost, TheLargestElementsAreBounded) {
  constexpr std::uint32_t kCount = 1 << 14;
  std::string value = "\x91" + array_of(kCount) + std::string(kCount, '\x90');
  EXPECT_EXIT(decode_and_exit<HoldsLarge>(sealed<HoldsLarge>(value), kObjectBytesPerByte + kMaxElementBytes),
              ::testing::ExitedWithCode(kDecoded), "");
}

TEST(RecordCost, WhateverACodecThrowsIsARecordThatDoesNotFit) {
  auto record = [](const char* how) {
    std::string value;
    detail::StringSink sink{value};
    msgpack::pack(sink, std::string(how));
    return sealed<ThrowsAnything>(value);
  };
  for (const char* how : {"int", "length", "new"}) {
    try {
      (void)decode_record<ThrowsAnything>(record(how), Oid{5}, Tid{6});
      ADD_FAILURE() << how;
    } catch (const UnfitRecordError& error) {
      EXPECT_EQ(error.oid, Oid{5}) << how;
      EXPECT_EQ(error.tid, Tid{6}) << how;
    } catch (...) {
      ADD_FAILURE() << how << ": not an UnfitRecordError";
    }
  }
  EXPECT_THROW((void)decode_record<ThrowsAnything>(record("memory"), Oid{5}, Tid{6}), std::bad_alloc);
}

}  // namespace
}  // namespace cow
