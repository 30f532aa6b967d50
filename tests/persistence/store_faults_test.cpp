// A store on a file system that fails: every call of a small run may fail once, fail for ever, tear, kill or lose power.
//
// A child (this same program, executed afresh under the library `failing_file_system`) creates a store, commits, reads,
// closes and reopens it; one call of it fails. It must end well or by a typed error, and if the fault strikes once only
// it must come to the end of its work. A second child, on a sound file system, then opens what is left: everything that
// was acknowledged is there, the rest is whole or absent, oids are not given out again, and the store can be used.
//
// COW_CACHE_FAULT=write:17:eio:once runs one point only; COW_CACHE_SEED chooses others than usual. With
// COW_CACHE_STRESS_SECONDS (`scripts/test --stress`) every point is tried.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "failing_file_system/fault.hpp"
#include "failing_file_system/workload.hpp"
#include "tests/support/stress_settings.hpp"

extern char** environ;

namespace cow::testing {
namespace {

namespace fs = std::filesystem;

/// Runs this program with `arguments`, and `variables` beside the environment. Returns what waitpid says.
int run_self(std::vector<std::string> arguments, std::vector<std::string> variables, const fs::path& output) {
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  arguments.insert(arguments.begin(), fs::read_symlink("/proc/self/exe").string());
  const auto pointers = [](std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (std::string& text : texts) all.push_back(text.data());
    all.push_back(nullptr);
    return all;
  };
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, arguments.front().c_str(), &actions, nullptr, pointers(arguments).data(),
                                  pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error != 0 || ::waitpid(pid, &status, 0) != pid) throw std::runtime_error("cannot run this program again");
  return status;
}

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Outcome {
  bool struck = false;  ///< the fault has struck
  std::string wrong;    ///< what must not be; empty: all is well
  std::array<std::uint64_t, kOperationNames.size()> calls{};
};

/// One run with one fault, or with none.
Outcome run_with(const std::optional<Fault>& fault, const std::string& how = "") {
  // In memory, where there is such a file system: a power failure is simulated, so syncing a device is in vain.
  const ScratchDirectory scratch(fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path());
  const fs::path report_file = scratch.path() / "report";
  const fs::path acknowledged_file = scratch.path() / "acknowledged";
  const fs::path output = scratch.path() / "output";
  std::ofstream(report_file) << std::string(sizeof(FaultReport), '\0');
  std::ofstream(acknowledged_file) << "";

  std::vector<std::string> variables{std::string("LD_PRELOAD=") + COW_FAILING_FILE_SYSTEM,
                                     std::string(kFaultDirectoryVariable) + "=" + scratch.store().string(),
                                     std::string(kFaultReportVariable) + "=" + report_file.string()};
  if (fault) variables.push_back(std::string(kFaultVariable) + "=" + fault->to_string());
  const int status =
      run_self({kWorkChild, scratch.store().string(), acknowledged_file.string(), how}, variables, output);

  Outcome outcome;
  {
    std::ifstream in(report_file, std::ios::binary);
    std::array<std::uint64_t, kOperationNames.size() + 1> numbers{};
    in.read(reinterpret_cast<char*>(numbers.data()), sizeof numbers);
    std::copy_n(numbers.begin(), outcome.calls.size(), outcome.calls.begin());
    outcome.struck = numbers.back() != 0;
  }
  const bool dies = fault && fault->effect >= Effect::kill;
  if (WIFSIGNALED(status)) {
    if (!(dies && WTERMSIG(status) == SIGKILL)) outcome.wrong = "ended by signal " + std::to_string(WTERMSIG(status));
  } else if (WEXITSTATUS(status) == kTypedError) {
    if (!fault || fault->times != 0) outcome.wrong = "gave up, though a second attempt should have been well";
  } else if (WEXITSTATUS(status) != kAllDone) {
    outcome.wrong = "went wrong";
  }
  if (outcome.wrong.empty()) {
    const int check = run_self({kCheckChild, scratch.store().string(), acknowledged_file.string()}, {}, output);
    if (!WIFEXITED(check) || WEXITSTATUS(check) != kAllDone) outcome.wrong = "left something that is not right";
  }
  if (!outcome.wrong.empty()) outcome.wrong += "\n" + text_of(output);
  return outcome;
}

struct Kind {
  Operation operation;
  Effect effect;
  std::uint64_t times;
};

std::vector<Kind> kinds() {
  using enum Operation;
  using enum Effect;
  std::vector<Kind> all;
  const auto add = [&](Operation operation, std::initializer_list<Effect> effects) {
    for (Effect effect : effects) {
      all.push_back({operation, effect, 1});
      if (effect < kill) all.push_back({operation, effect, 0});
    }
  };
  add(write, {eio, enospc, partial, torn, kill, power, torn_power});
  add(sync, {eio, enospc, kill, power, torn_power});
  add(rename, {eio, enospc, kill, power, torn_power});
  add(open, {eio, enospc, emfile, kill, power});
  add(read, {eio, partial});
  add(remove, {eio, kill, power, torn_power});
  add(resize, {eio, enospc, power});
  add(make_directory, {eio, power});
  return all;
}

/// Runs all `faults`, as many at a time as there are processors.
void run_all(const std::vector<Fault>& faults, const std::string& how) {
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> struck{0};
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(std::thread::hardware_concurrency(), 1u); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < faults.size(); at = next++) {
        const Outcome outcome = run_with(faults[at], how);
        struck += outcome.struck;
        const std::lock_guard lock(mutex);
        if (!outcome.wrong.empty()) {
          ADD_FAILURE() << "COW_CACHE_FAULT=" << faults[at].to_string() << ": " << outcome.wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << faults.size() << " faults, " << struck << " of them struck\n";
  EXPECT_GE(struck * 10, faults.size() * 8) << "the runs are too unlike each other to be told anything by";
}

// `how`: what the child does, see `work`.
void let_every_call_fail(const std::string& how) {
  ASSERT_TRUE(fs::exists(COW_FAILING_FILE_SYSTEM)) << "not built: " << COW_FAILING_FILE_SYSTEM;
  if (const char* wanted = std::getenv("COW_CACHE_FAULT")) {
    const std::optional<Fault> fault = Fault::parse(wanted);
    ASSERT_TRUE(fault) << wanted;
    const Outcome outcome = run_with(fault, how);
    EXPECT_TRUE(outcome.struck);
    EXPECT_EQ(outcome.wrong, "");
    return;
  }
  const Outcome sound = run_with(std::nullopt, how);
  ASSERT_EQ(sound.wrong, "");
  for (std::size_t i = 0; i < sound.calls.size(); ++i) {
    std::cout << kOperationNames[i] << ": " << sound.calls[i] << " calls" << (i + 1 < sound.calls.size() ? ", " : "\n");
    ASSERT_GT(sound.calls[i], 0u) << kOperationNames[i];
  }
  const std::uint64_t seed = chosen_seed().value_or(1);
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  std::vector<Fault> faults;
  for (const Kind& kind : kinds()) {
    const std::uint64_t calls = sound.calls[static_cast<std::size_t>(kind.operation)];
    const std::uint64_t points = stress() ? calls : std::min<std::uint64_t>(calls, 3);
    // One point in each of as many equal parts of the run.
    for (std::uint64_t part = 0; part < points; ++part) {
      const std::uint64_t from = calls * part / points;
      const std::uint64_t size = calls * (part + 1) / points - from;
      faults.push_back({kind.operation, from + 1 + random() % size, kind.effect, kind.times, ""});
    }
  }
  run_all(faults, how);
}

TEST(StoreFaults, EveryCallMayFail) { let_every_call_fail(""); }
TEST(StoreFaults, EveryCallOfPacksMayFail) { let_every_call_fail("packs"); }

// A database file cannot be written for want of room, once or some times: commits may be refused in the meantime, but
// the store is never closed for writing, and goes on when there is room.
TEST(StoreFaults, WantOfRoomInTheBackgroundIsPassing) {
  if (std::getenv("COW_CACHE_FAULT") != nullptr) GTEST_SKIP();
  std::vector<Fault> faults;
  for (const Operation operation : {Operation::open, Operation::write, Operation::sync}) {
    for (const std::uint64_t times : {1, 2, 10}) {
      for (std::uint64_t first = 2; first <= 26; first += stress() ? 1 : 8) {
        faults.push_back({operation, first, Effect::enospc, times, ".sst"});
      }
    }
  }
  run_all(faults, "strict");
}

}  // namespace
}  // namespace cow::testing

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], cow::testing::kWorkChild) == 0) {
    return cow::testing::work(argv[2], argv[3], argv[4]);
  }
  if (argc == 4 && std::strcmp(argv[1], cow::testing::kCheckChild) == 0) return cow::testing::check(argv[2], argv[3]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
