// A connection and its loop: what is done with a socket, whatever the database.
//
// Thread safety: all is touched on the loop's thread only, but `Loop::context` and `Loop::executor`.
//
// Invariants:
//  1. A client that has sent all it has to say is served; the request of one that has gone is given up within two periods of
//     `watch_clients`, whatever else it had sent before.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <cerrno>
#include <chrono>
#include <list>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "changes.hpp"
#include "metrics.hpp"
#include "server_options.hpp"

namespace cow::bench::publisher {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;

using Request = http::request<http::string_body>;
using WebSocket = beast::websocket::stream<beast::tcp_stream>;

struct Connection {
  Metrics::Connection counted;
  beast::tcp_stream stream;   ///< moved into `web_socket` when it becomes one
  std::stop_source source{};  ///< gives up what runs for it
  std::weak_ptr<WebSocket> web_socket{};
  std::weak_ptr<Changes::Subscription> subscription{};
  bool busy = false;
  bool running = false;        ///< a transaction runs for it, and nothing is read or written
  bool hears_interim = false;  ///< its request is of HTTP/1.1: an answer may be preceded by "100 Continue"
};
using Place = typename std::list<Connection>::iterator;
struct Loop {
  asio::io_context context{1};
  tcp::acceptor acceptor{context};
  asio::steady_timer watch{context};
  std::list<Connection> connections{};
  bool stopping = false;
  std::optional<Sleeper> drained{};  ///< woken when the last connection has gone

  AnyExecutor executor() { return context.get_executor(); }
  bool over() const { return stopping && connections.empty(); }
};

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

/// After a header. `is_awaited`: the client sends the body when it has heard that it may.
inline Task<boost::system::error_code> read_body(Connection& connection, beast::flat_buffer& buffer,
                                                 http::request_parser<http::string_body>& parser, bool is_awaited,
                                                 std::chrono::milliseconds time) {
  if (parser.is_done()) co_return boost::system::error_code();
  connection.stream.expires_after(time);
  if (is_awaited) {
    auto [failed, sent] = co_await asio::async_write(connection.stream, asio::buffer(kContinue), use_await);
    (void)sent;
    if (failed) co_return failed;
  }
  auto [error, bytes] = co_await http::async_read(connection.stream, buffer, parser, use_await);
  (void)bytes;
  co_return error;
}

/// Lets the last answer arrive: closing with bytes unread would reset the connection, and the client lose the answer.
inline Task<> close_gently(Connection& connection, beast::flat_buffer& buffer, const ServerOptions& options) {
  boost::system::error_code ignored;
  connection.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  connection.stream.expires_after(options.linger_time);
  buffer.clear();
  for (std::size_t left = options.most_lingering_bytes; left > 0;) {
    auto [error, bytes] = co_await connection.stream.async_read_some(buffer.prepare(4096), use_await);
    if (error) co_return;
    left -= std::min(left, bytes);
  }
}

/// Says why it closes, if that can be said at once: waiting for anything would be a connection more.
inline void refuse(tcp::socket& socket) {
  static constexpr std::string_view kFull =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
      "Connection: close\r\nContent-Length: 33\r\n\r\n{\"error\":\"too many connections\"}\n";
  (void)::send(socket.native_handle(), kFull.data(), kFull.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/// The client will send no more. Whether it still listens only its kernel knows, which resets the connection if anything
/// arrives for nobody; the next look sees that. "100 Continue" is what every client of HTTP/1.1 skips.
inline void probe(Connection& connection) {
  if (!connection.hears_interim) return;  // HTTP/1.0: served, or late
  const ssize_t sent = ::send(connection.stream.socket().native_handle(), kContinue.data(), kContinue.size(),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  const bool cut = sent > 0 && static_cast<std::size_t>(sent) < kContinue.size();  // no answer can follow
  const bool failed = sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK;
  if (cut || failed) connection.source.request_stop();
}

inline void look_at_clients(Loop& loop, std::vector<pollfd>& polled, std::vector<Connection*>& clients) {
  polled.clear();
  clients.clear();
  for (Connection& connection : loop.connections) {
    if (!connection.running) continue;
    clients.push_back(&connection);
    polled.push_back({connection.stream.socket().native_handle(), POLLRDHUP, 0});
  }
  if (polled.empty() || ::poll(polled.data(), polled.size(), 0) <= 0) return;
  for (std::size_t i = 0; i < polled.size(); ++i) {
    if ((polled[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
      clients[i]->source.request_stop();
    } else if ((polled[i].revents & POLLRDHUP) != 0) {
      probe(*clients[i]);
    }
  }
}

/// Looks at all clients for whom transactions run, in one call of the kernel; so a request costs nothing more.
inline Task<> watch_clients(Loop& loop, std::chrono::milliseconds period) {
  std::vector<pollfd> polled;
  std::vector<Connection*> clients;
  while (!loop.over()) {
    loop.watch.expires_after(period);
    (void)co_await loop.watch.async_wait(use_await);
    try {
      look_at_clients(loop, polled, clients);
    } catch (const std::bad_alloc&) {  // next time
    }
  }
}

}  // namespace cow::bench::publisher
