// How a server is set up, and what makes no sense.
//
// Thread safety: plain values and functions.
#pragma once

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "bench/support/descriptors.hpp"
#include "bench/support/usage_error.hpp"
#include "models.hpp"

namespace cow::bench::publisher {

namespace asio = boost::asio;

struct ServerOptions {
  std::string address = "127.0.0.1";
  unsigned short port = 0;                ///< 0: any; see Server::port
  std::size_t loops = 1;                  ///< threads that read and write
  std::size_t most_connections = 20'000;  ///< or fewer, if descriptors are few
  std::size_t reserved_descriptors = 0;   ///< that the rest of the process may open besides those open at the start
  std::size_t most_header_bytes = 8 << 10, most_body_bytes = 64 << 10;
  std::chrono::milliseconds idle_time{30'000};     ///< for a request to arrive, or an answer to leave
  std::chrono::milliseconds request_time{10'000};  ///< for a transaction; then 503
  std::chrono::milliseconds drain_time{5'000};
  std::chrono::milliseconds watch_period{500};   ///< between looks whether clients that wait have gone
  std::chrono::milliseconds linger_time{1'000};  ///< for the last answer of a connection to arrive
  std::size_t most_lingering_bytes = 1 << 20;    ///< that are read meanwhile, and thrown away
  std::chrono::milliseconds external_call{0};    ///< inside of every transaction; a request may ask for one by ?wait=MS
  std::string constant_path = "/dog";  ///< whose page /-/constant always is: to know what the server itself costs
  ModelOptions model{};
};

/// Throws UsageError if they make no sense, before anything is set up.
inline const ServerOptions& checked(const ServerOptions& options) {
  auto want = [](bool condition, const char* what) {
    if (!condition) throw UsageError(what);
  };
  boost::system::error_code error;
  (void)asio::ip::make_address(options.address, error);
  if (error) throw UsageError("'" + options.address + "' is no address");
  want(options.loops > 0, "a server has a loop at least");
  want(options.model.threads > 0, "a model has a thread at least");
  want(options.model.most_in_flight > 0, "with no transaction in flight nothing is ever answered");
  want(options.most_connections > 0, "a server has room for a connection at least");
  want(options.most_header_bytes > 0 && options.most_header_bytes <= (1u << 30), "a header has 1 byte to 1 GiB");
  want(options.most_body_bytes <= (1u << 30), "a body has 1 GiB at most");
  want(options.request_time.count() > 0 && options.idle_time.count() > 0, "requests need time");
  want(options.watch_period.count() > 0, "a period is longer than nothing");
  want(options.drain_time.count() >= 0 && options.linger_time.count() >= 0 && options.external_call.count() >= 0,
       "no time is negative");
  return options;
}

/// How many connections leave descriptors for all else. Throws std::runtime_error if not one does.
inline std::size_t fitting_connections(const ServerOptions& options) {
  constexpr std::size_t kSpare = 16;  // for connections that are refused, logs, directories that are listed
  const std::size_t limit = descriptor_limit();
  const std::size_t others = open_descriptors() + options.reserved_descriptors + kSpare;
  if (others >= limit)
    throw std::runtime_error("no descriptor is left for connections: the limit is " + std::to_string(limit) + ", and " +
                             std::to_string(others) + " are needed for the rest (see ulimit -n)");
  return std::min(options.most_connections, limit - others);
}

}  // namespace cow::bench::publisher
