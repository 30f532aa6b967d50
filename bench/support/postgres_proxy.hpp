// Stands between a store and its server, knows where messages and batches of messages begin and end, and makes them fail there.
//
// Thread safety: `faults` and `boundary` are called by the threads of the connections, one thread each.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace cow::bench {

/// What happens to a batch: all that a client sends up to a Sync.
enum class Fault {
  none,
  refuse_40001,  ///< the server never sees it, and the client gets this error
  refuse_40P01,  ///< the same
  cut_before,    ///< the connection ends, and the server never sees it
  cut_within,    ///< the server sees a part of it, which ends at a message, and then the connection's end
  cut_after,     ///< the server does it, and its answer is lost
  cut_answer,    ///< a part of its answer arrives, which ends at a message
  arrives_late,  ///< the client's connection ends at once; the server gets the batch a while later
  delay,         ///< it takes a while
  farewell,      ///< the answer ends with the news that the server ends the session, which it does a while later
};

class PostgresProxy {
 public:
  using Faults = std::function<Fault(std::string_view batch)>;
  /// Of so many ends of messages (>= 1), the number of the one at which something is cut.
  using Boundary = std::function<std::size_t(std::size_t ends)>;

  PostgresProxy(
      int server_port, Faults faults, Boundary boundary = [](std::size_t ends) { return (ends - 1) / 2; })
      : server_port_(server_port), faults_(std::move(faults)), boundary_(std::move(boundary)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("the proxy cannot listen");
    port_ = ntohs(address.sin_port);
    accepting_ = std::jthread([this](const std::stop_token& stop) { accept_all(stop); });
  }
  ~PostgresProxy() {
    accepting_.request_stop();
    accepting_.join();
    ::close(listener_);
  }  // the threads of connections end with the stop token that they share
  PostgresProxy(const PostgresProxy&) = delete;
  PostgresProxy& operator=(const PostgresProxy&) = delete;

  int port() const { return port_; }
  /// How many batches it has made fail.
  int faults() const { return count_; }

 private:
  static constexpr int kWhile = 30;  // milliseconds

  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
  }

  void accept_all(const std::stop_token& stop) {
    std::vector<std::jthread> connections;
    while (!stop.stop_requested()) {
      pollfd ready{listener_, POLLIN, 0};
      if (::poll(&ready, 1, 20) <= 0) continue;
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client >= 0) connections.emplace_back([this, client, stop] { serve(client, stop); });
    }
  }

  /// Bytes of the messages that are complete; the first one of a client's has no type.
  static std::size_t complete(std::string_view bytes, bool is_startup) {
    std::size_t end = 0;
    for (;;) {
      const std::size_t head = is_startup ? 0 : 1;
      if (bytes.size() < end + head + 4) return end;
      const std::size_t next = end + head + length_at(bytes, end + head);
      if (bytes.size() < next) return end;
      end = next;
      if (is_startup) return end;
    }
  }
  static std::size_t length_at(std::string_view bytes, std::size_t at) {
    std::uint32_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
    return length;
  }
  /// Where the messages of `bytes` end.
  static std::vector<std::size_t> ends(std::string_view bytes) {
    std::vector<std::size_t> found;
    for (std::size_t end = 0; end < bytes.size();) found.push_back(end += 1 + length_at(bytes, end + 1));
    return found;
  }

  /// The server's message of an error.
  static std::string error_of(const std::string& severity, const std::string& code) {
    const std::string text = severity + '\0';
    const std::string fields = "S" + text + "V" + text + "C" + code + '\0' + "Mby the proxy" + '\0' + '\0';
    std::string error = "E";
    const auto length = static_cast<std::uint32_t>(fields.size() + 4);
    for (int shift = 24; shift >= 0; shift -= 8) error += static_cast<char>(length >> shift);
    return error + fields;
  }

  static bool send_all(int to, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  static bool receive(int from, std::string& into) {
    char bytes[65536];
    const ssize_t received = ::recv(from, bytes, sizeof bytes, 0);
    if (received > 0) into.append(bytes, static_cast<std::size_t>(received));
    return received > 0;
  }
  /// So that the other side gets an error, and no orderly end.
  static void reset(int& socket) {
    const linger at_once{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(std::exchange(socket, -1));
  }

  void serve(int client, const std::stop_token& stop) {
    int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(server_port_);
    std::string from_client, from_server;
    bool is_startup = true, cut_answer = false, lose_answer = false, say_farewell = false, is_over = false;
    char state = 'I';  // of the server's transaction
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) reset(client);
    const int at_once = 1;  // or a part of an answer waits for the acknowledgement of the part before
    for (const int socket : {client, server}) ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    while (client >= 0 && server >= 0 && !stop.stop_requested()) {
      pollfd ready[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      if (::poll(ready, 2, 20) <= 0) continue;
      if (ready[1].revents != 0) {
        if (!receive(server, from_server)) break;
        const std::size_t size = complete(from_server, false);
        std::string answer = from_server.substr(0, size);
        from_server.erase(0, size);
        bool is_end = false;
        for (std::size_t at = 0; at < answer.size(); at += 1 + length_at(answer, at + 1)) {
          is_end = answer[at] == 'Z';
          if (is_end) state = answer[at + 5];
        }
        if (cut_answer && !answer.empty()) {
          const std::vector<std::size_t> parts = ends(answer);
          send_all(client,
                   std::string_view(answer).substr(0, parts[boundary_(parts.size() > 1 ? parts.size() - 1 : 1)]));
        }
        if (cut_answer || (lose_answer && is_end)) break;
        if (say_farewell && is_end) {
          answer += error_of("FATAL", "57P01");
          is_over = true;
        }
        if (!lose_answer && !send_all(client, answer)) break;
      }
      if (ready[0].revents == 0) continue;
      if (is_over || !receive(client, from_client)) break;
      while (client >= 0) {
        std::size_t size = complete(from_client, is_startup);
        if (!is_startup) {  // up to and with a Sync, or a Terminate
          std::size_t end = 0;
          for (const std::size_t next : ends(std::string_view(from_client).substr(0, size))) {
            const char type = from_client[end];
            end = next;
            if (type == 'S' || type == 'X') break;
            if (next == size) end = 0;  // the rest is on its way
          }
          size = end;
        }
        if (size == 0) break;
        const std::string batch = from_client.substr(0, size);
        from_client.erase(0, size);
        const Fault fault = is_startup || batch.front() == 'X' ? Fault::none : faults_(batch);
        is_startup = false;
        if (fault != Fault::none) ++count_;
        switch (fault) {
          case Fault::refuse_40001:
          case Fault::refuse_40P01: {
            std::string error = error_of("ERROR", fault == Fault::refuse_40001 ? "40001" : "40P01");
            state = state == 'I' ? 'I' : 'E';
            error += std::string("Z\0\0\0\5", 5) + state;
            if (!send_all(client, error)) reset(client);
            continue;
          }
          case Fault::cut_before:
            reset(client);
            continue;
          case Fault::cut_within: {
            const std::vector<std::size_t> parts = ends(batch);
            send_all(server,
                     std::string_view(batch).substr(0, parts[boundary_(parts.size() > 1 ? parts.size() - 1 : 1)]));
            reset(client);
            continue;
          }
          case Fault::arrives_late:
            reset(client);
            std::this_thread::sleep_for(std::chrono::milliseconds(kWhile));
            send_all(server, batch);
            std::this_thread::sleep_for(std::chrono::milliseconds(kWhile));  // so that it is no more than late
            continue;
          case Fault::delay:
            std::this_thread::sleep_for(std::chrono::milliseconds(kWhile));
            break;
          case Fault::cut_after:
            lose_answer = true;
            break;
          case Fault::cut_answer:
            cut_answer = true;
            break;
          case Fault::farewell:
            say_farewell = true;
            break;
          case Fault::none:
            break;
        }
        if (!send_all(server, batch)) break;
      }
    }
    if (client >= 0) reset(client);
    if (server >= 0) ::close(server);
  }

  const int server_port_;
  const Faults faults_;
  const Boundary boundary_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> count_{0};
  std::jthread accepting_;
};

}  // namespace cow::bench
