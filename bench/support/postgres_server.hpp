// A PostgreSQL server of a program's own, for tests and measurements: in a scratch directory, by an ordinary user, reached through a
// socket in that directory and through the loopback interface. It dies with the thread that has started it.
//
// Thread safety: has_postgres, free_port and fresh_schema may be called by any number of threads; the rest by one at a time.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "scratch_directory.hpp"

extern char** environ;

namespace cow::bench {

/// The folder with `postgres` and `initdb`; nothing: it is not installed.
inline std::optional<std::filesystem::path> postgres_programs() {
  std::vector<std::filesystem::path> folders;
  if (const char* given = std::getenv("COW_POSTGRES_PROGRAMS")) folders.emplace_back(given);
  std::error_code ignored;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", ignored))
    folders.push_back(version.path() / "bin");
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) folders.emplace_back(folder);
  for (const auto& folder : folders) {
    if (std::filesystem::exists(folder / "postgres", ignored) && std::filesystem::exists(folder / "initdb", ignored))
      return folder;
  }
  return std::nullopt;
}

/// Whether there can be a server; says so once, if not.
inline bool has_postgres() {
  static const bool found = [] {
    const bool is = postgres_programs().has_value();
    if (!is) std::cout << "PostgreSQL is not installed (scripts/setup --postgres): its stores are left out\n";
    return is;
  }();
  return found;
}

/// A port of the loopback interface that nobody uses just now.
inline int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool good = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!good) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

/// A process of an ordinary user, that dies with this one. Its output goes to a file.
class OrdinaryProcess {
 public:
  OrdinaryProcess(const std::vector<std::string>& command, const std::filesystem::path& output) {
    std::vector<std::string> words{"setpriv", "--pdeathsig", "KILL"};
    if (::geteuid() == 0) {
      for (const char* word : {"--reuid", user(), "--regid", user(), "--clear-groups"}) words.emplace_back(word);
      words[6] = std::to_string(::getpwnam(user())->pw_gid);
    }
    words.insert(words.end(), command.begin(), command.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, 1, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::posix_spawn_file_actions_adddup2(&files, 1, 2);
    const int failed = ::posix_spawnp(&id_, arguments[0], &files, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&files);
    if (failed != 0) throw std::runtime_error("cannot start " + command.front());
  }
  ~OrdinaryProcess() { stop(SIGKILL); }
  OrdinaryProcess(const OrdinaryProcess&) = delete;
  OrdinaryProcess& operator=(const OrdinaryProcess&) = delete;

  /// Its exit status.
  int wait() {
    int status = -1;
    if (id_ > 0) ::waitpid(std::exchange(id_, -1), &status, 0);
    return status;
  }
  void stop(int signal) {
    if (id_ <= 0) return;
    ::kill(id_, signal);
    wait();
  }
  bool is_running() { return id_ > 0 && ::waitpid(id_, nullptr, WNOHANG) == 0; }

  /// Who runs it where this process is root's.
  static const char* user() { return ::getpwnam("postgres") != nullptr ? "postgres" : "nobody"; }
  static void give(const std::filesystem::path& path) {
    if (::geteuid() != 0) return;
    const passwd* owner = ::getpwnam(user());
    if (::chown(path.c_str(), owner->pw_uid, owner->pw_gid) != 0)
      throw std::runtime_error("cannot give " + path.string());
  }

 private:
  pid_t id_ = -1;
};

/// Settings of a server that keeps its promises, with room for what is measured.
inline constexpr const char* kDurableSettings =
    "fsync = on\nsynchronous_commit = on\nshared_buffers = 128MB\nmax_wal_size = 1GB\nautovacuum = on\n";

class PostgresServer {
 public:
  /// `settings`: more lines of postgresql.conf.
  explicit PostgresServer(const std::string& settings = "") {
    const std::filesystem::path programs = postgres_programs().value();
    OrdinaryProcess::give(scratch_.path());
    std::filesystem::permissions(scratch_.path(), std::filesystem::perms::owner_all);
    OrdinaryProcess make({programs / "initdb", "--pgdata", data(), "--username=cow", "--auth=trust", "--no-sync",
                          "--no-instructions", "--encoding=UTF8", "--locale=C"},
                         log());
    if (make.wait() != 0) fail("initdb");
    std::ofstream(data() / "postgresql.conf", std::ios::app)
        << "fsync = off\nshared_buffers = 16MB\nmax_connections = 60\nautovacuum = off\nmax_wal_size = 64MB\n"
        << "listen_addresses = '127.0.0.1'\nunix_socket_directories = '" << scratch_.path().string() << "'\n"
        << settings;
    start();
  }

  ~PostgresServer() {
    if (process_) process_->stop(SIGQUIT);  // its own children go with it, which SIGKILL would leave in the directory
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  void start() {
    if (port_ == 0) port_ = free_port();
    process_.emplace(
        std::vector<std::string>{postgres_programs().value() / "postgres", "-D", data(), "-p", std::to_string(port_)},
        log());
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    const std::string ready = postgres_programs().value() / "pg_isready";
    for (;;) {
      OrdinaryProcess ask({ready, "-q", "-h", scratch_.path(), "-p", std::to_string(port_)}, log());
      if (ask.wait() == 0) return;
      if (!process_->is_running() || std::chrono::steady_clock::now() > end) fail("postgres");
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  /// SIGINT: at once, but cleanly. SIGQUIT: as after a crash.
  void stop(int signal = SIGINT) { process_->stop(signal); }

  std::string connection() const {
    return "host=" + scratch_.path().string() + " port=" + std::to_string(port_) + rest();
  }
  std::string tcp_connection(int port) const { return "host=127.0.0.1 port=" + std::to_string(port) + rest(); }
  int port() const { return port_; }
  const std::filesystem::path& directory() const { return scratch_.path(); }

  /// The one of this process, made when it is first asked for.
  static PostgresServer& shared() {
    static PostgresServer server;
    return server;
  }

  /// A schema's name that nobody has yet.
  static std::string fresh_schema() {
    static std::atomic<int> count{0};
    return "store_" + std::to_string(++count);
  }

 private:
  std::filesystem::path data() const { return scratch_.path() / "data"; }
  std::filesystem::path log() const { return scratch_.path() / "log"; }
  static std::string rest() { return " user=cow dbname=postgres"; }
  [[noreturn]] void fail(const char* what) const {
    std::ifstream file(log());
    std::ostringstream text;
    text << file.rdbuf();
    throw std::runtime_error(std::string(what) + " failed: " + text.str());
  }

  ScratchDirectory scratch_;
  std::optional<OrdinaryProcess> process_;
  int port_ = 0;
};

}  // namespace cow::bench
