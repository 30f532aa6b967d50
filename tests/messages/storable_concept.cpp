// The concept, asked by the program itself, and what traits say of calls that are refused in words.
#include "bank.hpp"

#include <optional>
#include <type_traits>

struct Silent {
  std::string name;
};
struct Packed {
  std::string name;
};
struct Encoded {
  explicit Encoded(std::string its_name) : name(std::move(its_name)) {}
  std::string name;
};
struct Unique {
  Unique() = default;
  Unique(Unique&&) = default;
  int number = 0;
  MSGPACK_DEFINE_MAP(number);
};
struct Made {
  explicit Made(int number) : value(number) {}
  int value;
  MSGPACK_DEFINE(value);
};
struct Named {
  std::string name;
  cow::Ref<Named> next;
  MSGPACK_DEFINE_MAP(name, next);
};
struct Declared;

template <>
struct msgpack::adaptor::pack<Packed> {
  template <class Stream>
  packer<Stream>& operator()(packer<Stream>& out, const Packed& value) const {
    return out.pack(value.name);
  }
};
template <>
struct msgpack::adaptor::convert<Packed> {
  const msgpack::object& operator()(const msgpack::object& in, Packed& value) const { return in >> value.name; }
};
template <>
struct cow::Codec<Encoded> {
  static void encode(const Encoded& value, std::string& out);
  static Encoded decode(const msgpack::object& object, std::uint32_t schema);
};

static_assert(cow::Storable<Account> && cow::Storable<Named> && cow::Storable<Packed> && cow::Storable<Encoded>);
static_assert(cow::Storable<std::vector<Account>> && cow::Storable<std::int64_t> && cow::Storable<cow::RootDirectory>);
static_assert(!cow::Storable<Unique> && !cow::CopyableForItsFirstWrite<Unique> &&
              cow::HasMsgpackDefineMapOrCodec<Unique>);
static_assert(!cow::Storable<Made> && !cow::DefaultConstructibleForLoading<Made>);
static_assert(!cow::Storable<Declared> && !cow::Storable<const Account> && !cow::Storable<Account&> &&
              !cow::Storable<void>);

struct Owner {
  cow::Transaction txn;
};
static_assert(!std::is_copy_constructible_v<cow::Transaction> && !std::is_copy_assignable_v<cow::Transaction>);
static_assert(!std::is_constructible_v<cow::Transaction, cow::Transaction&>);
static_assert(!std::is_assignable_v<cow::Transaction&, cow::Transaction&>);
static_assert(std::is_nothrow_move_constructible_v<cow::Transaction> &&
              std::is_nothrow_move_assignable_v<cow::Transaction>);
static_assert(!std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner>);
static_assert(std::is_move_constructible_v<Owner> && !std::is_copy_constructible_v<std::optional<cow::Transaction>>);
static_assert(!std::is_convertible_v<cow::Ref<Named>, cow::Ref<Account>>);
static_assert(!std::is_constructible_v<cow::Ref<Account>, cow::Ref<Named>>);
static_assert(!std::is_assignable_v<cow::Ref<Account>&, cow::Ref<Named>>);
static_assert(!std::is_constructible_v<cow::Database, cow::MemoryStore>);
static_assert(std::is_constructible_v<cow::Database, cow::MemoryStore&>);

template <class Root>
concept GetsWithoutType = requires(Root root) {
  root.get("ada");
};
static_assert(!GetsWithoutType<cow::RootView<cow::Transaction>>);

#if defined(MISTAKE)
static_assert(cow::Storable<Silent>);
#else
static_assert(!cow::Storable<Silent>);
#endif

int main() {}
