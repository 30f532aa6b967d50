// Opening, making, locking and closing a RocksDbStore: what a path may be, who may open it, and what is left behind.
//
// Some children are this same program, executed afresh: they end in ways that a test cannot, and fork in turn.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "persistence/detail/info_log.hpp"
#include "tests/support/store_testing.hpp"
#include "tests/support/stress_settings.hpp"
#include "witness_testing.hpp"

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChildArgument = "--store-open-child";

std::set<std::string> tree(const fs::path& top) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    names.insert(entry.path().lexically_relative(top).string());
  }
  return names;
}

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Waits at the end for a child to end, and kills it before if it is still there.
class ChildProcess {
 public:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }
  int exit_code() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

/// A limit of this process, lowered for a while.
class LoweredLimit {
 public:
  LoweredLimit(int resource, rlim_t value) : resource_(resource) {
    EXPECT_EQ(::getrlimit(static_cast<__rlimit_resource_t>(resource_), &before_), 0);
    const rlimit lowered{value, before_.rlim_max};
    EXPECT_EQ(::setrlimit(static_cast<__rlimit_resource_t>(resource_), &lowered), 0);
  }
  ~LoweredLimit() { ::setrlimit(static_cast<__rlimit_resource_t>(resource_), &before_); }
  LoweredLimit(const LoweredLimit&) = delete;
  LoweredLimit& operator=(const LoweredLimit&) = delete;

 private:
  int resource_;
  rlimit before_{};
};

class CurrentDirectory {
 public:
  explicit CurrentDirectory(const fs::path& to) : before_(fs::current_path()) { fs::current_path(to); }
  ~CurrentDirectory() { fs::current_path(before_); }
  CurrentDirectory(const CurrentDirectory&) = delete;
  CurrentDirectory& operator=(const CurrentDirectory&) = delete;

 private:
  fs::path before_;
};

// --- Making and opening

TEST(StoreOpen, CreateMakesAStoreAndRefusesOneThatIsThere) {
  const ScratchDirectory scratch;
  {
    RocksDbStore store = RocksDbStore::create(scratch.store());
    commit(store, 1, {put(1, "a")});
    EXPECT_THROW(RocksDbStore::create(scratch.store()), StoreLockedError);
  }
  EXPECT_THROW(RocksDbStore::create(scratch.store()), StoreExistsError);
  EXPECT_NE(message_of([&] { RocksDbStore::create(scratch.store()); }).find(scratch.store()), std::string::npos);
  EXPECT_EQ(RocksDbStore(scratch.store()).load(Oid{1}, kInfinity)->record, "a");
  EXPECT_EQ(RocksDbStore(scratch.store(), creating()).last_tid(), Tid{1});
  // On the heap: the new object is what `create` returns.
  const std::unique_ptr<RocksDbStore> other(new RocksDbStore(RocksDbStore::create(scratch.path() / "other")));
  commit(*other, 1, {put(1, "b")});
}

TEST(StoreOpen, AMistypedPathIsAnErrorThatSaysHowToMakeAStore) {
  const ScratchDirectory scratch;
  fs::create_directory(scratch.path() / "empty");
  const std::set<std::string> before = tree(scratch.path());
  for (const char* path : {"sotre", "empty", "not/there/at/all"}) {
    EXPECT_THROW(RocksDbStore(scratch.path() / path), StoreMissingError) << path;
    const std::string message = message_of([&] { RocksDbStore store(scratch.path() / path); });
    EXPECT_NE(message.find((scratch.path() / path).string()), std::string::npos) << message;
    EXPECT_NE(message.find("RocksDbStore::create"), std::string::npos) << message;
  }
  EXPECT_EQ(tree(scratch.path()), before);
}

enum class Answer { opens, missing, format, other };

Answer try_to_open(const fs::path& path, const RocksDbOptions& options) {
  try {
    RocksDbStore store(path, options);
    return Answer::opens;
  } catch (const StoreMissingError&) {
    return Answer::missing;
  } catch (const StoreFormatError&) {
    return Answer::format;
  } catch (const StoreError&) {
    return Answer::other;
  }
  // Anything else is not an error of this library, and fails the test.
}

TEST(StoreOpen, OddPathsAreRefusedByTypeAndLeaveNothingBehind) {
  struct Case {
    std::string path;
    Answer open;
    Answer create;
  };
  using enum Answer;
  const std::vector<Case> cases{
      {"", other, other},
      {".", missing, opens},
      {"..", format, format},
      {"a/b/../c", missing, opens},
      {"d//e/", missing, opens},
      {"./f/./", missing, opens},
      {std::string(5000, 'x'), other, other},
      {"deep/" + std::string(300, 'x'), missing, other},
      {std::string("nul\0inside", 10), other, other},
      {"sp ace\nnew\xff\xfe", missing, opens},
      {"file", format, format},
      {"file/store", missing, other},
      {"file/deep/store", missing, other},
      {"dangling", other, other},
      {"dangling/store", missing, other},
      {"loop", other, other},
      {"loop/x", other, other},
      {"/proc/self/fd/store", missing, other},
      {"/dev/null", format, format},
      {"link", missing, opens},
  };
  for (const Case& wanted : cases) {
    for (const bool create : {false, true}) {
      const ScratchDirectory scratch;
      fs::create_directory(scratch.path() / "in");
      const CurrentDirectory inside(scratch.path() / "in");
      if (wanted.path != "." && wanted.path.size() != 1) {
        std::ofstream("file") << "x";
        fs::create_symlink("nowhere", "dangling");
        fs::create_symlink("loop", "loop");
        fs::create_directory("real");
        fs::create_symlink("real", "link");
      }
      const std::set<std::string> before = tree(scratch.path());
      RocksDbOptions options;
      options.create_if_missing = create;
      const std::string shown = wanted.path.substr(0, 40) + (create ? ", create" : ", open");
      const Answer answer = try_to_open(wanted.path, options);
      EXPECT_EQ(answer, create ? wanted.create : wanted.open) << shown;
      if (answer != opens) {
        EXPECT_EQ(tree(scratch.path()), before) << shown;
      }
    }
  }
}

TEST(StoreOpen, ACreationThatFailsLeavesNothingBehind) {
  std::signal(SIGXFSZ, SIG_IGN);
  for (const char* path : {"new", "several/new/directories", "there"}) {
    // Writes fail from this size on: at once, and at several points of the creation.
    for (const rlim_t limit : {0, 30, 100}) {
      const ScratchDirectory scratch;
      fs::create_directory(scratch.path() / "there");
      std::ofstream(scratch.path() / "there" / "LOCK") << "";
      const std::set<std::string> before = tree(scratch.path());
      {
        const LoweredLimit small_files(RLIMIT_FSIZE, limit);
        EXPECT_THROW(RocksDbStore::create(scratch.path() / path), StoreError) << path << ", " << limit;
      }
      EXPECT_EQ(tree(scratch.path()), before) << path << ", " << limit;
      RocksDbStore store = RocksDbStore::create(scratch.path() / path);
      commit(store, 1, {put(1, "a")});
    }
  }
}

TEST(StoreOpen, AProcessMayChangeItsDirectoryAndALinkItsTarget) {
  const ScratchDirectory scratch;
  const CurrentDirectory inside(scratch.path());
  fs::create_directory("real");
  fs::create_directory("elsewhere");
  fs::create_symlink("real", "link");
  RocksDbOptions options = creating();
  options.write_buffer_bytes = 64 << 10;
  options.max_log_bytes = 64 << 10;
  {
    RocksDbStore store("link/store", options);
    EXPECT_EQ(store.path(), fs::canonical(scratch.path()) / "real" / "store");
    fs::current_path("/");
    fs::remove(scratch.path() / "link");
    fs::create_symlink("elsewhere", scratch.path() / "link");
    // Enough for new logs and database files to be made.
    for (std::uint64_t tid = 1; tid <= 30; ++tid) {
      commit(store, tid, {put(1, record_of(1, tid, 20'000))});
      store.allocate_oids(5000);
    }
  }
  EXPECT_TRUE(fs::is_empty(scratch.path() / "elsewhere"));
  RocksDbStore store(scratch.path() / "real" / "store");
  EXPECT_EQ(store.verify(), 30u);
}

// --- Locking

TEST(StoreOpen, AForkedChildDoesNotKeepAStoreLockedThatItsParentHasClosed) {
  const ScratchDirectory scratch;
  auto store = std::make_unique<RocksDbStore>(scratch.store(), creating());
  commit(*store, 1, {put(1, "a")});
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  const ChildProcess child(pid);
  EXPECT_THROW(RocksDbStore again(scratch.store()), StoreLockedError);
  store.reset();
  EXPECT_EQ(RocksDbStore(scratch.store()).last_tid(), Tid{1});
}

TEST(StoreOpen, AForkedChildHasNoPartInTheStore) {
  const ScratchDirectory scratch;
  auto store = std::make_unique<RocksDbStore>(scratch.store(), creating());
  commit(*store, 1, {put(1, "a")});
  store->allocate_oids(1);  // and there are more in reserve
  const std::set<std::string> before = tree(scratch.path());
  const pid_t pid = ::fork();
  if (pid == 0) {
    int wrong = 0;
    try {
      commit(*store, 2, {put(1, "of the child")});
      ++wrong;
    } catch (const StoreError&) {
    }
    for (const std::uint64_t count : {1, 1 << 20}) {
      try {
        store->allocate_oids(count);
        ++wrong;
      } catch (const StoreError&) {
      }
    }
    store.reset();
    ::_exit(wrong);
  }
  ChildProcess child(pid);
  EXPECT_EQ(child.exit_code(), 0);
  EXPECT_EQ(tree(scratch.path()), before);
  EXPECT_THROW(RocksDbStore again(scratch.store()), StoreLockedError) << "the child's copy has unlocked it";
  commit(*store, 2, {put(1, "b")});
  store.reset();
  RocksDbStore reopened(scratch.store());
  EXPECT_EQ(reopened.verify(), 2u);
  EXPECT_EQ(reopened.load(Oid{1}, kInfinity)->record, "b");
}

// The child opens the store, forks a grandchild that lives on, and says so.
int run_child(const char* path, int pipe) {
  RocksDbStore store(path, creating());
  commit(store, store.last_tid().value + 1, {put(1, "a")});
  const pid_t grandchild = ::fork();
  if (grandchild != 0) {
    for (;;) ::pause();
  }
  const pid_t self = ::getpid();
  if (::write(pipe, &self, sizeof self) != sizeof self) return 1;
  for (;;) ::pause();
}

TEST(StoreOpen, AForkedChildDoesNotKeepAStoreLockedWhoseParentWasKilled) {
  const ScratchDirectory scratch;
  const std::string program = fs::read_symlink("/proc/self/exe").string();
  const std::string path = scratch.store().string();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const std::string pipe = std::to_string(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(program.c_str(), program.c_str(), kChildArgument, path.c_str(), pipe.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  ChildProcess child(pid);
  pid_t grandchild = 0;
  ASSERT_EQ(::read(ends[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  EXPECT_THROW(RocksDbStore store(scratch.store()), StoreLockedError);
  child.kill();
  EXPECT_EQ(::kill(grandchild, 0), 0) << "it still lives";
  EXPECT_EQ(message_of([&] { EXPECT_EQ(RocksDbStore(scratch.store()).last_tid(), Tid{1}); }), "");
  ::kill(grandchild, SIGKILL);
  ::close(ends[0]);
}

// A copy of the files in the same process opens and closes all of them, which would drop a POSIX lock.
TEST(StoreOpen, ReadingTheFilesDoesNotUnlockTheStore) {
  const ScratchDirectory scratch;
  RocksDbStore store = RocksDbStore::create(scratch.store());
  fs::copy(scratch.store(), scratch.path() / "copy");
  const pid_t pid = ::fork();
  if (pid == 0) {
    // Only looks at the lock: a forked process must not open a database.
    int locked = 0;
    try {
      RocksDbStore again(scratch.store());
    } catch (const StoreLockedError&) {
      locked = 1;
    }
    ::_exit(locked);
  }
  ChildProcess child(pid);
  EXPECT_EQ(child.exit_code(), 1);
}

// --- What is left

TEST(StoreOpen, OpeningAndClosingLeavesAsManyFilesAsDoingSoOnce) {
  const ScratchDirectory scratch;
  const auto number_of_files = [&] { return tree(scratch.store()).size(); };
  { RocksDbStore::create(scratch.store()); }
  { RocksDbStore store(scratch.store()); }
  const std::size_t once = number_of_files();
  const int times = stress() ? 1000 : repetitions(40);
  for (int i = 0; i < times; ++i) RocksDbStore store(scratch.store());
  EXPECT_EQ(number_of_files(), once);
}

TEST(StoreOpen, SmallSessionsDoNotPileUpSmallFiles) {
  const ScratchDirectory scratch;
  const std::uint64_t times = stress() ? 1000 : 40;
  { RocksDbStore::create(scratch.store()); }
  std::size_t most = 0;
  for (std::uint64_t tid = 1; tid <= times; ++tid) {
    {
      RocksDbStore store(scratch.store());
      commit(store, tid, {put(tid, record_of(tid, tid))});
    }
    most = std::max(most, tree(scratch.store()).size());
  }
  // Two column families, each with fewer than 32 small neighbours in each of the two levels that small ones come to.
  EXPECT_LT(most, stress() ? 2u * 2u * 32u + 10u : 75u);
  EXPECT_EQ(RocksDbStore(scratch.store()).verify(), times);
}

/// Splits the revisions of the store in `directory` over many files.
void split_revisions(const fs::path& directory) {
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::Options options;
  options.target_file_size_base = 2000;
  options.level_compaction_dynamic_level_bytes = true;  // as a store has it: no compaction moves them when it is opened
  options.compression = rocksdb::kNoCompression;
  ASSERT_TRUE(rocksdb::DB::Open(options, directory.string(),
                                {{"default", options}, {"transactions", options}, {"revisions", options}}, &handles,
                                &db)
                  .ok());
  rocksdb::CompactRangeOptions all;
  all.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  ASSERT_TRUE(db->CompactRange(all, handles[2], nullptr, nullptr).ok());
  for (auto* handle : handles) ASSERT_TRUE(db->DestroyColumnFamilyHandle(handle).ok());
  delete db;
  forget_close(directory);
  std::size_t files = 0;
  for (const std::string& name : tree(directory)) files += name.ends_with(".sst");
  ASSERT_GT(files, 100u);
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

TEST(StoreOpen, AStoreOfManyFilesNeedsFewDescriptors) {
  constexpr std::uint64_t kObjects = 400;
  const ScratchDirectory scratch;
  {
    RocksDbOptions quick = creating();
    quick.durable = false;
    RocksDbStore store(scratch.store(), quick);
    for (std::uint64_t tid = 1; tid <= kObjects; ++tid) commit(store, tid, {put(tid, record_of(tid, tid, 3000))});
  }
  split_revisions(scratch.store());
  const std::size_t before = open_descriptors();
  RocksDbOptions fitting;
  RocksDbOptions few;
  few.max_open_files = 30;
  for (const RocksDbOptions& options : {fitting, few}) {
    fs::remove_all(scratch.path() / "copy");  // a close merges the files
    fs::copy(scratch.store(), scratch.path() / "copy");
    const LoweredLimit descriptors(RLIMIT_NOFILE, before + 60);
    RocksDbStore store(scratch.path() / "copy", options);
    for (std::uint64_t tid = 1; tid <= kObjects; ++tid) {
      ASSERT_EQ(store.load(Oid{tid}, kInfinity)->record, record_of(tid, tid, 3000));
    }
    EXPECT_LE(open_descriptors() - before, options.max_open_files == 0 ? 55u : 45u);
    commit(store, store.last_tid().value + 1, {put(1, record_of(1, 1, 3000))});
  }
}

// RocksDB's iterators go on without a file that they cannot open.
TEST(StoreOpen, AFileThatCannotBeOpenedIsAnErrorAndNeverAnOlderRevision) {
  constexpr std::uint64_t kRevisions = 400;
  const ScratchDirectory scratch;
  {
    RocksDbOptions quick = creating();
    quick.durable = false;
    RocksDbStore store(scratch.store(), quick);
    for (std::uint64_t tid = 1; tid <= kRevisions; ++tid) commit(store, tid, {put(1, record_of(1, tid, 3000))});
  }
  split_revisions(scratch.store());
  RocksDbOptions few;
  few.max_open_files = 20;
  few.block_cache_bytes = 1;
  few.verify_at_open = 1;
  int read = 0;
  int refused = 0;
  {
    RocksDbStore store(scratch.store(), few);
    ASSERT_EQ(store.load(Oid{1}, kInfinity)->begin, Tid{kRevisions});  // some files are open now
    std::vector<int> taken;
    const LoweredLimit descriptors(RLIMIT_NOFILE, open_descriptors() + 5);
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken.push_back(fd);
    for (std::uint64_t at = kRevisions; at >= 1; --at) {
      try {
        const std::optional<Revision> revision = store.load(Oid{1}, Tid{at});
        ASSERT_TRUE(revision) << at;
        ASSERT_EQ(revision->begin, Tid{at});
        ASSERT_EQ(revision->end, at == kRevisions ? kInfinity : Tid{at + 1});
        ASSERT_EQ(revision->record, record_of(1, at, 3000));
        ++read;
      } catch (const StoreCorruptError& error) {
        ADD_FAILURE() << error.what();
      } catch (const StoreError&) {
        ++refused;
      }
    }
    try {
      store.verify();
      ADD_FAILURE() << "must throw";
    } catch (const StoreCorruptError& error) {
      ADD_FAILURE() << error.what();
    } catch (const StoreError&) {
    }
    for (int fd : taken) ::close(fd);
  }
  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 100);
  EXPECT_EQ(RocksDbStore(scratch.store()).verify(), kRevisions);
}

// --- RocksDB's own log

void log(rocksdb::Logger& logger, const std::string& text) { rocksdb::Warn(&logger, "%s", text.c_str()); }

TEST(InfoLog, IsBoundedAndRotates) {
  const ScratchDirectory scratch;
  const auto names = [&] { return tree(scratch.path()); };
  {
    detail::InfoLog logger(scratch.path(), 1000);
    EXPECT_TRUE(names().empty()) << "made with the first line";
    rocksdb::Header(&logger, "the options, which are in OPTIONS");
    rocksdb::Info(&logger, "below the level");
    EXPECT_TRUE(names().empty());
    for (int i = 0; i < 200; ++i) log(logger, "line " + std::to_string(i) + std::string(60, '.'));
    log(logger, std::string(100'000, 'x'));  // cut
  }
  EXPECT_EQ(names().size(), static_cast<std::size_t>(detail::InfoLog::kFiles));
  for (const std::string& name : names()) EXPECT_LE(fs::file_size(scratch.path() / name), 5000u) << name;
  const std::size_t size = fs::file_size(scratch.path() / "LOG");
  detail::InfoLog again(scratch.path(), 1 << 20);
  log(again, "the last line");
  std::ifstream in(scratch.path() / "LOG");
  std::string text(std::istreambuf_iterator<char>(in), {});
  EXPECT_GT(text.size(), size) << "appended";
  EXPECT_TRUE(text.ends_with("the last line\n"));
}

TEST(InfoLog, ALineThatCannotBeWrittenIsDropped) {
  std::signal(SIGXFSZ, SIG_IGN);
  const ScratchDirectory scratch;
  detail::InfoLog nowhere(scratch.path() / "not there");
  log(nowhere, "lost");
  detail::InfoLog logger(scratch.path(), 1000);
  {
    const LoweredLimit full(RLIMIT_FSIZE, 300);
    for (int i = 0; i < 100; ++i) log(logger, std::string(60, '.'));
  }
  for (int i = 0; i < 100; ++i) log(logger, std::string(60, '.'));
  fs::remove_all(scratch.path());
  for (int i = 0; i < 100; ++i) log(logger, std::string(60, '.'));
}

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], cow::testing::kChildArgument) == 0) {
    return cow::testing::run_child(argv[2], std::atoi(argv[3]));
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
