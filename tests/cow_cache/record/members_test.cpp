// COW_CACHE_DEFINE_MAP and COW_CACHE_DEFINE_ARRAY: their records are those of msgpack-cxx's macros.
#include "cow_cache/members.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/cow_cache.hpp"

namespace cow {
namespace {

struct Inner {
  double x = 0, y = -0.0;
  COW_CACHE_DEFINE_ARRAY(x, y)
};
struct InnerByMsgpack {
  double x = 0, y = -0.0;
  MSGPACK_DEFINE_ARRAY(x, y)
};

struct Named {
  std::string name;
  Inner place;
  COW_CACHE_DEFINE_MAP(name, place)
};
struct Ours {
  std::string name = "none";
  std::int64_t balance = 7;
  std::optional<std::string> note;
  std::map<std::string, Inner> places;
  std::vector<Ref<Ours>> others;
  COW_CACHE_DEFINE_MAP(name, balance, note, places, others)
};
struct ByMsgpack {
  std::string name = "none";
  std::int64_t balance = 7;
  std::optional<std::string> note;
  std::map<std::string, InnerByMsgpack> places;
  std::vector<Ref<Ours>> others;
  MSGPACK_DEFINE_MAP(name, balance, note, places, others)
};

template <class T>
std::string bytes_of(const T& value) {
  std::string out;
  detail::encode_value(value, out, Oid{1});
  return out;
}
template <class T>
T value_of(std::string_view bytes) {
  msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
  return Codec<T>::decode(handle.get(), 1);
}

template <class T, class I>
T example() {
  T value;
  value.name = std::string(300, 'n');
  value.balance = -1;
  value.note = "";
  value.places = {{"here", I{1.5, -0.0}}, {"there", I{2, 3}}};
  value.others = {Ref<Ours>(Oid{5}), {}};
  return value;
}

TEST(Members, AreWrittenAsByMsgpack) {
  EXPECT_EQ(bytes_of(Ours{}), bytes_of(ByMsgpack{}));
  EXPECT_EQ(bytes_of(example<Ours, Inner>()), bytes_of(example<ByMsgpack, InnerByMsgpack>()));
  EXPECT_EQ(bytes_of(Inner{1, 2}), bytes_of(InnerByMsgpack{1, 2}));
}

TEST(Members, AreReadBack) {
  const Ours value = example<Ours, Inner>();
  const Ours read = value_of<Ours>(bytes_of(value));
  EXPECT_EQ(bytes_of(read), bytes_of(value));
  EXPECT_EQ(read.places.at("there").y, 3);
  EXPECT_EQ(read.others.at(0).oid(), Oid{5});
}

/// Both kinds read the same from a map that neither has written.
template <class Write>
void expect_same_from(Write&& write) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  write(packer);
  const std::string_view bytes(buffer.data(), buffer.size());
  EXPECT_EQ(bytes_of(value_of<Ours>(bytes)), bytes_of(value_of<ByMsgpack>(bytes)));
}

TEST(Members, MayBeMissingUnknownRepeatedOrInAnotherOrder) {
  expect_same_from([](auto& packer) { packer.pack_map(0); });
  expect_same_from([](auto& packer) {
    packer.pack_map(2);
    packer.pack("balance").pack(3).pack("name").pack("Ann");
  });
  expect_same_from([](auto& packer) {
    packer.pack_map(3);
    packer.pack("nobody").pack("knows").pack("note").pack("yes").pack("name").pack("Bob");
  });
  expect_same_from([](auto& packer) {  // the first one counts, wherever it stands
    packer.pack_map(4);
    packer.pack("balance").pack(1).pack("balance").pack(2).pack("name").pack("a").pack("name").pack("b");
  });
  expect_same_from([](auto& packer) {
    packer.pack_map(1);
    packer.pack("note").pack_nil();
  });
}

TEST(Members, OfAnArrayMayBeFewerOrMore) {
  for (std::uint32_t count = 0; count <= 4; ++count) {
    msgpack::sbuffer buffer;
    msgpack::packer<msgpack::sbuffer> packer(buffer);
    packer.pack_array(count);
    for (std::uint32_t i = 0; i < count; ++i) packer.pack(i + 0.5);
    const std::string_view bytes(buffer.data(), buffer.size());
    EXPECT_EQ(bytes_of(value_of<Inner>(bytes)), bytes_of(value_of<InnerByMsgpack>(bytes))) << count;
  }
}

TEST(Members, OfAnotherFormAreRefused) {
  for (std::string_view bytes : {std::string_view("\x90"), {"\x01"}, {"\xc0"}, {"\x81\x01\x02"}}) {
    EXPECT_THROW((void)value_of<Ours>(bytes), msgpack::type_error);
    EXPECT_THROW((void)value_of<ByMsgpack>(bytes), msgpack::type_error);
  }
  EXPECT_THROW((void)value_of<Inner>(std::string_view("\x80")), msgpack::type_error);
}

TEST(Members, BecomeObjectsOfMsgpack) {
  msgpack::zone zone;
  const Named value{"Ann", {1, 2}};
  const msgpack::object object(value, zone);
  EXPECT_EQ(bytes_of(object.as<Named>()), bytes_of(value));
}

TEST(Members, AreLookedInto) {
  static_assert(detail::shape_of<Ours>() == detail::Shape::described);
  static_assert(detail::shape_of<Inner>() == detail::Shape::described);
  HeapSum empty, full;
  empty.add(Ours{});
  full.add(example<Ours, Inner>());
  EXPECT_EQ(empty.bytes(), 0u);
  EXPECT_GT(full.bytes(), 300u);
  EXPECT_TRUE(full.complete());
}

}  // namespace
}  // namespace cow
