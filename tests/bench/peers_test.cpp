// The peers of bench/peers: that all of them read the same, that none can read something else unnoticed, and which of them has
// snapshots.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "bench/peers/field.hpp"
#include "bench/peers/rounds.hpp"
#include "bench/support/scratch_directory.hpp"

namespace cow::bench::peers {
namespace {

/// A way into the cache that leads by oids, as a peer of its own.
class CowCacheByOid : public CowCachePeer {
 public:
  using CowCachePeer::CowCachePeer;
  ByOid open_reader(std::size_t object) { return open_reader_by_oid(object); }
};

template <class Peer>
std::unique_ptr<Peer> make(const Chain& chain, const std::filesystem::path& folder) {
  if constexpr (std::is_constructible_v<Peer, const Chain&, const std::filesystem::path&>) {
    return std::make_unique<Peer>(chain, folder);
  } else {
    return std::make_unique<Peer>(chain);
  }
}

template <class Peer>
class PeerTest : public ::testing::Test {
 protected:
  /// In a thread of its own, as others write.
  void write(std::size_t object, std::uint64_t number) {
    std::thread([&] { peer->set_number(object, number); }).join();
  }

  ScratchDirectory folder;
  Chain chain{3'000, 7};
  std::unique_ptr<Peer> peer = make<Peer>(chain, folder.path());
};

using Peers =
    ::testing::Types<CowCachePeer, CowCacheByOid, LmdbPeer, WiredTigerPeer, RocksDbPeer, LockedMapPeer, TbbMapPeer>;
TYPED_TEST_SUITE(PeerTest, Peers);

TYPED_TEST(PeerTest, ReadsWhatTheChainHolds) {
  auto reader = this->peer->open_reader(this->chain.object(5));
  std::uint64_t step = 5;
  for (std::size_t reads : {1, 10, 4'000}) {  // on from where the last transaction has ended, and more than once around
    reader.transaction([&](auto&& next) {
      for (std::size_t i = 0; i < reads; ++i) this->chain.check(this->chain.object(step++), next());
    });
  }
}

TYPED_TEST(PeerTest, SeesItsSnapshotIfItHasSome) {
  const std::size_t object = this->chain.object(0);
  const std::uint64_t before = this->chain.number(object), after = before + 1;
  auto reader = this->peer->open_reader(object);
  auto around = [&](auto&& next) {  // once around but for the first object
    for (std::size_t i = 1; i < this->chain.objects(); ++i) (void)next();
  };
  reader.transaction([&](auto&& next) {
    EXPECT_EQ(next().number, before);
    around(next);
    this->write(object, after);
    EXPECT_EQ(next().number, TypeParam::kHasSnapshots ? before : after);
    around(next);
  });
  reader.transaction([&](auto&& next) { EXPECT_EQ(next().number, after); });
}

/// Of an object that the transaction has not read yet.
TYPED_TEST(PeerTest, HasItsSnapshotFromTheFirstReadOn) {
  const std::size_t first = this->chain.object(0), second = this->chain.object(1);
  auto reader = this->peer->open_reader(first);
  reader.transaction([&](auto&& next) {
    EXPECT_EQ(next().number, this->chain.number(first));
    this->write(second, 1);
    EXPECT_EQ(next().number, TypeParam::kHasSnapshots ? this->chain.number(second) : 1);
  });
}

TYPED_TEST(PeerTest, AWrongNumberIsFoundOut) {
  auto one = contender("one", this->chain, [this](std::size_t object) { return this->peer->open_reader(object); });
  one->verify();
  EXPECT_GT(one->sample({.reads = 10, .threads = 2}, 1e-4), 0);
  this->peer->set_number(this->chain.object(17), 1);
  EXPECT_THROW(one->verify(), WrongAnswerError);
  for (std::size_t threads : {1, 2}) {
    EXPECT_THROW((void)one->sample({.reads = 100, .threads = threads}, 1e-4), WrongAnswerError);
  }
}

TYPED_TEST(PeerTest, TwoThreadsReadWhileOthersWrite) {
  auto one = contender("one", this->chain, [this](std::size_t object) { return this->peer->open_reader(object); });
  const std::size_t object = this->chain.object(3);
  std::jthread writer([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      this->peer->set_number(object, this->chain.number(object));  // the same: what is read is known
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  EXPECT_GT(one->sample({.reads = 1'000, .threads = 2}, 0.02), 0);
}

TEST(Chain, LeadsThroughEveryObjectOnce) {
  const Chain chain(1'000, 3);
  std::vector<int> seen(chain.objects());
  std::uint64_t sum = 0;
  for (std::uint64_t step = 0; step < chain.objects(); ++step) {
    ++seen[chain.object(step)];
    EXPECT_EQ(chain.successor(chain.object(step)), chain.object(step + 1));
    EXPECT_EQ(chain.sum(0, step), sum);
    sum += chain.number(chain.object(step));
  }
  EXPECT_EQ(std::vector<int>(chain.objects(), 1), seen);
  EXPECT_EQ(chain.sum(0, 3 * chain.objects()), 3 * sum);
  EXPECT_EQ(chain.sum(999, 2), chain.number(chain.object(999)) + chain.number(chain.object(0)));
  EXPECT_NE(chain.object(0), Chain(1'000, 4).object(0));
}

TEST(Field, HasEveryNameOnceAndMeasuresAll) {
  ScratchDirectory folder;
  const Chain chain(100, 1);
  const Field field = all_contenders(chain, folder.path());
  std::vector<std::string> names;
  for (const auto& one : field) names.push_back(one->name());
  EXPECT_EQ(names, kNames);
  const Rounds rounds(field, {.reads = 10, .threads = 2}, 3, 1e-4, 1);
  for (std::size_t i = 0; i < field.size(); ++i) EXPECT_GT(rounds.nanoseconds(i), 0);
  EXPECT_EQ(rounds.ratio(0, 0), 1);
}

TEST(PeerErrors, SayWhichCallOfWhichStore) {
  const Chain chain(10, 1);
  auto said = [](auto&& work) -> std::string {
    try {
      work();
    } catch (const PeerError& error) {
      return error.what();
    }
    return "nothing";
  };
  const std::filesystem::path nowhere = "/nowhere/at/all";
  EXPECT_NE(said([&] { LmdbPeer peer(chain, nowhere); }).find("lmdb: mdb_env_open"), std::string::npos);
  EXPECT_NE(said([&] { WiredTigerPeer peer(chain, nowhere); }).find("wiredtiger: wiredtiger_open"), std::string::npos);
  EXPECT_NE(said([&] {
              ScratchDirectory folder;
              RocksDbPeer peer(chain, folder.path());
              RocksDbPeer again(chain, folder.path());
            }).find("rocksdb: Open"),
            std::string::npos);
}

}  // namespace
}  // namespace cow::bench::peers
