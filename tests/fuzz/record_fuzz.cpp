// Arbitrary bytes as the value of a record, and as a whole record: decoded or a typed error, never more memory than in
// proportion to the bytes; and what was decoded can be written and comes back as it was.
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <msgpack.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cow_cache/detail/record/record.hpp"
#include "cow_cache/root.hpp"
#include "memory_limit.hpp"

namespace {

/// A list of fields, of everything that a member may be.
struct Everything {
  static constexpr std::string_view cow_type_name = "fuzz.Everything";
  std::int8_t small = 0;
  std::uint64_t large = 0;
  float narrow = 0;
  double wide = 0;
  bool flag = false;
  std::string text;
  std::vector<char> bytes;
  std::vector<bool> bits;
  std::array<std::int16_t, 3> fixed{};
  std::optional<std::string> maybe;
  std::vector<cow::Ref<Everything>> references;
  std::map<std::string, std::vector<std::int32_t>> table;
  std::unordered_map<std::int64_t, std::unordered_set<std::string>> hashed;
  std::multimap<std::string, double> many;
  std::tuple<int, std::string, std::pair<bool, float>> tuple;
  std::list<std::set<std::uint8_t>> sets;
  std::deque<std::string> texts;
  std::chrono::system_clock::time_point time;
  MSGPACK_DEFINE(small, large, narrow, wide, flag, text, bytes, bits, fixed, maybe, references, table, hashed, many,
                 tuple, sets, texts, time);
};

/// Fields by name, with defaults, and itself in several ways.
struct Tree {
  static constexpr std::string_view cow_type_name = "fuzz.Tree";
  int value = 42;
  std::vector<Tree> children;
  std::map<std::string, Tree> named;
  std::shared_ptr<Tree> shared;
  std::unique_ptr<std::vector<Tree>> owned;
  cow::Ref<Tree> reference;
  MSGPACK_DEFINE_MAP(value, children, named, shared, owned, reference);
};

struct Old {
  std::string name;
  std::vector<std::string> tags;
  MSGPACK_DEFINE_MAP(name, tags);
};
struct Upgraded {
  static constexpr std::string_view cow_type_name = "fuzz.Upgraded";
  static constexpr std::uint32_t cow_schema = 3;
  std::vector<std::string> names;
  std::optional<Old> before;
  MSGPACK_DEFINE_MAP(names, before);
  static Upgraded cow_upgrade(const msgpack::object& object, std::uint32_t schema) {
    if (schema == 0) throw std::runtime_error("there never was a schema 0");
    Old old = object.as<Old>();
    old.tags.push_back(old.name);
    return {old.tags, {}};
  }
};

/// The largest elements that a container may have.
struct Large {
  std::array<std::uint64_t, cow::kMaxElementBytes / 8> words{};
  MSGPACK_DEFINE(words);
};
struct HoldsLarge {
  static constexpr std::string_view cow_type_name = "fuzz.HoldsLarge";
  std::vector<Large> all;
  MSGPACK_DEFINE(all);
};

void require(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

/// Decodes, and if that works encodes and decodes again. The limit: an element is no larger than kMaxElementBytes and
/// takes a byte of the record; containers and their nodes, msgpack::object and the zone come on top.
template <class T>
void try_record(const std::string& record) {
  cow::detail::ScratchZone::prepare();
  auto decode = [](const std::string& bytes) {
    cow::fuzz::MemoryLimit limit((std::size_t{64} << 10) + bytes.size() * 2 * cow::kMaxElementBytes);
    return std::make_unique<T>(cow::detail::decode_record<T>(bytes, cow::Oid{5}, cow::Tid{6}));
  };
  std::unique_ptr<T> value;
  try {
    value = decode(record);
  } catch (const cow::RecordError& error) {
    require(error.oid == cow::Oid{5} && error.tid == cow::Tid{6}, "the error names another object");
    return;
  } catch (const cow::TypeMismatchError&) {
    return;
  }
  std::string again;
  cow::detail::encode_record(*value, again, cow::Oid{5});
  const std::unique_ptr<T> copy = decode(again);
  require(cow::detail::fingerprint_of(*value) == cow::detail::fingerprint_of(*copy), "comes back as something else");
}

/// The envelope is right; the value is not.
template <class T>
void try_value(std::string_view value, std::uint8_t schema) {
  std::string record(cow::detail::record_prefix<T>.bytes, cow::detail::record_prefix<T>.size);
  record.back() = static_cast<char>(schema & 3);
  record += value;
  cow::detail::store_big_endian(record.data() + 2, cow::detail::record_checksum(record));
  try_record<T>(record);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::uint8_t choice = data[0];
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (choice & 7) {
    case 0:
      try_value<Everything>(bytes, 1);
      break;
    case 1:
      try_value<Tree>(bytes, 1);
      break;
    case 2:
      try_value<Upgraded>(bytes, choice >> 3);
      break;
    case 3:
      try_value<HoldsLarge>(bytes, 1);
      break;
    case 4:
      try_value<cow::RootDirectory>(bytes, 1);
      break;
    case 5: {  // all but the checksum
      std::string record = std::string("\x94\xce\0\0\0\0", cow::detail::kChecksumEnd) + std::string(bytes);
      cow::detail::store_big_endian(record.data() + 2, cow::detail::record_checksum(record));
      try_record<Tree>(record);
      break;
    }
    case 6:
      try_record<Everything>(std::string(bytes));
      break;
    default: {
      // The check of what is written and the reader agree on what a message is.
      cow::detail::ScratchZone scratch;
      std::size_t offset = 0;
      bool readable = true;
      try {
        (void)scratch.unpack(bytes, offset);
      } catch (const std::exception&) {
        readable = false;
      }
      require((cow::detail::fault_of(bytes) == nullptr) == (readable && offset == bytes.size()),
              "the encoder's check and the decoder disagree");
    }
  }
  return 0;
}
