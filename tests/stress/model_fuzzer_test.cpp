// The model fuzzer: random operations of interleaved transactions, in one thread, compared with a model.
//
// COW_CACHE_SEED=N runs that seed only, and prints what it does. COW_CACHE_STRESS_SECONDS is the time of each case, 5 by
// default; if it is set, the seeds start at random. A seed that fails is made smaller and printed as a list of operations.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "model_fuzzer.hpp"
#include "model_plan.hpp"
#include "persistence/memory_peer.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/rocksdb_store.hpp"
#include "tests/support/store_testing.hpp"
#include "tests/support/stress_settings.hpp"

// Only a sanitizer's runtime has it.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace cow::testing {
namespace {

std::atomic<std::uint64_t> current_seed{0};

void print_seed() {
  char text[64];
  int length = std::snprintf(text, sizeof text, "\nthe process ended in COW_CACHE_SEED=%llu\n",
                             static_cast<unsigned long long>(current_seed.load()));
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, text, static_cast<std::size_t>(length));
}

/// A crash, too, must say which seed it was.
void print_seed_on_crash() {
  if (__sanitizer_set_death_callback != nullptr) return __sanitizer_set_death_callback(print_seed);
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, [](int which) {
      print_seed();
      std::signal(which, SIG_DFL);
      std::raise(which);
    });
  }
}

class MemorySource final : public StoreSource {
 public:
  Store& open() override { return store_; }
  void close() override {}

 private:
  MemoryStore store_;
};

class RocksDbSource final : public StoreSource {
 public:
  Store& open() override {
    RocksDbOptions options;
    options.durable = false;  // nothing cuts the power here
    options.create_if_missing = true;
    store_ = std::make_unique<RocksDbStore>(directory_.store(), options);
    return *store_;
  }
  void close() override { store_.reset(); }

 private:
  ScratchDirectory directory_;
  std::unique_ptr<RocksDbStore> store_;
};

/// Two databases over it, as two processes would have them.
class PeersSource final : public StoreSource {
 public:
  Store& open() override { return here_; }
  Store* open_peer() override { return &there_; }
  void close() override {}

 private:
  MemoryStore store_;
  MemoryPeer here_{store_}, there_{store_};
};

/// What went wrong in a run, and at which step.
struct Failure {
  std::size_t step;
  std::string what;

  /// The message without its numbers and values: what makes two failures the same fault.
  std::string kind() const {
    std::string kind;
    for (char letter : what.substr(0, what.find(" = "))) {
      if (letter < '0' || letter > '9') kind += letter;
    }
    return kind;
  }
};

template <class Source>
std::optional<Failure> run_plan(const Plan& plan, std::vector<std::string>* log = nullptr) {
  Source source;
  ModelRun run(plan, source, log);
  try {
    run.run();
  } catch (const std::exception& error) {
    return Failure{run.step(), error.what()};
  }
  return std::nullopt;
}

template <class Source>
class ModelFuzzer : public ::testing::Test {
 protected:
  using Clock = std::chrono::steady_clock;
  static constexpr StoreTraits kStore{.reopens_are_dear = std::is_same_v<Source, RocksDbSource>,
                                      .has_peers = std::is_same_v<Source, PeersSource>};

  static void SetUpTestSuite() { print_seed_on_crash(); }

  /// Makes a failing plan smaller and reports it.
  static void report(Plan plan, const Failure& first) {
    plan.operations.resize(std::min(plan.operations.size(), first.step));
    auto deadline = Clock::now() + std::chrono::seconds(20);
    auto fails_in = [&]<class AnySource>(const Plan& tried, AnySource*) {
      auto failure = run_plan<AnySource>(tried);
      return failure && failure->kind() == first.kind();
    };
    auto may_go_on = [&] { return Clock::now() < deadline; };
    Source* here = nullptr;
    MemorySource* in_memory = nullptr;
    if (!kStore.has_peers && fails_in(plan, in_memory)) {  // mostly it is the cache, and a store in memory opens sooner
      shrink(
          plan, [&](const Plan& tried) { return fails_in(tried, in_memory); }, may_go_on);
    } else if (fails_in(plan, here)) {
      shrink(
          plan, [&](const Plan& tried) { return fails_in(tried, here); }, may_go_on);
    } else {
      plan = make_plan(plan.seed, kStore);  // the end of the run belongs to it
    }
    std::vector<std::string> log;
    auto failure = run_plan<Source>(plan, &log);
    std::string text;
    for (const std::string& line : log) text += "  " + line + "\n";
    ADD_FAILURE() << "COW_CACHE_SEED=" << plan.seed << ", step " << first.step << ": " << first.what << "\ncache_bytes "
                  << plan.options.cache_bytes << ", limbo_bytes " << plan.options.limbo_bytes << ", replacement "
                  << static_cast<int>(plan.options.replacement) << "\nthese " << plan.operations.size()
                  << " operations suffice:\n"
                  << text << "=> " << (failure ? failure->what : "passes now");
  }

  /// Each kind of failure is reported once.
  void run_seed(std::uint64_t seed) {
    current_seed = seed;
    Plan plan = make_plan(seed, kStore);
    auto failure = run_plan<Source>(plan);
    if (failure && kinds_.insert(failure->kind()).second) report(plan, *failure);
  }

  std::set<std::string> kinds_;
};

using Sources = ::testing::Types<MemorySource, RocksDbSource, PeersSource>;
struct SourceNames {
  template <class Source>
  static std::string GetName(int) {
    return std::is_same_v<Source, MemorySource>  ? "MemoryStore"
           : std::is_same_v<Source, PeersSource> ? "TwoPeers"
                                                 : "RocksDbStore";
  }
};
TYPED_TEST_SUITE(ModelFuzzer, Sources, SourceNames);

TYPED_TEST(ModelFuzzer, TheDatabaseIsWhatTheModelSays) {
  if (auto seed = chosen_seed()) {
    this->run_seed(*seed);
    return;
  }
  const std::uint64_t first = first_seed();
  std::cout << "seeds from " << first << "\n";
  auto deadline = TestFixture::Clock::now() + stress_time(5.0);
  std::uint64_t seed = first;
  // On a slow machine, too, as many as have found a lost own write.
  const std::uint64_t fewest = first + (TestFixture::kStore.reopens_are_dear ? 10 : 300);
  while (this->kinds_.size() < 6 && (seed < fewest || TestFixture::Clock::now() < deadline)) this->run_seed(seed++);
  std::cout << seed - first << " seeds\n";
}

}  // namespace
}  // namespace cow::testing
