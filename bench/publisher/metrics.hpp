// What the server counts, in Prometheus' text format.
//
// Thread safety: all functions may be called from any thread; counts are relaxed, for nothing depends on them.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cow_cache/peer_status.hpp"
#include "cow_cache/statistics.hpp"

namespace cow::bench::publisher {

class Metrics {
 public:
  void answered(unsigned status) noexcept { add(answers_[status / 100 % 6], 1); }

  /// Counts a connection while it lives.
  class Connection {
   public:
    Connection(Connection&& other) noexcept : metrics_(std::exchange(other.metrics_, nullptr)) {}
    Connection& operator=(Connection&&) = delete;
    ~Connection() {
      if (metrics_ != nullptr) add(metrics_->connections_, ~std::uint64_t{0});
    }

   private:
    friend Metrics;
    explicit Connection(Metrics& metrics) noexcept : metrics_(&metrics) {}
    Metrics* metrics_;
  };
  /// Nothing: there are `most` already. It is counted before it is looked at, so that several loops stay below together.
  std::optional<Connection> open_connection(std::size_t most) noexcept {
    const std::uint64_t others = connections_.fetch_add(1, std::memory_order_relaxed);  // only a number
    Connection counted(*this);
    if (others >= most) return std::nullopt;
    return counted;
  }

  std::uint64_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }

  std::string text(const Statistics& database, const PeerStatus& peers, std::size_t in_flight,
                   std::size_t waiting) const {
    std::string text;
    text += "# TYPE publisher_responses_total counter\n";
    for (std::size_t i = 1; i < answers_.size(); ++i) {
      line(text, "publisher_responses_total{code=\"" + std::to_string(i) + "xx\"}",
           answers_[i].load(std::memory_order_relaxed));
    }
    gauge(text, "publisher_connections", connections());
    gauge(text, "cow_transactions_in_flight", in_flight);
    gauge(text, "cow_transactions_waiting", waiting);
    gauge(text, "cow_cache_bytes", database.cache_bytes);
    gauge(text, "cow_limbo_bytes", database.limbo_bytes);
    counter(text, "cow_loads_total", database.loads + database.old_loads);
    counter(text, "cow_evictions_total", database.evictions);
    counter(text, "cow_commits_total", database.commits);
    counter(text, "cow_conflicts_total", database.conflicts);
    if (!peers.has_peers) return text;
    gauge(text, "cow_frontier_tid", peers.frontier.value);
    gauge(text, "cow_frontier_age_milliseconds", static_cast<std::uint64_t>(peers.since_last_poll.count()));
    counter(text, "cow_remote_commits_total", peers.remote_commits);
    counter(text, "cow_failed_polls_total", peers.failures);
    counter(text, "cow_jumps_total", peers.jumps);
    return text;
  }

 private:
  static void add(std::atomic<std::uint64_t>& count, std::uint64_t amount) noexcept {
    count.fetch_add(amount, std::memory_order_relaxed);
  }
  static void line(std::string& text, std::string_view name, std::uint64_t value) {
    text += std::string(name) + " " + std::to_string(value) + "\n";
  }
  static void gauge(std::string& text, std::string_view name, std::uint64_t value) {
    text += "# TYPE " + std::string(name) + " gauge\n";
    line(text, name, value);
  }
  static void counter(std::string& text, std::string_view name, std::uint64_t value) {
    text += "# TYPE " + std::string(name) + " counter\n";
    line(text, name, value);
  }

  std::array<std::atomic<std::uint64_t>, 6> answers_{};  // by hundreds
  std::atomic<std::uint64_t> connections_{0};
};

}  // namespace cow::bench::publisher
