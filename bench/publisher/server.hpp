// The HTTP/1.1 and WebSocket server: loops that accept, read and write; the models run what is asked.
//
// Thread safety: `start`, `stop` and the destructor are called by one thread; `port` and `metrics` by any.
//
// Invariants:
//  1. A connection lives on one loop, and all that is its own is touched there only.
//  2. Whatever comes in has a limit: header, body, time to arrive, time to be answered, connections, requests in flight.
//  3. `stop` closes idle connections, lets busy ones end their answer, cancels those that need longer than the drain time,
//     and returns when nothing is left.
#pragma once

#include <sys/socket.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <deque>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "changes.hpp"
#include "metrics.hpp"
#include "models.hpp"

namespace cow::bench::publisher {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;

struct ServerOptions {
  std::string address = "127.0.0.1";
  unsigned short port = 0;  ///< 0: any; see Server::port
  std::size_t loops = 1;    ///< threads that read and write
  std::size_t most_connections = 20'000;
  std::size_t most_header_bytes = 8 << 10, most_body_bytes = 64 << 10;
  std::chrono::milliseconds idle_time{30'000};     ///< for a request to arrive, or an answer to leave
  std::chrono::milliseconds request_time{10'000};  ///< for a transaction; then 503
  std::chrono::milliseconds drain_time{5'000};
  std::chrono::milliseconds external_call{0};  ///< inside of every transaction; a request may ask for one by ?wait=MS
  std::string constant_path = "/dog";  ///< whose page /-/constant always is: to know what the server itself costs
  ModelOptions model{};
};

template <class Database>
class Server {
 public:
  Server(Database& database, const ServerOptions& options)
      : database_(database), options_(options), models_(database, options.model) {}
  ~Server() { stop(); }

  /// Listens and returns. Throws boost::system::system_error if it cannot.
  void start() {
    unsigned short port = options_.port;
    for (std::size_t i = 0; i < options_.loops; ++i) {
      Loop& loop = loops_.emplace_back();
      tcp::endpoint endpoint(asio::ip::make_address(options_.address), port);
      loop.acceptor.open(endpoint.protocol());
      loop.acceptor.set_option(asio::socket_base::reuse_address(true));
      // Several acceptors of one port: the kernel spreads the connections, over processes too.
      loop.acceptor.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
      loop.acceptor.bind(endpoint);
      loop.acceptor.listen(4096);
      port = loop.acceptor.local_endpoint().port();
    }
    port_ = port;
    for (Loop& loop : loops_) {
      spawn(loop.executor(), accept(loop), asio::detached);
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
  using Request = http::request<http::string_body>;
  using Response = http::response<http::string_body>;

  using WebSocket = beast::websocket::stream<beast::tcp_stream>;

  struct Connection {
    beast::tcp_stream stream;   ///< moved into `web_socket` when it becomes one
    std::stop_source source{};  ///< gives up what runs for it
    std::weak_ptr<WebSocket> web_socket{};
    std::weak_ptr<Changes::Subscription> subscription{};
    bool busy = false;
  };
  struct Loop {
    asio::io_context context{1};
    tcp::acceptor acceptor{context};
    std::list<Connection> connections{};
    bool stopping = false;
    std::optional<Sleeper> drained{};  ///< woken when the last connection has gone

    AnyExecutor executor() { return context.get_executor(); }
  };

  Task<> accept(Loop& loop) {
    while (loop.acceptor.is_open()) {
      auto [error, socket] = co_await loop.acceptor.async_accept(use_await);
      if (error == asio::error::operation_aborted || !loop.acceptor.is_open()) co_return;
      if (error) {  // out of descriptors, mostly
        co_await sleep_for(loop.executor(), std::chrono::milliseconds(10));
        continue;
      }
      if (metrics_.connections() >= options_.most_connections) continue;  // closes it
      boost::system::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto place = loop.connections.insert(loop.connections.end(), Connection{beast::tcp_stream(std::move(socket))});
      spawn(loop.executor(), live(loop, place), asio::detached);
    }
  }

  Task<> live(Loop& loop, typename std::list<Connection>::iterator place) {
    metrics_.connection_opened();
    try {
      co_await serve(loop, *place);
    } catch (const std::exception&) {  // out of memory: this connection ends, the others go on
    }
    metrics_.connection_closed();
    loop.connections.erase(place);
    if (loop.stopping && loop.connections.empty() && loop.drained) loop.drained->waker()();
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
    if (loop.connections.empty()) co_return;
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
      auto [error, bytes] = co_await http::async_read(connection.stream, buffer, parser, use_await);
      (void)bytes;
      if (error) {
        if (unsigned status = status_of(error))
          co_await reply(connection, Answer::error(status, error.message()), 11, false);
        break;
      }
      Request request = parser.release();
      if (beast::websocket::is_upgrade(request)) {
        co_await subscribe(connection, std::move(request));
        co_return;
      }
      connection.busy = true;
      Answer answer = co_await answer_to(loop, connection, request);
      bool keep_alive = request.keep_alive() && !loop.stopping && !connection.source.stop_requested();
      connection.stream.expires_after(options_.idle_time);
      bool sent = co_await reply(connection, std::move(answer), request.version(), keep_alive,
                                 request.method() == http::verb::head);
      connection.busy = false;
      if (!sent || !keep_alive) break;
    }
    boost::system::error_code ignored;
    connection.stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

  /// What to say about bytes that are no request; 0: nobody is there to hear it.
  static unsigned status_of(const boost::system::error_code& error) {
    if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
    if (error == http::error::header_limit || error == http::error::buffer_overflow) return 431;
    if (error == http::error::body_limit) return 413;
    return error.category() == http::make_error_code(http::error::bad_method).category() ? 400 : 0;
  }

  /// False: the client has gone.
  Task<bool> reply(Connection& connection, Answer answer, unsigned version, bool keep_alive, bool head_only = false) {
    metrics_.answered(answer.status);
    Response response(static_cast<http::status>(answer.status), version);
    response.set(http::field::content_type, beast::string_view(answer.content_type.data(), answer.content_type.size()));
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
  Task<Answer> answer_to(Loop& loop, Connection& connection, const Request& request) {
    std::string_view target(request.target().data(), request.target().size());
    std::string_view path = target.substr(0, target.find('?'));
    Query query;
    if (std::optional<Answer> refused = refusal(request, target, query)) co_return *std::move(refused);
    if (path == "/metrics") co_return metrics_page();
    if (path == "/-/constant") co_return constant_;
    std::shared_ptr<Watch> watch;
    if (query.external_call.count() > 0) watch = watch_client(connection);
    Answer answer;
    try {
      Cancellation cancellation(connection.source.get_token(), Cancellation::Clock::now() + options_.request_time);
      connection.stream.expires_never();
      answer = co_await models_.handle(loop.executor(), query, cancellation);
      if (answer.changed_synset) changes_.announce("{\"synset\":" + std::to_string(*answer.changed_synset) + "}");
    } catch (...) {
      answer = answer_for(std::current_exception());
    }
    if (watch) {
      watch->over = true;
      boost::system::error_code ignored;
      connection.stream.socket().cancel(ignored);
    }
    co_return answer;
  }

  /// Fills the query, or says what is wrong with the request.
  std::optional<Answer> refusal(const Request& request, std::string_view target, Query& query) const {
    auto steps = steps_of(target);
    if (!steps) return Answer::error(400, "the path cannot be decoded");
    query.path = *std::move(steps);
    query.external_call = options_.external_call;
    if (auto wait = target.find("?wait="); wait != target.npos) {
      unsigned milliseconds = 0;
      const char *first = target.data() + wait + 6, *last = target.data() + target.size();
      auto [end, error] = std::from_chars(first, last, milliseconds);
      if (error != std::errc{} || end != last || milliseconds > 60'000) return Answer::error(400, "bad wait");
      query.external_call = std::chrono::milliseconds(milliseconds);
    }
    auto accept = request.find(http::field::accept);
    query.as_html = accept != request.end() && accept->value().find("text/html") != beast::string_view::npos;
    if (request.method() == http::verb::get || request.method() == http::verb::head) return std::nullopt;
    if (request.method() != http::verb::put) return Answer::error(405, "GET, HEAD or PUT");
    auto body = nlohmann::json::parse(request.body(), nullptr, false);
    if (!body.is_object() || !body.contains("gloss") || !body["gloss"].is_string())
      return Answer::error(400, "the body must be {\"gloss\": \"...\"}");
    query.new_gloss = body["gloss"].template get<std::string>();
    return std::nullopt;
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

  // ---- clients that vanish

  struct Watch {
    bool over = false;
  };

  /// Cancels the connection's request if the client closes it.
  std::shared_ptr<Watch> watch_client(Connection& connection) {
    auto watch = std::make_shared<Watch>();
    connection.stream.socket().async_wait(
        tcp::socket::wait_read, [watch, &connection](const boost::system::error_code& error) {
          if (error || watch->over) return;  // the connection may be gone
          char byte = 0;
          ssize_t count = ::recv(connection.stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
          if (count == 0 || (count < 0 && errno != EAGAIN)) connection.source.request_stop();
        });
    return watch;
  }

  // ---- subscriptions

  /// /-/changes by WebSocket: one message for each change. Other paths: refused.
  Task<> subscribe(Connection& connection, Request request) {
    if (request.target() != "/-/changes") {
      (void)co_await reply(connection, Answer::error(404, "no subscriptions here"), 11, false);
      co_return;
    }
    AnyExecutor executor = connection.stream.get_executor();
    auto subscription = changes_.subscribe();
    connection.subscription = subscription;
    connection.busy = true;  // `drain` closes the subscription
    auto socket = std::make_shared<WebSocket>(std::move(connection.stream));
    connection.web_socket = socket;
    beast::get_lowest_layer(*socket).expires_never();  // the WebSocket has timeouts of its own
    socket->set_option(beast::websocket::stream_base::timeout::suggested(beast::role_type::server));
    socket->read_message_max(options_.most_header_bytes);
    auto error = co_await socket->async_accept(request, use_await);
    if (error) co_return;
    metrics_.answered(101);
    spawn(executor, hear(socket, subscription), asio::detached);
    while (auto message = co_await subscription->next(executor)) {
      auto [failed, bytes] = co_await socket->async_write(asio::buffer(*message), use_await);
      (void)bytes;
      if (failed) co_return;
    }
    (void)co_await socket->async_close(beast::websocket::close_code::going_away, use_await);
  }

  /// Reads what a subscriber says, which is nothing of interest, until it closes.
  static Task<> hear(std::shared_ptr<WebSocket> socket, std::shared_ptr<Changes::Subscription> subscription) {
    for (;;) {
      beast::flat_buffer buffer;
      auto [error, bytes] = co_await socket->async_read(buffer, use_await);
      (void)bytes;
      if (error) break;
    }
    subscription->close();
  }

  // ---- pages of the server's own

  Answer metrics_page() {
    Answer answer;
    answer.content_type = "text/plain; version=0.0.4";
    Admission& admission = models_.async().admission();
    answer.body = metrics_.text(database_.statistics(), admission.running(), admission.waiting());
    return answer;
  }

  void make_constant() {
    Query query;
    if (auto steps = steps_of(options_.constant_path)) query.path = *std::move(steps);
    Loop& loop = loops_.front();
    try {
      constant_ =
          spawn(loop.executor(), models_.handle(loop.executor(), query, Cancellation()), asio::use_future).get();
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
  std::deque<Loop> loops_;
  std::vector<std::jthread> threads_;
};

}  // namespace cow::bench::publisher
