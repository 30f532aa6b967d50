// What a value's own functions throw, wherever the library calls them: an exception for the caller or none, never the end of the
// program.
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/async_testing.hpp"

namespace cow::testing {
namespace {

/// Which of the functions of a Moody value throw.
struct Moods {
  bool packs = false, copies = false, moves = false, unpacks = false;
};
Moods throws;

struct Moody {
  static constexpr std::string_view cow_type_name = "test.Moody";
  std::string text;

  Moody() = default;
  explicit Moody(std::string said) : text(std::move(said)) {}
  Moody(const Moody& other) : text(other.text) { complain(throws.copies, "copied"); }
  Moody(Moody&& other) : text(std::move(other.text)) { complain(throws.moves, "moved"); }
  Moody& operator=(const Moody&) = default;
  Moody& operator=(Moody&&) = default;

  static void complain(bool wants, const char* what) {
    if (wants) throw std::invalid_argument(what);
  }
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    complain(throws.packs, "packed");
    packer.pack_array(1);
    packer.pack(text);
  }
  void msgpack_unpack(const msgpack::object& object) {
    complain(throws.unpacks, "unpacked");
    object.via.array.ptr[0].convert(text);
  }
};

/// In all places where a value is asked what it has on the heap.
struct Crowd {
  static constexpr std::string_view cow_type_name = "test.Crowd";
  std::vector<Moody> many{Moody("a")};
  std::list<Moody> list{Moody("b")};
  std::map<int, Moody> named{{1, Moody("c")}};
  std::optional<Moody> one{Moody("d")};
  MSGPACK_DEFINE(many, list, named, one);
};

/// Says itself what it has on the heap, and fails.
struct Picture {
  static constexpr std::string_view cow_type_name = "test.Picture";
  std::vector<int> pixels;
  MSGPACK_DEFINE(pixels);
};

}  // namespace
}  // namespace cow::testing

template <>
struct cow::HeapBytes<cow::testing::Picture> {
  static void add(const cow::testing::Picture& picture, HeapSum& sum) {
    sum.block(picture.pixels.size());
    if (cow::testing::throws.packs) throw std::bad_alloc();
  }
};

namespace cow::testing {
namespace {

class UserErrors : public AsyncTest {
 public:
  UserErrors() {
    std::tie(moody, crowd, picture) = database.transact([](Transaction& txn) {
      return std::tuple(txn.create(Moody(std::string(100, 'm'))), txn.create(Crowd()), txn.create(Picture{{1, 2, 3}}));
    });
    forget();
  }
  ~UserErrors() override { throws = {}; }

  /// All must be loaded again.
  void forget() {
    database.evict_all();
    moody = Ref<Moody>(moody.oid());
    crowd = Ref<Crowd>(crowd.oid());
    picture = Ref<Picture>(picture.oid());
  }

  void expect_all_readable() {
    Transaction txn = database.begin();
    EXPECT_EQ(txn.read(moody).text, std::string(100, 'm'));
    EXPECT_EQ(txn.read(crowd).named.at(1).text, "c");
    EXPECT_EQ(txn.read(picture).pixels.size(), 3u);
    EXPECT_GT(database.statistics().cache_bytes, 0u);
  }

  Ref<Moody> moody;
  Ref<Crowd> crowd;
  Ref<Picture> picture;
};

/// A value is asked what it has on the heap when it is read; that it does not like to say is nobody's error.
TEST_F(UserErrors, ReadOfWhatDoesNotPack) {
  throws.packs = true;
  expect_all_readable();
}

TEST_F(UserErrors, ReadByThreadsOfThePool) {
  throws.packs = true;
  run(async_transact(async, executor(), [this](AsyncTransaction& txn) -> Task<> {
    EXPECT_EQ((co_await async_read(txn, moody)).text, std::string(100, 'm'));
    co_await async_prefetch(txn, std::span<const Ref<Crowd>>(&crowd, 1));
    EXPECT_EQ((co_await async_read(txn, crowd)).one->text, "d");
    EXPECT_EQ((co_await async_read(txn, picture)).pixels.size(), 3u);
  }));
  expect_all_free();
}

/// A commit that cannot write the value says so; one that only cannot weigh it goes on.
TEST_F(UserErrors, CommitOfWhatDoesNotPack) {
  throws.packs = true;
  Transaction txn = database.begin();
  txn.write(moody).text = "changed";
  EXPECT_THROW(txn.commit(), std::invalid_argument);
  EXPECT_FALSE(txn.active());
  txn = database.begin();
  txn.write(picture).pixels.push_back(4);
  txn.commit();
  EXPECT_EQ(database.begin().read(picture).pixels.size(), 4u);
  EXPECT_EQ(database.begin().read(moody).text, std::string(100, 'm'));

  auto body = [this](AsyncTransaction& asynchronous) -> Task<> {
    (co_await async_write(asynchronous, moody))->text = "changed";
  };
  EXPECT_THROW(run(async_transact(async, executor(), body)), std::invalid_argument);
  expect_all_free();
}

TEST_F(UserErrors, WriteOfWhatDoesNotCopy) {
  expect_all_readable();  // loaded: else decoding is what fails, for it copies
  throws.copies = true;
  Transaction txn = database.begin();
  EXPECT_THROW(txn.write(moody), std::invalid_argument);
  EXPECT_THROW(txn.write(crowd), std::invalid_argument);
  EXPECT_EQ(txn.writes(), 0u);
  EXPECT_EQ(txn.read(moody).text, std::string(100, 'm'));
  auto body = [this](AsyncTransaction& asynchronous) -> Task<> { (void)co_await async_write(asynchronous, moody); };
  EXPECT_THROW(run(async_transact(async, executor(), body)), std::invalid_argument);
  throws.copies = false;
  txn.write(moody).text = "copied";
  txn.commit();
  EXPECT_EQ(database.begin().read(moody).text, "copied");
  expect_all_free();
}

TEST_F(UserErrors, CreationOfWhatDoesNotMove) {
  Moody value("new");
  throws.moves = true;
  Transaction txn = database.begin();
  EXPECT_THROW((void)txn.create(std::move(value)), std::invalid_argument);
  EXPECT_EQ(txn.writes(), 0u);
  txn.commit();
  throws.moves = false;
  expect_all_readable();
}

TEST_F(UserErrors, ReadOfWhatDoesNotUnpack) {
  throws.unpacks = true;
  EXPECT_THROW((void)database.begin().read(moody), UnfitRecordError);
  EXPECT_THROW((void)database.begin().read(crowd), UnfitRecordError);
  auto body = [this](AsyncTransaction& txn) -> Task<> { (void)co_await async_read(txn, moody); };
  EXPECT_THROW(run(async_transact(async, executor(), body)), UnfitRecordError);
  throws.unpacks = false;
  expect_all_readable();
}

/// The result of a task is moved on its way to the handler.
TEST_F(UserErrors, ResultThatDoesNotMove) {
  auto task = []() -> Task<Moody> {
    Moody made("result");
    throws.moves = throws.copies = true;
    co_return made;
  };
  EXPECT_THROW(run(task()), std::invalid_argument);
  throws = {};
  auto awaits = [&]() -> Task<> {
    auto call = [] {
      throws.moves = true;
      return Moody("result");
    };
    EXPECT_THROW((void)co_await async_run(async.loads(), executor(), call), std::invalid_argument);
  };
  run(awaits());
}

}  // namespace
}  // namespace cow::testing
