// PeerProcess: a process of the probe `postgres-peers`, as the probe has it: started, asked by lines, and ended with it.
//
// Thread safety: one thread at a time.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "postgres_peers_probe.hpp"

extern char** environ;

namespace cow::bench {

class PeerProcess {
 public:
  /// `number`: of the process; its sessions draw other keys than those of other processes. Throws std::system_error.
  PeerProcess(const PostgresPeersOptions& options, std::uint32_t number) {
    int to_child[2], from_child[2];
    make_pipe(to_child);
    make_pipe(from_child);
    std::vector<std::string> words{"/proc/self/exe",
                                   "postgres-peers-process",
                                   "--cache=" + options.cache,
                                   "--connection=" + options.connection,
                                   "--schema=" + options.schema,
                                   "--sessions=" + std::to_string(options.sessions),
                                   "--objects=" + std::to_string(options.objects),
                                   "--bytes=" + std::to_string(options.bytes),
                                   "--reads=" + std::to_string(options.reads),
                                   "--seed=" + std::to_string(options.seed * 64 + number)};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, to_child[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, from_child[1], STDOUT_FILENO);
    const int failed = ::posix_spawn(&id_, arguments[0], &files, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&files);
    ::close(to_child[0]);
    ::close(from_child[1]);
    commands_ = ::fdopen(to_child[1], "w");
    answers_ = ::fdopen(from_child[0], "r");
    if (failed != 0) throw std::system_error(failed, std::generic_category(), "cannot start a process");
  }
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;
  ~PeerProcess() {
    ::fclose(commands_);  // at the end of its input it ends
    ::fclose(answers_);
    if (id_ > 0) ::waitpid(id_, nullptr, 0);
  }

  void tell(const std::string& line) {
    if (::fputs((line + "\n").c_str(), commands_) < 0 || ::fflush(commands_) != 0)
      throw std::runtime_error("a process does not listen");
  }

  /// To the line that was told last. Throws std::runtime_error if the process has failed, or is gone.
  nlohmann::json hear() {
    char* line = nullptr;
    std::size_t room = 0;
    const ssize_t length = ::getline(&line, &room, answers_);
    const std::string text(line == nullptr ? "" : line, length > 0 ? static_cast<std::size_t>(length) : 0);
    ::free(line);
    if (text.empty()) throw std::runtime_error("a process has ended before its time");
    nlohmann::json answer = nlohmann::json::parse(text);
    if (answer.contains("error")) throw std::runtime_error("a process: " + answer["error"].get<std::string>());
    return answer;
  }

  nlohmann::json ask(const std::string& line) {
    tell(line);
    return hear();
  }

 private:
  /// Ends are closed where a process is started: none keeps another one's input open.
  static void make_pipe(int (&ends)[2]) {
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  }

  pid_t id_ = -1;
  FILE *commands_ = nullptr, *answers_ = nullptr;
};

}  // namespace cow::bench
