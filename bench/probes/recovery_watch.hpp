// The process that is to be killed, seen from the one that kills it.
//
// Thread safety: one thread, which must not have started another before it makes a victim: that forks.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "bench/support/paired.hpp"
#include "recovery_workload.hpp"

namespace cow::bench::recovery {

/// What is known of the victim when it is dead.
struct Testimony {
  std::vector<std::uint64_t> acknowledged;  ///< writes of each client
  std::vector<double> hit_ratios;           ///< of its windows
};

/// The other process, and what it says.
class Victim {
 public:
  /// Starts it. Throws std::system_error.
  explicit Victim(const RecoveryOptions& options) : testimony_{std::vector<std::uint64_t>(options.clients), {}} {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    std::vector<std::string> words = {"probes",
                                      "recovery-victim",
                                      "--acknowledgements",
                                      std::to_string(ends[1]),
                                      "--cache",
                                      options.cache,
                                      "--path",
                                      options.path.string(),
                                      "--accounts",
                                      std::to_string(options.accounts),
                                      "--clients",
                                      std::to_string(options.clients),
                                      "--cached",
                                      fmt::format("{}", options.cached),
                                      "--seed",
                                      std::to_string(options.seed)};
    if (options.unsynced) words.emplace_back("--unsynced");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (process_ == 0) {
      ::fcntl(ends[1], F_SETFD, 0);  // this end survives the exec
      ::execv("/proc/self/exe", arguments.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    pipe_ = ends[0];
    listener_ = std::jthread([this] { listen(); });
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim() {
    if (process_ > 0) end();
    if (listener_.joinable()) listener_.join();
    ::close(pipe_);
  }

  /// Throws std::runtime_error if it does not come to serving its clients.
  void wait_until_started() {
    for (double start = seconds_now(); !started_;) {
      if (gone_ || seconds_now() - start > kLongestStart_s)
        throw std::runtime_error("the process to be killed did not start");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// Throws std::runtime_error if it was dead already.
  Testimony kill() {
    const int status = end();
    listener_.join();  // everything that it said before is in the pipe
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) throw std::runtime_error("the process ended by itself");
    return testimony_;
  }

 private:
  static constexpr double kLongestStart_s = 300;

  int end() {
    ::kill(process_, SIGKILL);
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
    return status;
  }

  void listen() {
    Message message{};
    while (::read(pipe_, &message, sizeof message) == static_cast<ssize_t>(sizeof message)) {
      switch (message.kind) {
        case Message::Kind::started:
          started_ = true;
          break;
        case Message::Kind::committed:
          testimony_.acknowledged.at(message.client) = message.write;
          break;
        case Message::Kind::hit_ratio:
          testimony_.hit_ratios.push_back(message.ratio);
          break;
      }
    }
    gone_ = true;
  }

  pid_t process_ = -1;
  int pipe_ = -1;
  std::atomic<bool> started_{false}, gone_{false};
  Testimony testimony_;  // the listener's until it has ended
  std::jthread listener_;
};

}  // namespace cow::bench::recovery
