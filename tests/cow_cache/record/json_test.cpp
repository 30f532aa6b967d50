// Records without their types: nothing of a value is left out of its JSON, and bytes that are none are refused.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cow_cache/cow_cache.hpp"
#include "cow_cache/records.hpp"

namespace cow {
namespace {

using namespace std::string_view_literals;

template <class T>
std::string json(const T& value, unsigned indent = 0) {
  std::string message;
  detail::StringSink sink{message};
  msgpack::pack(sink, value);
  return json_of(message, indent);
}

TEST(Json, PlainValuesAreThoseOfJson) {
  EXPECT_EQ(json_of("\xc0"), "null");
  EXPECT_EQ(json(true), "true");
  EXPECT_EQ(json(-17), "-17");
  EXPECT_EQ(json(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(json(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(json(0.1), "0.1");
  EXPECT_EQ(json(-0.0), "-0.0");
  EXPECT_EQ(json(1e300), "1e+300");
  EXPECT_EQ(json(std::vector<int>{1, 2}), "[1, 2]");
  EXPECT_EQ(json(std::vector<int>{}, 2), "[]");
  EXPECT_EQ(json(std::map<std::string, int>{{"a", 1}, {"b", 2}}), R"({"a": 1, "b": 2})");
  EXPECT_EQ(json(std::map<std::string, std::vector<int>>{{"a", {1}}}, 2), "{\n  \"a\": [\n    1\n  ]\n}");
}

TEST(Json, StringsAreEscapedOrEncoded) {
  EXPECT_EQ(json(std::string("a\"\\\n\t\x01 \x7f\xc3\xa4")), R"("a\"\\\n\t\u0001 \u007f)"
                                                             "\xc3\xa4\"");
  // Not UTF-8: cut off, overlong, a surrogate, beyond Unicode, a stray byte.
  for (std::string_view bad :
       {"\xc3"sv, "\xc0\x80"sv, "\xe0\x80\x80"sv, "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv, "\x80"sv, "\xff"sv})
    EXPECT_TRUE(json(std::string(bad)).starts_with(R"({"$str": ")")) << json(std::string(bad));
  EXPECT_EQ(json(std::string("\xff\xfe\xfd")), R"({"$str": "//79"})");
  EXPECT_EQ(json(std::string("\xf0\x9f\x90\x84")), "\"\xf0\x9f\x90\x84\"");
}

TEST(Json, WhatJsonHasNoFormForSaysWhatItIs) {
  EXPECT_EQ(json(Ref<int>(Oid{42})), R"({"$ref": 42})");
  EXPECT_EQ(json(Ref<int>()), "null");
  EXPECT_EQ(json(std::vector<char>{'M', 'a'}), R"({"$bin": "TWE="})");
  EXPECT_EQ(json(std::vector<char>{'M'}), R"({"$bin": "TQ=="})");
  EXPECT_EQ(json(std::vector<char>{}), R"({"$bin": ""})");
  EXPECT_EQ(json(std::nan("")), R"({"$float": "nan"})");
  EXPECT_EQ(json(-std::numeric_limits<float>::infinity()), R"({"$float": "-inf"})");
  EXPECT_EQ(json_of("\xd4\x05\x41"sv), R"({"$ext": [5, "QQ=="]})");
  EXPECT_EQ(json_of("\xd6\x4f\0\0\0\1"sv), R"({"$ext": [79, "AAAAAQ=="]})");  // no reference: four bytes
}

TEST(Json, PointsInTimeAreTimesOfUtc) {
  using namespace std::chrono;
  const sys_days day = year{2026} / 11 / 28;
  EXPECT_EQ(json(system_clock::time_point(day + 1h + 2min + 3s)), R"({"$time": "2026-11-28T01:02:03Z"})");
  EXPECT_EQ(json(system_clock::time_point(day + 1h + 2min + 3s + 500ms)), R"({"$time": "2026-11-28T01:02:03.5Z"})");
  EXPECT_EQ(json_of("\xc7\x0c\xff\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff"sv),
            R"({"$time": "1969-12-31T23:59:59.000000001Z"})");
  EXPECT_TRUE(json_of("\xc7\x0c\xff\0\0\0\1\x7f\xff\xff\xff\xff\xff\xff\xff"sv).starts_with(R"({"$ext": [-1, )"));
  EXPECT_TRUE(json_of("\xc7\x0c\xff\xff\0\0\1\0\0\0\0\0\0\0\0"sv).starts_with(R"({"$ext": [-1, )"));
}

TEST(Json, MapsThatAreNoObjectsAreLists) {
  EXPECT_EQ(json(std::map<int, bool>{{1, true}}), R"({"$map": [[1, true]]})");
  EXPECT_EQ(json(std::map<std::string, int>{{"$ref", 1}}), R"({"$map": [["$ref", 1]]})");
  EXPECT_EQ(json(std::multimap<std::string, int>{{"a", 1}, {"a", 2}}), R"({"$map": [["a", 1], ["a", 2]]})");
}

TEST(Json, BytesThatAreNoValueAreRefused) {
  for (std::string_view bad : {""sv, "\xc1"sv, "\x92\x01"sv, "\x01\x02"sv, "\xdd\xff\xff\xff\xff"sv})
    EXPECT_THROW((void)json_of(bad), std::runtime_error);
  EXPECT_THROW((void)json_of(std::string(2000, '\x91') + "\xc0"), std::runtime_error);
}

struct Node {
  static constexpr std::string_view cow_type_name = "test.Node";
  std::string name;
  std::map<std::string, Ref<Node>> children;
  Ref<Node> parent;
  MSGPACK_DEFINE_MAP(name, children, parent);
};

TEST(Records, AreReadWithoutTheirTypes) {
  std::string record;
  detail::encode_record(Node{"root", {{"a", Ref<Node>(Oid{7})}, {"b", Ref<Node>(Oid{5})}}, {}}, record);
  const RecordView view = view_record(record, Oid{3}, Tid{9});
  EXPECT_EQ(view.type_name, "test.Node");
  EXPECT_EQ(view.schema, 1u);
  EXPECT_EQ(json_of(view.value),
            R"({"name": "root", "children": {"a": {"$ref": 7}, "b": {"$ref": 5}}, "parent": null})");
  EXPECT_EQ(references_of(view.value), (std::vector{Oid{7}, Oid{5}}));
  record.back() ^= 1;
  EXPECT_THROW((void)view_record(record, Oid{3}, Tid{9}), CorruptRecordError);
}

TEST(Records, HaveTheirReferencesFoundInEveryForm) {
  const std::string oid("\0\0\0\0\0\0\1\2", 8);
  for (std::string_view head : {"\xd7"sv, "\xc7\x08"sv, "\xc8\x00\x08"sv, "\xc9\x00\x00\x00\x08"sv}) {
    const std::string reference = std::string(head) + 'O' + oid;
    EXPECT_EQ(references_of(reference), std::vector{Oid{258}});
    EXPECT_EQ(references_of("\x92" + reference + "\x81" + reference + reference), std::vector(3, Oid{258}));
    EXPECT_TRUE(references_of(std::string(head) + 'P' + oid).empty()) << "an extension of somebody else's";
    EXPECT_THROW((void)references_of(std::string_view(reference).substr(0, reference.size() - 1)), std::runtime_error);
    EXPECT_THROW((void)references_of(reference + "\xc0"), std::runtime_error);
  }
  EXPECT_TRUE(references_of("\xd6" + std::string("O\0\0\0\1", 5)).empty()) << "of four bytes";
  EXPECT_TRUE(references_of("\xaaO" + oid + "O").empty()) << "bytes of a string";
}

}  // namespace
}  // namespace cow
