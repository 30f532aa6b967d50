// `cow serve`: the pages of a store (pages.hpp) in a browser, on this machine alone.
//
// Nothing is ever written, and only GET and HEAD are answered. It listens on the loopback address, and answers only who asks for that by name:
// a page of the web that has its own name lead here (DNS rebinding) gets nothing.
#include <utility>  // which Asio forgets

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <future>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "answers.hpp"
#include "pages.hpp"
#include "session.hpp"

namespace cow::tool {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostHeader = 8 << 10, kMostConnections = 64, kMostUnreadable = 1000;
constexpr std::chrono::milliseconds kPauseAfterFailure(100);
constexpr std::chrono::milliseconds kLongestEnd(300);  // for a page that is being made, when the program is told to end
constexpr std::chrono::seconds kLongestIdle(30);       // of a connection that asks for nothing
constexpr std::chrono::seconds kLongestHead(5);        // for a request to come, from its first byte on
constexpr std::chrono::seconds kLongestWait(30);       // for an answer to be taken
constexpr std::chrono::seconds kFreshFor(1);           // a page shows what was committed that long ago
constexpr std::chrono::seconds kReleasedAfter(5);      // without a page, the store is closed until the next one

/// Pages are made by a thread of their own, one after another; all else, the end as well, is done meanwhile.
///
/// Thread safety: what is said to be the maker's is touched by that thread only, from `run` on; the rest by the one that calls `run`.
class Server {
 public:
  Server(Session& session, unsigned short port)
      : session_(session),
        view_(&session.open()),
        acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), port)) {
    session.most_unreadable = kMostUnreadable;
  }

  unsigned short port() const { return acceptor_.local_endpoint().port(); }

  /// Until it is told to end: SIGINT, SIGTERM.
  void run() {
    asio::signal_set signals(context_, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code&, int) { close(); });
    asio::co_spawn(context_, accept(), asio::detached);
    release_later();
    try {
      context_.run();
    } catch (const std::exception& error) {
      // No memory, in a connection: what the others wait for cannot be taken apart in order.
      say(error.what());
      std::_Exit(kFailed);
    }
    end();
  }

 private:
  struct Connection {
    beast::tcp_stream stream;
    Clock::time_point waits_since = Clock::now();
    bool waits = true;  // for its client; false: a page is made for it, or it was closed
  };
  using Place = std::list<Connection>::iterator;

  // All coroutines end by themselves: what they wait for is closed, or is given up.
  void close() {
    ending_.request_stop();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    idle_.cancel();
    if (connections_.empty()) return;
    for (Connection& each : connections_) {
      each.waits = false;
      each.stream.close();
    }
    last_moment_.expires_after(kLongestEnd);
    last_moment_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled) context_.stop();
    });
  }

  // A page looks at `ending_` between two rows. What hangs elsewhere, in a device or a server that does not answer, is left alone: nothing
  // is ever written, so nothing can be lost.
  void end() {
    std::promise<void> rested;
    asio::post(maker_, [&] { rested.set_value(); });
    if (connections_.empty() && rested.get_future().wait_for(kLongestEnd) == std::future_status::ready) return;
    std::fflush(stdout);
    std::_Exit(session_.damaged ? kDamaged : kDone);
  }

  asio::awaitable<void> accept() {
    for (;;) {
      boost::system::error_code failure;
      tcp::socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, failure));
      if (!acceptor_.is_open()) co_return;
      if (failure) {  // such as too many open files: others will be closed
        asio::steady_timer pause(context_, kPauseAfterFailure);
        co_await pause.async_wait(asio::use_awaitable);
        continue;
      }
      if (connections_.size() >= kMostConnections && !close_longest_waiting()) continue;  // all wait for pages
      const Place place = connections_.insert(connections_.end(), Connection{beast::tcp_stream(std::move(socket))});
      asio::co_spawn(context_, serve(place), asio::detached);
    }
  }

  void remove(Place place) {
    connections_.erase(place);
    if (ending_.stop_requested() && connections_.empty()) last_moment_.cancel();
  }

  /// False: there is none. Its coroutine removes it.
  bool close_longest_waiting() {
    Connection* longest = nullptr;
    for (Connection& each : connections_) {
      if (each.waits && (longest == nullptr || each.waits_since < longest->waits_since)) longest = &each;
    }
    if (longest == nullptr) return false;
    longest->waits = false;
    longest->stream.close();
    return true;
  }

  asio::awaitable<void> serve(Place place) {
    struct Removal {
      ~Removal() { server.remove(place); }
      Server& server;
      const Place place;
    } const removal{*this, place};
    Connection& connection = *place;
    beast::tcp_stream& stream = connection.stream;
    beast::flat_buffer buffer;
    try {
      for (bool goes_on = true; goes_on;) {
        http::request_parser<http::empty_body> parser;
        parser.header_limit(kMostHeader);
        if (buffer.size() == 0) {
          stream.expires_after(kLongestIdle);
          const std::size_t size = co_await stream.async_read_some(buffer.prepare(kMostHeader), asio::use_awaitable);
          buffer.commit(size);
        }
        stream.expires_after(kLongestHead);
        co_await http::async_read_header(stream, buffer, parser, asio::use_awaitable);
        connection.waits = false;
        std::optional<Response> response = refusal_of(parser.get(), port());
        if (!response) {
          asio::awaitable<Page> making = make(std::string(parser.get().target()));
          Page page = co_await asio::co_spawn(maker_, std::move(making), asio::use_awaitable);
          response = answer_with(parser.get(), std::move(page));
          release_later();
        }
        // A body is not read; what follows would be taken for the next request.
        if (parser.chunked() || parser.content_length().value_or(0) > 0) response->keep_alive(false);
        goes_on = response->keep_alive();
        connection.waits_since = Clock::now();
        connection.waits = true;
        stream.expires_after(kLongestWait);
        co_await http::async_write(stream, *response, asio::use_awaitable);
      }
    } catch (const boost::system::system_error&) {  // it has gone, was too slow, gave way, or speaks no HTTP
    }
    boost::system::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
  }

  /// An open store keeps the files that it had, whatever a pack has removed meanwhile.
  void release_later() {
    if (ending_.stop_requested()) return;
    idle_.expires_after(kReleasedAfter);
    idle_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled) asio::post(maker_, [this] { release(); });
    });
  }

  // ---- the maker's

  asio::awaitable<Page> make(std::string target) { co_return page_now(target); }

  Page page_now(const std::string& target) {
    try {
      refresh();
    } catch (const std::exception& error) {
      return failure_page(error.what());
    }
    std::string notice;
    if (!session_.unreadable.empty()) {
      const std::size_t others = session_.unreadable.size() - 1;
      notice = fmt::format("A part of the store cannot be read: {}", session_.unreadable.front().part);
      if (others > 0) notice += fmt::format(", and {} more", others);
    }
    return page_of(*view_, target, notice, ending_.get_token());
  }

  void refresh() {
    if (view_ == nullptr) {
      view_ = &session_.open();
    } else if (Clock::now() - read_at_ > kFreshFor) {
      std::vector<UnreadablePart> before = std::exchange(session_.unreadable, {});
      try {
        view_->refresh();
      } catch (const std::exception& error) {  // it shows what it had
        session_.unreadable = std::move(before);
        say(error.what());
        return;
      }
    } else {
      return;
    }
    read_at_ = Clock::now();
  }

  void release() {
    session_.close();
    view_ = nullptr;
  }

  Session& session_;                          // the maker's
  StoreView* view_;                           // the maker's; null: it is closed
  Clock::time_point read_at_ = Clock::now();  // the maker's
  std::stop_source ending_;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer idle_{context_}, last_moment_{context_};
  std::list<Connection> connections_;
  asio::thread_pool maker_{1};  // ends first: what it makes is handed to the context
};

void run_serve(Session& session, unsigned short port) {
  std::optional<Server> server;
  try {
    server.emplace(session, port);
  } catch (const boost::system::system_error& error) {
    throw Refusal(kFailed, fmt::format("cannot listen on port {}: {}", port, error.code().message()));
  }
  if (session.json) {
    fmt::print("{}\n", text_of(Json{{"url", fmt::format("http://127.0.0.1:{}/", server->port())}}));
  } else {
    fmt::print("http://127.0.0.1:{}/ (end with Ctrl-C)\n", server->port());
  }
  std::fflush(stdout);
  server->run();
}

}  // namespace

void add_serve(CLI::App& app, Session& session) {
  CLI::App& command =
      session.add_command(app, "serve",
                          "Show a store in a browser on this machine: objects with links to what they "
                          "refer to, their history, the transactions. Nothing is written; it shows what "
                          "a program commits meanwhile. Ends with Ctrl-C.");
  auto port = std::make_shared<unsigned short>(static_cast<unsigned short>(8080));
  command.add_option("--port", *port, "where to listen; 0: any that is free")->type_name("PORT")->capture_default_str();
  command.callback([&session, port] { session.run = [&session, port] { run_serve(session, *port); }; });
}

}  // namespace cow::tool
