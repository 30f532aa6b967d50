// Damage: flip a bit of each byte of a store's files, or cut a file there, and open what is left. It ends in a typed error,
// with the directory as it was, or with every acknowledged commit in its place; never in a crash or in less than that.
//
// Every byte of the small files and a sample of the large ones when COW_CACHE_STRESS_SECONDS is set (the time itself does
// not matter), a sample of all otherwise. The place of the damage follows from its number, so a failure is repeated.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "cow_cache/errors.hpp"
#include "damage_testing.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

// What is being done, for the case that the process does not survive it.
char g_case[256];

void tell_case(int signal) {
  static_cast<void>(!::write(STDERR_FILENO, g_case, std::strlen(g_case)));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

bool complete() { return stress(); }

constexpr std::size_t kAll = ~std::size_t{0};
constexpr std::size_t kFew = repetitions(40);

// Thousands of stores are opened: in memory, if there is a file system there.
const bool g_in_memory = fs::is_directory("/dev/shm") && ::setenv("TMPDIR", "/dev/shm", 0) == 0;

constexpr std::uint64_t kClosedAt = 14;
constexpr std::uint64_t kLast = 24;

/// How the store was left.
enum class Left { closed, killed, killed_after_flushes, killed_after_pack };

class StoreDamage : public ::testing::TestWithParam<Left> {
 public:
  static std::string name_of(Left left) {
    constexpr const char* kNames[]{"Closed", "Killed", "KilledAfterFlushes", "KilledAfterPack"};
    return kNames[static_cast<int>(left)];
  }

 protected:
  StoreDamage() : known_(scratch_.store(), small(), GetParam() == Left::killed_after_flushes ? 4000 : 100) {
    std::signal(SIGABRT, tell_case);
    std::signal(SIGSEGV, tell_case);
    // Some database files, then a log; or all in database files.
    known_.work(kClosedAt);
    if (GetParam() == Left::killed_after_pack) known_.pack(kClosedAt - 2);
    known_.work(kLast, [&](const Files& files) { files_ = files; });
    if (!killed()) files_ = read_files(scratch_.store());
    std::erase_if(files_, [](const auto& file) { return file.first.starts_with("LOG"); });
  }

  static bool killed() { return GetParam() != Left::closed; }

  static RocksDbOptions small() {
    RocksDbOptions options;
    options.oid_block = 16;
    options.block_cache_bytes = 1 << 20;
    options.write_buffer_bytes = 64 << 10;
    return options;
  }

  /// Opens the store with `content` in the place of a file, or without it if that is nothing.
  void open_damaged(const std::string& name, const std::optional<std::string>& content, const std::string& what) {
    const std::string where = name_of(GetParam()) + ": " + name + " " + what;
    std::snprintf(g_case, sizeof g_case, "\nstore_damage_test: %s\n", where.c_str());
    SCOPED_TRACE(where);
    Files damaged = files_;
    if (content) {
      damaged[name] = *content;
    } else {
      damaged.erase(name);
    }
    write_files(damaged, copy());
    ++cases_;
    try {
      RocksDbOptions options = small();
      options.create_if_missing = true;
      RocksDbStore store(copy(), options);
      known_.expect_history(store, kLast);
      ASSERT_GT(store.allocate_oids(1).first.value, known_.given());
    } catch (const Error& error) {
      ++refused_;
      Files after = read_files(copy());
      std::erase_if(after, [](const auto& file) { return file.first.starts_with("LOG"); });
      if (name == "LOCK" && !content) after.erase(name);  // RocksDB makes it even if it opens nothing
      ASSERT_TRUE(after == damaged) << "refused, but something was changed: " << error.what();
    }
  }

  /// `flips` bytes and `cuts` lengths of a file, spread evenly; all of them if there are fewer, or if `complete()`.
  void damage(const std::string& name, std::size_t flips, std::size_t cuts, std::size_t most) {
    const std::string& original = files_.at(name);
    const auto step = [&](std::size_t wanted) {
      const std::size_t count = complete() ? most : wanted;
      return std::max<std::size_t>(1, original.size() / std::max<std::size_t>(count, 1));
    };
    const std::size_t before = refused_;
    const std::size_t cases = cases_;
    for (std::size_t at = 0; at < original.size() && !HasFatalFailure(); at += step(flips)) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (!(complete() && most == kAll) && bit != at % 8) continue;
        std::string content = original;
        content[at] = static_cast<char>(content[at] ^ (1 << bit));
        open_damaged(name, content, "byte " + std::to_string(at) + " bit " + std::to_string(bit));
      }
    }
    for (std::size_t size = 0; size < original.size() && !HasFatalFailure(); size += step(cuts)) {
      open_damaged(name, original.substr(0, size), "cut to " + std::to_string(size));
    }
    open_damaged(name, std::nullopt, "removed");
    std::cout << name << " (" << original.size() << " bytes): " << refused_ - before << " of " << cases_ - cases
              << " refused\n";
  }

  void damage_all_like(const std::string& part, std::size_t flips, std::size_t cuts, std::size_t most) {
    bool any = false;
    const Files files = files_;
    for (const auto& [name, content] : files) {
      if (!name.starts_with(part) && !name.ends_with(part)) continue;
      any = true;
      damage(name, flips, cuts, most);
      if (HasFatalFailure()) return;
    }
    EXPECT_TRUE(any) << "no file like " << part;
  }

  fs::path copy() const { return scratch_.path() / "copy"; }

  const ScratchDirectory scratch_;
  KnownStore known_;
  Files files_;
  std::size_t cases_ = 0;
  std::size_t refused_ = 0;
};

TEST_P(StoreDamage, TheUndamagedStoreOpens) {
  open_damaged("nothing", "", "is damaged");
  EXPECT_EQ(refused_, 0u);
}

TEST_P(StoreDamage, Manifest) {
  damage_all_like("MANIFEST", 3 * kFew, kFew, kAll);
  EXPECT_GT(refused_, cases_ * 9 / 10) << "the check checks nothing";
}

TEST_P(StoreDamage, Current) {
  damage_all_like("CURRENT", kFew, kFew, kAll);
  EXPECT_GT(refused_, cases_ / 2);
}

// Its blocks are mostly padding, and stand in for each other.
TEST_P(StoreDamage, Witness) {
  const std::string original = files_.at("WITNESS");
  damage_all_like("WITNESS", kFew / 2, kFew / 2, 1000);
  std::size_t all = 0;
  const std::size_t refused = refused_;
  for (std::size_t at = 0; at < 112; at += complete() ? 1 : 5) {
    std::string all_damaged = original;
    for (std::size_t block : {0, 4096, 8192}) {
      std::string content = original;
      for (std::string* damaged : {&content, &all_damaged}) {
        (*damaged)[block + at] = static_cast<char>((*damaged)[block + at] ^ 1 << at % 8);
      }
      open_damaged("WITNESS", content, "block " + std::to_string(block) + " byte " + std::to_string(at));
      EXPECT_EQ(refused_, refused + all);
    }
    open_damaged("WITNESS", all_damaged, "all blocks, byte " + std::to_string(at));
    EXPECT_EQ(refused_, refused + ++all);
  }
}

TEST_P(StoreDamage, Identity) { damage_all_like("IDENTITY", kFew / 4, kFew / 4, kAll); }
TEST_P(StoreDamage, Options) { damage_all_like("OPTIONS", kFew / 8, kFew / 8, 500); }

TEST_P(StoreDamage, Log) {
  damage_all_like(".log", 3 * kFew, kFew, 4000);
  if (GetParam() == Left::killed) {
    EXPECT_GT(refused_, cases_ * 8 / 10) << "the check checks nothing";
  }
}

TEST_P(StoreDamage, DatabaseFiles) {
  damage_all_like(".sst", kFew / 2, kFew / 4, 2000);
  EXPECT_GT(refused_, cases_ / 4);
}

// The end of a database file says how the rest is to be read, and RocksDB reads some of that before it is checked.
TEST_P(StoreDamage, EndsOfDatabaseFiles) {
  const std::string name = file_like(files_, ".sst");
  const std::string original = files_.at(name);
  for (std::size_t at = original.size() - 160; at < original.size() && !HasFatalFailure(); ++at) {
    for (unsigned bit = complete() ? 0 : 7; bit < 8; ++bit) {
      std::string content = original;
      content[at] = static_cast<char>(content[at] ^ (1 << bit));
      open_damaged(name, content, "byte " + std::to_string(at) + " bit " + std::to_string(bit));
    }
  }
  EXPECT_GT(refused_, cases_ / 2);
}

INSTANTIATE_TEST_SUITE_P(All, StoreDamage,
                         ::testing::Values(Left::closed, Left::killed, Left::killed_after_flushes,
                                           Left::killed_after_pack),
                         [](const auto& info) { return StoreDamage::name_of(info.param); });

}  // namespace
}  // namespace cow::testing
