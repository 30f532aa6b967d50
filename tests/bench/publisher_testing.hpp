// What the tests of the publisher share: a published small WordNet, and a client that blocks.
#pragma once

#include "tests/support/async_testing.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "bench/publisher/server.hpp"
#include "tests/support/small_wordnet.hpp"

namespace cow::bench::publisher {

extern template class Server<cow::Database>;  // compiled once, in publisher_test.cpp: it takes a minute

class Client {
 public:
  explicit Client(unsigned short port) : socket_(context_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), port});
  }
  void send(const std::string& bytes) { asio::write(socket_, asio::buffer(bytes)); }
  /// The next answer, whatever its status.
  http::response<http::string_body> receive_any() {
    http::response<http::string_body> response;
    http::read(socket_, buffer_, response);
    return response;
  }
  /// The next final answer: interim ones are skipped, as by every client of HTTP/1.1.
  http::response<http::string_body> receive() {
    for (;;) {
      auto response = receive_any();
      if (response.result_int() != 100) return response;
    }
  }
  http::response<http::string_body> get(const std::string& target, const std::string& headers = "") {
    send("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n");
    return receive();
  }
  http::response<http::string_body> put(const std::string& target, const std::string& body) {
    send("PUT " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body);
    return receive();
  }
  bool has_answer() { return socket_.available() > 0; }
  /// All bytes until the server closes.
  std::string receive_all() {
    std::string text;
    boost::system::error_code error;
    asio::read(socket_, asio::dynamic_buffer(text), error);
    return text;
  }
  /// Sends no more, but listens.
  void half_close() { socket_.shutdown(tcp::socket::shutdown_send); }
  /// Whether the server has closed the connection.
  bool closed() {
    char byte = 0;
    boost::system::error_code error;
    socket_.read_some(asio::buffer(&byte, 1), error);
    return error == asio::error::eof || error == asio::error::connection_reset;
  }

 private:
  asio::io_context context_;
  tcp::socket socket_;
  beast::flat_buffer buffer_;
};

template <class Database>
struct Published {
  explicit Published(const ServerOptions& options = {}) {
    cow::testing::make_wordnet(database);
    server.emplace(database, options);
    server->start();
  }
  MemoryStore memory;
  cow::testing::DoorStore store{memory};
  Database database{store};
  std::optional<Server<Database>> server;

  Client client() { return Client(server->port()); }
  /// Of the answer to a request on a connection of its own.
  unsigned status_of(const std::string& request) {
    Client own = client();
    own.send(request);
    return own.receive().result_int();
  }
};
using PublishedShared = Published<cow::Database>;

/// Waits until something is so; false: it has not become so in a time that is long for any machine.
template <class Condition>
bool eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace cow::bench::publisher
