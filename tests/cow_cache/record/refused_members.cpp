// Members that a stored type may not have. Each case is compiled alone, with -DCASE_name, and all its members must be refused
// with a message that says why; without any case the file compiles (tests/check_refusals).
#include <msgpack.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "cow_cache/detail/record/record.hpp"

struct Other {
  int number = 0;
  MSGPACK_DEFINE(number);
};
struct Matrix {
  std::array<double, 1000> cells{};
  MSGPACK_DEFINE(cells);
};
struct OtherMatrix : Matrix {};
struct WantedMatrix : Matrix {};
template <>
inline constexpr bool cow::kMayBeElement<WantedMatrix> = true;

/// Describes itself by hand: what it packs need not be what it holds, so nobody asks.
struct ByHand {
  std::string text;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack_array(2).pack(std::string_view("tag")).pack(std::string_view(text));
  }
  void msgpack_unpack(const msgpack::object& object) { text = object.via.array.ptr[1].as<std::string_view>(); }
};

/// Aggregates of which not all is listed.
struct LeavesOut {
  int listed = 0;
  std::vector<std::string> texts;
  COW_CACHE_DEFINE_MAP(listed)
};
struct LeavesOutTheLast {
  int listed = 0;
  char code[4] = {};
  LeavesOut* never = nullptr;
  COW_CACHE_DEFINE_ARRAY(listed, code)
};

struct Value {
  std::optional<int> number;
  std::optional<std::vector<cow::Ref<Value>>> references;
  std::vector<std::optional<std::string>> texts;
  std::shared_ptr<Other> shared;
  std::unique_ptr<std::map<std::string, Value>> owned;
  std::vector<std::unique_ptr<Matrix>> matrices;
  std::vector<WantedMatrix> wanted;
  std::unique_ptr<Matrix> one;
  ByHand by_hand;
#if defined(CASE_borrows)  // 6 times: borrows its bytes
  std::string_view refused1;
  std::unordered_map<int, std::vector<std::tuple<int, std::u16string_view>>> refused2;
  msgpack::type::raw_ref refused3;
  msgpack::type::ext_ref refused4;
  std::map<std::string, msgpack::object> refused5;
  const char* refused6 = "";
  MSGPACK_DEFINE_ARRAY(refused1, refused2, refused3, refused4, refused5, refused6);
#elif defined(CASE_nil)       // 4 times: holds what may itself be nil
  std::optional<cow::Ref<Value>> refused1;
  std::vector<std::optional<std::optional<int>>> refused2;
  std::shared_ptr<cow::Ref<Value>> refused3;
  std::optional<std::shared_ptr<int>> refused4;
  MSGPACK_DEFINE_ARRAY(refused1, refused2, refused3, refused4);
#elif defined(CASE_large)     // 2 times: more than kMaxElementBytes
  std::vector<Matrix> refused1;
  std::map<int, OtherMatrix> refused2;
  MSGPACK_DEFINE(refused1, refused2);
#elif defined(CASE_time)      // 3 times: has a unit in which it could not be written exactly
  std::chrono::time_point<std::chrono::system_clock, std::chrono::hours> refused1;
  std::vector<std::chrono::time_point<std::chrono::system_clock, std::chrono::duration<long, std::pico>>> refused2;
  std::chrono::time_point<std::chrono::system_clock, std::chrono::duration<double>> refused3;
  MSGPACK_DEFINE(refused1, refused2, refused3);
#elif defined(CASE_left_out)  // 2 times: has more members than its
  LeavesOut refused1;
  std::map<int, LeavesOutTheLast> refused2;
  MSGPACK_DEFINE(refused1, refused2);
#else
  MSGPACK_DEFINE_MAP(number, references, texts, shared, owned, matrices, wanted, one, by_hand);
#endif
};

/// Instantiates what a commit does.
void encode(const Value& value, std::string& out) { cow::detail::encode_record(value, out); }
