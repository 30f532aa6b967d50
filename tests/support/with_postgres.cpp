// Runs a command beside a PostgreSQL server of its own, which ends with it. The word POSTGRES among the arguments, and the variable
// COW_TEST_POSTGRES, are the server's address: postgres://...
//
// Usage: with_postgres COMMAND [ARGUMENT...]
//
// Exit code: the command's; 77, which Meson counts as skipped, where PostgreSQL is not installed; 2 bad usage.
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tests/support/postgres_server.hpp"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: with_postgres COMMAND [ARGUMENT...]\n";
    return 2;
  }
  if (!cow::testing::has_postgres()) return 77;
  cow::testing::PostgresServer server;
  std::string address = "postgres://cow@127.0.0.1:" + std::to_string(server.port()) + "/postgres";
  ::setenv("COW_TEST_POSTGRES", address.c_str(), 1);
  std::vector<char*> command(argv + 1, argv + argc);
  for (char*& word : command) {
    if (word == std::string("POSTGRES")) word = address.data();
  }
  command.push_back(nullptr);
  pid_t id = -1;
  if (::posix_spawnp(&id, command[0], nullptr, nullptr, command.data(), environ) != 0) {
    std::cerr << "with_postgres: cannot run " << argv[1] << "\n";
    return 2;
  }
  int status = 0;
  ::waitpid(id, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
