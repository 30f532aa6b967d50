// The HTTP/1.1 and WebSocket server: loops that accept, read and write; the models run what is asked.
//
// Thread safety: `start`, `stop` and the destructor are called by one thread; `port` and `metrics` by any.
//
// Invariants:
//  1. A connection lives on one loop, and all that is its own is touched there only.
//  2. Whatever comes in has a limit: header, body, time to arrive, time to be answered, connections, requests in flight.
//     Connections leave the store and the loops the descriptors that they need.
//  3. `stop` closes idle connections, lets busy ones end their answer, cancels those that need longer than the drain time,
//     and returns when nothing is left.
#pragma once

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "changes.hpp"
#include "connection.hpp"
#include "listeners.hpp"
#include "metrics.hpp"
#include "models.hpp"
#include "order.hpp"
#include "server_options.hpp"
#include "subscriber.hpp"

namespace cow::bench::publisher {

template <class Database>
class Server {
 public:
  /// Throws UsageError if the options make no sense, UnknownRootError if the database holds no WordNet.
  Server(Database& database, const ServerOptions& options)
      : database_(database), options_(checked(options)), models_(database, options.model) {}
  ~Server() { stop(); }

  /// Listens and returns. Throws boost::system::system_error if it cannot, as when somebody listens there already.
  void start() {
    Listeners listeners(options_.address, options_.port, options_.loops);
    start(listeners, 0);
  }

  /// As above, on sockets that listen already: as many as there are loops, beginning with number `first`.
  void start(Listeners& listeners, std::size_t first) {
    port_ = listeners.port();
    most_connections_ = fitting_connections(options_);
    const tcp protocol = asio::ip::make_address(options_.address).is_v6() ? tcp::v6() : tcp::v4();
    for (std::size_t i = 0; i < options_.loops; ++i)
      loops_.emplace_back().acceptor.assign(protocol, listeners.take(first + i));
    for (Loop& loop : loops_) {
      spawn(loop.executor(), accept(loop), asio::detached);
      spawn(loop.executor(), watch_clients(loop, options_.watch_period), asio::detached);
      threads_.emplace_back([&loop] { loop.context.run(); });
    }
    make_constant();
  }

  /// Invariant 3. Harmless when it has stopped.
  void stop() {
    for (Loop& loop : loops_)
      asio::post(loop.context, [this, &loop] { spawn(loop.executor(), drain(loop), asio::detached); });
    threads_.clear();  // joins
    loops_.clear();
  }

  unsigned short port() const noexcept { return port_; }
  const Metrics& metrics() const noexcept { return metrics_; }

 private:
  using Response = http::response<http::string_body>;

  Task<> accept(Loop& loop) {
    while (loop.acceptor.is_open()) {
      auto [error, socket] = co_await loop.acceptor.async_accept(use_await);
      if (error == asio::error::operation_aborted || !loop.acceptor.is_open()) co_return;
      if (error || !begin(loop, std::move(socket)))  // out of descriptors or memory: others may give some back
        co_await sleep_for(loop.executor(), std::chrono::milliseconds(10));
    }
  }

  /// False: no memory.
  bool begin(Loop& loop, tcp::socket socket) noexcept {
    try {
      std::optional<Metrics::Connection> counted = metrics_.open_connection(most_connections_);
      if (!counted) {
        metrics_.answered(503);
        refuse(socket);
        return true;
      }
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      Place place = loop.connections.insert(loop.connections.end(),
                                            Connection{*std::move(counted), beast::tcp_stream(std::move(socket))});
      try {
        spawn(loop.executor(), live(loop, place), asio::detached);
      } catch (...) {
        loop.connections.erase(place);
        throw;
      }
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

  Task<> live(Loop& loop, Place place) {
    try {
      co_await serve(loop, *place);
    } catch (const std::exception&) {  // out of memory: this connection ends, the others go on
    }
    loop.connections.erase(place);
    if (!loop.over()) co_return;
    loop.watch.cancel();
    if (loop.drained) loop.drained->waker()();
  }

  Task<> drain(Loop& loop) {
    if (loop.stopping) co_return;
    loop.stopping = true;
    boost::system::error_code ignored;
    loop.acceptor.close(ignored);
    for (Connection& connection : loop.connections) {
      if (auto subscription = connection.subscription.lock()) subscription->close();
      if (!connection.busy) connection.stream.close();
    }
    if (loop.connections.empty()) {
      loop.watch.cancel();
      co_return;
    }
    loop.drained.emplace(loop.executor());
    co_await loop.drained->until(Cancellation::Clock::now() + options_.drain_time);
    for (Connection& connection : loop.connections) {
      if (auto socket = connection.web_socket.lock()) {  // one whose client does not answer the close
        beast::get_lowest_layer(*socket).close();
        continue;
      }
      connection.source.request_stop();
      connection.stream.expires_after(std::chrono::seconds(1));  // for the answer that says so
    }
  }

  /// One connection's requests, one after another.
  Task<> serve(Loop& loop, Connection& connection) {
    beast::flat_buffer buffer(options_.most_header_bytes + options_.most_body_bytes + 1024);
    while (!loop.stopping) {
      http::request_parser<http::string_body> parser;
      parser.header_limit(static_cast<std::uint32_t>(options_.most_header_bytes));
      parser.body_limit(options_.most_body_bytes);
      connection.stream.expires_after(options_.idle_time);
      auto [header_error, header_bytes] =
          co_await http::async_read_header(connection.stream, buffer, parser, use_await);
      (void)header_bytes;
      boost::system::error_code error = header_error;
      Order order;
      bool has_body = false, all_read = false;
      if (!error) {
        order = order_of(parser.get(), options_.external_call);
        has_body = !parser.is_done();
        // A client that waits for "100 Continue" before its body gets the refusal instead, and sends none.
        if (!order.refused || !order.expects_continue) {
          error = co_await read_body(connection, buffer, parser, order.expects_continue && buffer.size() == 0,
                                     options_.idle_time);
          all_read = !error;
        } else {
          all_read = !has_body;
        }
      }
      if (error) {
        const unsigned status = status_of(error);
        if (status == 0) break;
        order.refused = Answer::error(status, error.message());
        order.query.as_html = wants_html(parser.get());
      }
      const bool keeps_alive = all_read && parser.get().keep_alive();
      const unsigned version = error ? 11 : parser.get().version();
      const bool head_only = parser.get().method() == http::verb::head;
      if (!order.refused && beast::websocket::is_upgrade(parser.get())) {
        if (order.page == Order::Page::changes) {
          co_await serve_subscriber(connection, parser.release(), changes_, metrics_, options_.most_header_bytes);
          co_return;
        }
        order.refused = Answer::error(404, "no subscriptions here");
      }
      connection.busy = true;
      connection.hears_interim = version >= 11;
      Answer answer = co_await answer_to(loop, connection, order, parser.get().body());
      const bool keep_alive = keeps_alive && !loop.stopping && !connection.source.stop_requested();
      connection.stream.expires_after(options_.idle_time);
      bool sent = co_await reply(connection, std::move(answer), version, keep_alive, head_only, order.query.as_html);
      connection.busy = false;
      if (!sent) break;
      if (!keep_alive) {
        if (!loop.stopping) co_await close_gently(connection, buffer, options_);
        break;
      }
    }
    boost::system::error_code ignored;
    connection.stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

  /// False: the client has gone.
  Task<bool> reply(Connection& connection, Answer answer, unsigned version, bool keep_alive, bool head_only,
                   bool as_html) {
    metrics_.answered(answer.status);
    Response response(static_cast<http::status>(answer.status), version);
    render_error(answer, view_of(response.reason()), as_html);
    response.set(http::field::content_type, beast::string_view(answer.content_type.data(), answer.content_type.size()));
    response.set(http::field::vary, "Accept");
    if (answer.retry_after_s > 0) response.set(http::field::retry_after, std::to_string(answer.retry_after_s));
    if (answer.status == 405) response.set(http::field::allow, "GET, HEAD, PUT");
    response.keep_alive(keep_alive);
    response.content_length(answer.body.size());
    if (!head_only) response.body() = std::move(answer.body);
    auto [error, bytes] = co_await http::async_write(connection.stream, response, use_await);
    (void)bytes;
    co_return !error;
  }

  /// Whatever happens, an answer.
  Task<Answer> answer_to(Loop& loop, Connection& connection, Order& order, std::string_view body) {
    if (order.refused) co_return *std::move(order.refused);
    if (order.page == Order::Page::metrics) co_return metrics_page();
    if (order.page == Order::Page::constant) co_return constant_;
    Answer answer;
    try {
      if (order.is_edit) {
        if (std::optional<Answer> refused = take_body(body, order.query)) co_return *std::move(refused);
      }
      Cancellation cancellation(connection.source.get_token(), Cancellation::Clock::now() + options_.request_time);
      connection.stream.expires_never();
      connection.running = true;
      answer = co_await models_.handle(loop.executor(), order.query, cancellation);
      if (answer.changed_synset) changes_.announce("{\"synset\":" + std::to_string(*answer.changed_synset) + "}");
    } catch (...) {
      answer = answer_for(std::current_exception());
    }
    connection.running = false;
    co_return answer;
  }

  static Answer answer_for(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const ConflictError& conflict) {
      return Answer::error(409, conflict.what(), 1);
    } catch (const OverloadedError& overload) {
      return Answer::error(503, overload.what(), 1);
    } catch (const CancelledError& cancelled) {  // and past the deadline
      return Answer::error(503, cancelled.what(), 1);
    } catch (const DanglingReferenceError&) {
      return Answer::error(404, "no such object");
    } catch (const std::exception& other) {
      return Answer::error(500, other.what());
    }
  }

  // ---- pages of the server's own

  Answer metrics_page() {
    Answer answer;
    answer.content_type = "text/plain; version=0.0.4";
    cow::detail::Admission& admission = models_.async().admission();
    answer.body =
        metrics_.text(database_.statistics(), database_.peer_status(), admission.running(), admission.waiting());
    return answer;
  }

  void make_constant() {
    Query query;
    if (auto target = parse_target(options_.constant_path, "")) query.path = std::move(target->steps);
    Loop& loop = loops_.front();
    const Cancellation late(Cancellation::Clock::now() + options_.request_time);
    try {
      constant_ = spawn(loop.executor(), models_.handle(loop.executor(), query, late), asio::use_future).get();
    } catch (const Error&) {  // no such page here: an empty one
    }
  }

  Database& database_;
  const ServerOptions options_;
  Models<Database> models_;
  Changes changes_;
  Metrics metrics_;
  Answer constant_;
  unsigned short port_ = 0;
  std::size_t most_connections_ = 0;
  std::deque<Loop> loops_;
  std::vector<std::jthread> threads_;
};

}  // namespace cow::bench::publisher
