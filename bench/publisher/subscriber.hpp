// A subscriber to changes, by WebSocket.
//
// Thread safety: runs on its connection's loop.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "changes.hpp"
#include "connection.hpp"
#include "metrics.hpp"

namespace cow::bench::publisher {

/// Reads what a subscriber says, which is nothing of interest, until it closes.
inline Task<> hear(std::shared_ptr<WebSocket> socket, std::shared_ptr<Changes::Subscription> subscription) {
  for (;;) {
    beast::flat_buffer buffer;
    auto [error, bytes] = co_await socket->async_read(buffer, use_await);
    (void)bytes;
    if (error) break;
  }
  subscription->close();
}

/// /-/changes by WebSocket: one message for each change.
inline Task<> serve_subscriber(Connection& connection, Request request, Changes& changes, Metrics& metrics,
                               std::size_t most_message_bytes) {
  AnyExecutor executor = connection.stream.get_executor();
  auto subscription = changes.subscribe();
  connection.subscription = subscription;
  connection.busy = true;  // `drain` closes the subscription
  auto socket = std::make_shared<WebSocket>(std::move(connection.stream));
  connection.web_socket = socket;
  beast::get_lowest_layer(*socket).expires_never();  // the WebSocket has timeouts of its own
  socket->set_option(beast::websocket::stream_base::timeout::suggested(beast::role_type::server));
  socket->read_message_max(most_message_bytes);
  boost::system::error_code error = co_await socket->async_accept(request, use_await);
  if (error) co_return;
  metrics.answered(101);
  spawn(executor, hear(socket, subscription), asio::detached);
  while (auto message = co_await subscription->next(executor)) {
    auto [failed, bytes] = co_await socket->async_write(asio::buffer(*message), use_await);
    (void)bytes;
    error = failed;
    if (error) break;
  }
  if (!error) (void)co_await socket->async_close(beast::websocket::close_code::going_away, use_await);
  beast::get_lowest_layer(*socket)
      .close();  // `hear` may keep the socket, but not the descriptor: it is counted no more
}

}  // namespace cow::bench::publisher
