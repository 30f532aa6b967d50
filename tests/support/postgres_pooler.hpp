// A pooler before the PostgreSQL server of a test.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/support/scratch_directory.hpp"
#include "tests/support/postgres_server.hpp"
#include "tests/support/postgres_session.hpp"

namespace cow::testing {

inline constexpr const char* kPgbouncer = "/usr/sbin/pgbouncer";

inline bool has_pooler() { return has_postgres() && std::filesystem::exists(kPgbouncer); }

/// Debian's pgbouncer, in transaction mode, with two connections to the server.
class Pooler {
 public:
  /// That of the program. REQUIRES: has_pooler(). Throws std::runtime_error.
  static Pooler& shared() {
    static Pooler pooler;
    return pooler;
  }
  std::string connection() const { return PostgresServer::shared().tcp_connection(port_); }

 private:
  Pooler() {
    OrdinaryProcess::give(scratch_.path());
    port_ = free_port();
    const std::filesystem::path settings = scratch_.path() / "pgbouncer.ini";
    std::ofstream(settings) << "[databases]\n* = host=" << PostgresServer::shared().directory().string()
                            << " port=" << PostgresServer::shared().port()
                            << " user=cow\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                            << "listen_port = " << port_ << "\nauth_type = any\npool_mode = transaction\n"
                            << "default_pool_size = 2\nmax_client_conn = 100\nunix_socket_dir =\n";
    process_.emplace(std::vector<std::string>{kPgbouncer, settings}, scratch_.path() / "log");
    for (int i = 0; i < 10'000; ++i) {
      try {
        PostgresSession session(connection());
        return;
      } catch (const std::runtime_error&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    }
    throw std::runtime_error("pgbouncer does not start");
  }

  ScratchDirectory scratch_;
  std::optional<OrdinaryProcess> process_;
  int port_ = 0;
};

}  // namespace cow::testing
