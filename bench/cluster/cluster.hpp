// A discrete-event simulation of nodes whose sessions run transactions over one distributed store, with a cache per node
// or a cache per session.
//
// A transaction: a snapshot; reads, of which each miss asks the store over the network, one after the other; an external
// wait, in which it holds no core; with some probability a write of one object and a commit at the store, which refuses it
// if the object has changed since the snapshot. A commit is told to every other node. A cache works off what it was told
// before the next transaction that uses it: the node's one cache once, or each session's own.
//
// Thread safety: a Cluster is used by one thread.
//
// Invariants:
//  1. The same parameters, seed included, give the same result to the last bit: events at one time keep their order.
//  2. The hit ratio is an input (closed_forms.hpp, simulated_cache.hpp); each read misses with that probability.
//  3. Sessions are a closed loop: their number is throughput times the mean time of a transaction (Little's law), which is
//     measured on both sides and not assumed.
//
//
// Processes over one database server are such a cluster, too, on the processors of one machine (`one_machine`), and with commits that are
// one sequence: a node proposes what waits in it as one group, and the store takes one group after the other (`commits_in_groups`).
//
// Left out: cold starts, loads that several sessions of a node wait for together, failures, and a network that saturates.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <stdexcept>
#include <vector>

#include "bench/workloads/random.hpp"
#include "station.hpp"

namespace cow::bench::simulation {

struct ClusterParameters {
  bool shared = true;                                ///< one cache per node; otherwise one per session
  std::uint32_t nodes = 1, sessions = 1, cores = 2;  ///< sessions and cores of each node
  std::uint32_t reads = 20;                          ///< of a transaction
  double write_share = 0;                            ///< of transactions that write one object
  double miss_ratio = 0;
  double transaction_s = 0;   ///< processor time of begin and end
  double hit_s = 0;           ///< of any read
  double miss_s = 0;          ///< of a miss, besides
  double commit_s = 0;        ///< of a commit
  double invalidation_s = 0;  ///< of one invalidation in one cache
  double wait_s = 0;          ///< mean of the external wait, exponential
  double network_s = 0;       ///< one way
  std::uint32_t store_servers = 1;
  double load_s = 0, commit_at_store_s = 0;  ///< service at the store, exponential
  std::uint32_t objects = 1'000;             ///< from which written ones are drawn, all alike
  bool one_machine = false;                  ///< the nodes share the cores of one
  bool commits_in_groups = false;            ///< each of a node's, one at a time at the store
  std::uint64_t transactions = 100'000;      ///< to be counted
  std::uint64_t seed = 1;
};

struct ClusterResult {
  double seconds = 0;       ///< simulated, of what is counted
  double throughput = 0;    ///< committed transactions per second, all nodes together
  double mean_cycle_s = 0;  ///< from the begin of a transaction to the begin of the next, retries included
  double processor_utilisation = 0, store_utilisation = 0;
  double store_wait_s = 0;         ///< mean, in the store's queue
  double loads_per_s = 0;          ///< at the store
  double invalidations_per_s = 0;  ///< applied, all caches together
  double invalidation_share = 0;   ///< of the processors' time
  double aborts_per_commit = 0;    ///< of writing transactions
  double group_size = 1;           ///< commits of a group
};

class Cluster {
 public:
  explicit Cluster(const ClusterParameters& parameters)
      : parameters_(parameters),
        random_(parameters.seed),
        store_(parameters.store_servers),
        processors_(parameters.one_machine ? 1 : parameters.nodes, Station(parameters.cores)),
        groups_(parameters.nodes),
        caches_(parameters.shared ? parameters.nodes : std::size_t{parameters.nodes} * parameters.sessions),
        sessions_(std::size_t{parameters.nodes} * parameters.sessions),
        changed_(parameters.objects, -1e300) {
    if (sessions_.empty()) throw std::invalid_argument("a cluster needs a session");
  }

  ClusterResult run() {
    // Sessions start over some time, not in step.
    const double spread = parameters_.wait_s + 1e-3;
    for (std::uint32_t i = 0; i < sessions_.size(); ++i) schedule(random_.unit() * spread, i, Stage::begin);
    // Every session has been around twice, or a tenth of what is counted is over.
    const std::uint64_t warm = std::max<std::uint64_t>(2 * sessions_.size(), parameters_.transactions / 10);
    const std::uint64_t counted = std::max<std::uint64_t>(4 * sessions_.size(), parameters_.transactions);
    bool counting = false;
    while (finished_ < warm + counted) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      if (!counting && finished_ >= warm) {
        counting = true;
        reset_counts();
      }
      step(event.session, event.stage);
    }
    return result();
  }

 private:
  enum class Stage : std::uint8_t {
    begin,            // a transaction starts
    ready,            // the processor has done what could be done without a load
    load_arrives,     // at the store
    load_received,    // by the node
    waited,           // the external wait is over
    commit_sent,      // by the node
    commit_arrives,   // at the store
    commit_received,  // the answer, by the node
    group_over,       // of a node: what waits may be proposed; its session is any of them
  };

  struct Event {
    double at;
    std::uint64_t order;
    std::uint32_t session;
    Stage stage;
    bool operator<(const Event& other) const {  // of a heap with the earliest on top
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  struct Session {
    double begun = 0, snapshot = 0;
    double reads_s = 0;  // processor time of the reads between two loads
    std::uint32_t misses = 0, written = 0;
    bool writes = false, refused = false;
  };

  /// What a cache knows of commits: its own need no invalidation.
  struct Cache {
    std::uint64_t own = 0, applied = 0;
  };

  void schedule(double at, std::uint32_t session, Stage stage) { events_.push({at, order_++, session, stage}); }
  double exponential(double mean) { return mean == 0 ? 0 : -mean * std::log1p(-random_.unit()); }
  std::uint32_t node_of(std::uint32_t session) const { return session / parameters_.sessions; }
  Cache& cache_of(std::uint32_t session) { return caches_[parameters_.shared ? node_of(session) : session]; }
  void use_processor(std::uint32_t session, double service, Stage then) {
    const std::uint32_t machine = parameters_.one_machine ? 0 : node_of(session);
    schedule(processors_[machine].serve(now_, service), session, then);
  }

  void step(std::uint32_t number, Stage stage) {
    Session& session = sessions_[number];
    const ClusterParameters& p = parameters_;
    switch (stage) {
      case Stage::begin:
        session.begun = now_;
        return begin(number, session);
      case Stage::ready:
        if (session.misses == 0) return schedule(now_ + exponential(p.wait_s), number, Stage::waited);
        --session.misses;
        ++loads_;
        return schedule(now_ + p.network_s, number, Stage::load_arrives);
      case Stage::load_arrives:
        return schedule(store_.serve(now_, exponential(p.load_s)) + p.network_s, number, Stage::load_received);
      case Stage::load_received:
        return use_processor(number, p.miss_s + session.reads_s, Stage::ready);
      case Stage::waited:
        if (!session.writes) return finish(number, session);
        return use_processor(number, p.commit_s, Stage::commit_sent);
      case Stage::commit_sent:
        return schedule(now_ + p.network_s, number, Stage::commit_arrives);
      case Stage::commit_arrives:
        if (p.commits_in_groups) return join_group(number);
        return schedule(commit(number, session) + p.network_s, number, Stage::commit_received);
      case Stage::commit_received:
        if (!session.refused) return finish(number, session);
        ++aborts_;
        return begin(number, session);  // again, in the same cycle
      case Stage::group_over:
        groups_[node_of(number)].is_proposed = false;
        return propose_group(node_of(number));
    }
  }

  void join_group(std::uint32_t number) {
    groups_[node_of(number)].waiting.push_back(number);
    propose_group(node_of(number));
  }

  /// All that wait in a node, unless its group before is still at the store.
  void propose_group(std::uint32_t node) {
    Group& group = groups_[node];
    if (group.is_proposed || group.waiting.empty()) return;
    group.is_proposed = true;
    ++counted_groups_;
    const double end = sequence_.serve(now_, exponential(parameters_.commit_at_store_s));
    for (const std::uint32_t number : group.waiting) {
      Session& session = sessions_[number];
      validate(number, session, end);
      schedule(end + parameters_.network_s, number, Stage::commit_received);
    }
    schedule(end + parameters_.network_s, group.waiting.front(), Stage::group_over);
    group.waiting.clear();
  }

  void begin(std::uint32_t number, Session& session) {
    const ClusterParameters& p = parameters_;
    session.snapshot = now_ - p.network_s;  // what the node has been told of
    session.misses = 0;
    for (std::uint32_t i = 0; i < p.reads; ++i) session.misses += random_.chance(p.miss_ratio);
    session.reads_s = p.reads * p.hit_s / (session.misses + 1);
    session.writes = random_.chance(p.write_share);
    session.written = static_cast<std::uint32_t>(random_.below(p.objects));
    Cache& cache = cache_of(number);
    const std::uint64_t to_apply = commits_ - cache.own - cache.applied;
    cache.applied += to_apply;
    invalidations_ += to_apply;
    use_processor(number, p.transaction_s + session.reads_s + static_cast<double>(to_apply) * p.invalidation_s,
                  Stage::ready);
  }

  /// Validates and, if it stands, writes; returns when the store has answered.
  double commit(std::uint32_t number, Session& session) {
    validate(number, session, now_);
    return session.refused ? now_ : store_.serve(now_, exponential(parameters_.commit_at_store_s));
  }

  /// What commits is a change as of `at`.
  void validate(std::uint32_t number, Session& session, double at) {
    session.refused = changed_[session.written] > session.snapshot;
    if (session.refused) return;
    changed_[session.written] = at;
    ++commits_;
    ++counted_commits_;
    ++cache_of(number).own;
  }

  void finish(std::uint32_t number, const Session& session) {
    ++finished_;
    ++counted_;
    cycles_s_ += now_ - session.begun;
    schedule(now_, number, Stage::begin);
  }

  void reset_counts() {
    counting_since_ = now_;
    counted_ = counted_commits_ = counted_groups_ = aborts_ = loads_ = invalidations_ = 0;
    cycles_s_ = 0;
    store_.reset_counts();
    sequence_.reset_counts();
    for (Station& processor : processors_) processor.reset_counts();
  }

  ClusterResult result() const {
    ClusterResult result;
    const double seconds = result.seconds = now_ - counting_since_;
    const double processors = static_cast<double>(processors_.size()) * parameters_.cores * seconds;
    result.throughput = static_cast<double>(counted_) / seconds;
    result.mean_cycle_s = cycles_s_ / static_cast<double>(counted_);
    for (const Station& processor : processors_) result.processor_utilisation += processor.busy() / processors;
    result.store_utilisation = store_.busy() / (static_cast<double>(store_.servers()) * seconds);
    result.store_wait_s = store_.mean_wait();
    result.loads_per_s = static_cast<double>(loads_) / seconds;
    result.invalidations_per_s = static_cast<double>(invalidations_) / seconds;
    result.invalidation_share = static_cast<double>(invalidations_) * parameters_.invalidation_s / processors;
    result.aborts_per_commit =
        counted_commits_ == 0 ? 0 : static_cast<double>(aborts_) / static_cast<double>(counted_commits_);
    if (counted_groups_ > 0)
      result.group_size = static_cast<double>(counted_commits_ + aborts_) / static_cast<double>(counted_groups_);
    return result;
  }

  /// A node's commits that wait for those before them.
  struct Group {
    std::vector<std::uint32_t> waiting;
    bool is_proposed = false;
  };

  const ClusterParameters parameters_;
  Random random_;
  Station store_;
  std::vector<Station> processors_;
  Station sequence_{1};  // of groups
  std::vector<Group> groups_;
  std::vector<Cache> caches_;
  std::vector<Session> sessions_;
  std::vector<double> changed_;  // when each object was last committed
  std::priority_queue<Event> events_;
  double now_ = 0, counting_since_ = 0, cycles_s_ = 0;
  std::uint64_t order_ = 0, finished_ = 0, commits_ = 0;
  std::uint64_t counted_ = 0, counted_commits_ = 0, counted_groups_ = 0, aborts_ = 0, loads_ = 0, invalidations_ = 0;
};

}  // namespace cow::bench::simulation
