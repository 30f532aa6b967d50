// Sockets that listen on one port, for one publisher alone.
//
// Thread safety: one thread at a time. A fork leaves both processes with all sockets: each closes what is not its own.
//
// Invariants:
//  1. From the end of the constructor until the last socket is closed, no other publisher can listen on the port: every one
//     begins with a socket that shares with nobody, and that is refused as long as somebody listens.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/detail/socket_option.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace cow::bench::publisher {

class Listeners {
 public:
  /// `count` sockets, over which the kernel spreads connections. `port` 0: any. Throws boost::system::system_error.
  Listeners(const std::string& address, unsigned short port, std::size_t count) {
    boost::asio::io_context context;
    // While the first socket listens it shares with nobody: others on this port are found here.
    tcp::acceptor first = bound(context, tcp::endpoint(boost::asio::ip::make_address(address), port), false);
    const tcp::endpoint endpoint = first.local_endpoint();
    port_ = endpoint.port();
    if (count == 1) {
      handles_.push_back(first.release());
      return;
    }
    // Sharing is allowed now, so that the others can be bound beside it. They listen before it goes, hence nobody else can come
    // between. It goes because it is not of their group, and would get connections of its own.
    first.set_option(SharesPort(true));
    for (std::size_t i = 0; i < count; ++i) handles_.push_back(bound(context, endpoint, true).release());
  }
  ~Listeners() {
    for (int handle : handles_) {
      if (handle >= 0) ::close(handle);
    }
  }
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  unsigned short port() const noexcept { return port_; }
  std::size_t count() const noexcept { return handles_.size(); }
  /// Hands a socket over. REQUIRES: not handed over before.
  int take(std::size_t i) noexcept { return std::exchange(handles_[i], -1); }

 private:
  using tcp = boost::asio::ip::tcp;
  using SharesPort = boost::asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

  static tcp::acceptor bound(boost::asio::io_context& context, const tcp::endpoint& endpoint, bool shares) {
    tcp::acceptor acceptor(context);
    acceptor.open(endpoint.protocol());
    acceptor.set_option(boost::asio::socket_base::reuse_address(true));  // connections of an earlier server may linger
    acceptor.set_option(SharesPort(shares));
    acceptor.bind(endpoint);
    acceptor.listen(4096);
    return acceptor;
  }

  std::vector<int> handles_;  // -1: handed over
  unsigned short port_ = 0;
};

}  // namespace cow::bench::publisher
