// Processes over one PostgreSQL that record a history while their connections fail and they are killed; and what is found in it.
//
// Thread safety: one run at a time; by the thread that starts it, for the processes die with that one.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/support/postgres_proxy.hpp"
#include "bench/support/postgres_server.hpp"
#include "bench/support/postgres_session.hpp"
#include "bench/support/scratch_directory.hpp"
#include "fault_plan.hpp"
#include "history_workload.hpp"
#include "peer_process.hpp"
#include "verdict.hpp"

namespace cow::bench::history {

struct PeerRunOptions {
  Isolation level = Isolation::snapshot;
  std::uint64_t seed = 1;
  std::uint64_t transactions = 10'000;  ///< of all processes
  unsigned kills = 4, outages = 2;
  unsigned fails_one_in = 150;  ///< batches; 0: none fails
  std::string sabotage = {};
};

struct PeerRun {
  Verdict verdict;
  std::uint64_t kills = 0, outages = 0, commits = 0;
  std::uint64_t questions = 0;  ///< what became of a commit, that were answered
  FaultPlan::Counts faults{};

  PeerRun& operator+=(const PeerRun& other) {
    verdict += other.verdict;
    kills += other.kills;
    outages += other.outages;
    commits += other.commits;
    questions += other.questions;
    for (std::size_t i = 0; i < faults.size(); ++i) faults[i] += other.faults[i];
    return *this;
  }
  std::uint64_t all_faults() const { return std::accumulate(faults.begin() + 1, faults.end(), std::uint64_t{0}); }
  /// What has happened, in a line.
  std::string text() const {
    std::ostringstream text;
    text << verdict.transactions << " transactions: " << verdict.acknowledged << " acknowledged, " << verdict.refused
         << " refused, " << verdict.open << " of unknown outcome, " << verdict.cut_short << " cut short by a kill; "
         << verdict.open_done << " of these were done; " << commits << " commits of the engine, " << kills << " kills, "
         << outages << " outages, " << all_faults() << " faults, " << questions << " look-ups, " << verdict.skews
         << " write skews";
    return text.str();
  }
};

/// REQUIRES: this program's main function calls run_as_peer. Throws std::runtime_error if a process ends by itself, and not well.
class PeerRunner {
 public:
  PeerRunner(const PostgresServer& server, const PeerRunOptions& options)
      : server_(server), options_(options), random_(options.seed), schema_(PostgresServer::fresh_schema()) {}
  PeerRunner(const PeerRunner&) = delete;
  PeerRunner& operator=(const PeerRunner&) = delete;
  ~PeerRunner() {
    for (const Peer& peer : peers_) {
      if (peer.process <= 0) continue;
      ::kill(peer.process, SIGKILL);
      ::waitpid(peer.process, nullptr, 0);
    }
  }

  PeerRun run() {
    const std::unique_ptr<PostgresStore> direct = open();
    for (std::uint32_t place = 0; place < kProcesses; ++place) {
      plans_.push_back(std::make_unique<FaultPlan>(random_(), options_.fails_one_in));
      FaultPlan& plan = *plans_.back();
      proxies_.push_back(std::make_unique<PostgresProxy>(
          server_.port(), [&plan](std::string_view batch) { return plan(batch); },
          [&plan](std::size_t ends) { return plan.boundary(ends); }));
    }
    Board board(orders(0, 0).board_size(), orders(0, 0).board());
    for (std::uint32_t place = 0; place < kProcesses; ++place) peers_.push_back({start(place)});
    watch(board);
    for (const auto& plan : plans_) {
      run_.questions += plan->questions();
      for (std::size_t i = 0; i < FaultPlan::kKinds; ++i) run_.faults[i] += plan->counts()[i];
    }
    proxies_.clear();
    wait_for_the_dead();
    judge(*direct, board);
    return std::move(run_);
  }

 private:
  static constexpr std::uint32_t kProcesses = 4;
  static constexpr std::chrono::milliseconds kOutage{1'700};  // more than the processes try for

  struct Peer {
    pid_t process = -1;
    std::optional<std::chrono::steady_clock::time_point> down_until = {};
  };

  std::unique_ptr<PostgresStore> open() const {
    PostgresOptions options;
    options.connection = server_.connection();
    options.schema = schema_;
    options.create_if_missing = true;
    return std::make_unique<PostgresStore>(options);
  }

  PeerOrders orders(std::uint32_t place, std::uint32_t life) const {
    PeerOrders orders;
    orders.directory = scratch_.path();
    if (place < proxies_.size())
      orders.connection = server_.tcp_connection(proxies_[place]->port()) + " sslmode=disable gssencmode=disable";
    orders.schema = schema_;
    orders.seed = options_.seed;
    orders.transactions = options_.transactions;
    orders.place = place;
    orders.life = life;
    orders.level = options_.level;
    orders.sabotage = options_.sabotage;
    return orders;
  }

  pid_t start(std::uint32_t place) {
    const auto life = static_cast<std::uint32_t>(places_.size());
    places_.push_back(place);
    std::vector<std::string> words = orders(place, life).words();
    std::string program = "/proc/self/exe";
    std::vector<char*> arguments{program.data()};
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t process = -1;
    if (::posix_spawn(&process, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0)
      throw std::runtime_error("cannot start a process");
    return process;
  }

  /// Until all have ended; kills them and cuts them off meanwhile, after so many transactions.
  void watch(Board& board) {
    std::vector<std::pair<std::uint64_t, bool>> events;  // after so many transactions, whether it is a kill
    for (unsigned i = 0; i < options_.kills + options_.outages; ++i)
      events.emplace_back(1 + random_() % (options_.transactions - options_.transactions / 20), i < options_.kills);
    std::ranges::sort(events);
    auto next = events.begin();
    while (std::ranges::any_of(peers_, [](const Peer& peer) { return peer.process > 0; })) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      for (std::uint32_t place = 0; place < kProcesses; ++place) {
        Peer& peer = peers_[place];
        if (peer.down_until && std::chrono::steady_clock::now() > *peer.down_until) set_down(place, false);
        int status = 0;
        if (peer.process <= 0 || ::waitpid(peer.process, &status, WNOHANG) == 0) continue;
        peer.process = -1;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
          throw std::runtime_error("a process has ended by itself, with status " + std::to_string(status));
      }
      for (; next != events.end() && next->first <= board.ended(); ++next) {
        const auto place = static_cast<std::uint32_t>(random_() % kProcesses);
        if (peers_[place].process <= 0) continue;
        if (next->second) {
          kill(board, place);
        } else if (!peers_[place].down_until) {
          set_down(place, true);
        }
      }
    }
  }

  void set_down(std::uint32_t place, bool is_down) {
    plans_[place]->set_down(is_down);
    peers_[place].down_until.reset();
    if (!is_down) return;
    peers_[place].down_until = std::chrono::steady_clock::now() + kOutage;
    ++run_.outages;
  }

  void kill(Board& board, std::uint32_t place) {
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % 2'000));  // in the midst of anything
    ::kill(peers_[place].process, SIGKILL);
    int status = 0;
    ::waitpid(std::exchange(peers_[place].process, -1), &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;  // it was done
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
      throw std::runtime_error("a process has ended by itself, with status " + std::to_string(status));
    ++run_.kills;
    const auto life =
        static_cast<std::uint32_t>(std::find(places_.rbegin(), places_.rend(), place).base() - places_.begin() - 1);
    const PeerOrders dead = orders(place, life);
    board.bury(dead.first_client(), dead.threads);
    peers_[place].process = start(place);
  }

  /// What a killed process has sent may still run: until no session is left but this one.
  void wait_for_the_dead() const {
    PostgresSession session(server_.connection());
    while (session.value(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cow_cache' AND client_port > 0") != "0")
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

  void judge(PostgresStore& store, Board& board) {
    std::vector<Recorded> recorded;
    const PeerOrders any = orders(0, 0);
    const auto clients = static_cast<std::uint32_t>(places_.size()) * any.threads;
    for (std::uint32_t client = 1; client <= clients; ++client) read_journal(any.journal(client), recorded);
    std::vector<EngineCommit> engine;
    constexpr std::size_t kPage = 2'000;
    for (Tid from{1};; from = Tid{engine.back().tid.value + 1}) {
      const std::vector<TransactionInfo> page = store.transactions(from, kInfinity, HistoryOrder::oldest_first, kPage);
      for (const TransactionInfo& one : page)
        engine.push_back({one.tid, std::strtoull(one.note.description.c_str(), nullptr, 10), one.objects});
      if (page.size() < kPage) break;
    }
    run_.commits = engine.size();
    std::vector<std::uint64_t> oids;
    for (std::uint32_t key = 0; key < board.lists(); ++key) oids.push_back(board.list(key).oid);
    Database database(store);
    HistoryTransaction last = read_all(database, board, Tid{});
    const auto place_of = [this, threads = any.threads](std::uint32_t client) {
      return places_.at((client - 1) / threads);
    };
    const auto may_be_open = [&](const Recorded& one) { return plans_[place_of(one.client)]->may_be_open(one); };
    run_.verdict = Judge(std::move(oids), may_be_open, place_of)
                       .judge(std::move(recorded), engine, std::move(last), options_.level);
  }

  const PostgresServer& server_;
  const PeerRunOptions options_;
  std::mt19937_64 random_;
  const std::string schema_;
  const ScratchDirectory scratch_;
  std::vector<std::unique_ptr<FaultPlan>> plans_;
  std::vector<std::unique_ptr<PostgresProxy>> proxies_;
  std::vector<Peer> peers_;
  std::vector<std::uint32_t> places_;  ///< by life
  PeerRun run_;
};

}  // namespace cow::bench::history
