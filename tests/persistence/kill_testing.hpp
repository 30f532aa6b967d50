// A child that works on a store, tells what it has done, and is killed; and one that commits and packs.
//
// The child is this same program, executed afresh (a forked copy of an open RocksDB would hang). COW_CACHE_KILLS says how many kills
// there are.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/support/store_testing.hpp"
#include "tests/support/stress_settings.hpp"

namespace cow::testing {

inline constexpr const char* kChildArgument = "--store-child";

/// Its arguments are the store's directory, the number of a pipe, and a letter.
inline bool is_child(int argc, char** argv) { return argc == 5 && std::strcmp(argv[1], kChildArgument) == 0; }

struct Acknowledgement {
  enum What : std::uint64_t { kCommitted, kPackBegins, kPacked } what;
  std::uint64_t tid;
};

inline void tell(int pipe, Acknowledgement::What what, std::uint64_t tid) {
  const Acknowledgement done{what, tid};  // atomic: it is smaller than a pipe's buffer
  if (::write(pipe, &done, sizeof done) != sizeof done) ::_exit(1);
}

/// What a child has told, by the time that it was killed.
struct Known {
  std::uint64_t committed = 0, packed = 0, pack_begun = 0, packs = 0;
};

/// This program again, with what `is_child` tells.
class KilledProcess {
 public:
  /// `kind`: a letter for it.
  KilledProcess(const std::filesystem::path& path, char kind) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    ::fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string directory = path.string();
    const std::string pipe = std::to_string(ends[1]);
    const std::string said(1, kind);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl(program.c_str(), program.c_str(), kChildArgument, directory.c_str(), pipe.c_str(), said.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    in_ = ends[0];
  }
  ~KilledProcess() { ::close(in_); }
  KilledProcess(const KilledProcess&) = delete;
  KilledProcess& operator=(const KilledProcess&) = delete;

  /// The next that it has told. False: there is no more, and `told` is as it was.
  template <class Told>
  bool read(Told& told) const {
    Told next{};
    if (::read(in_, &next, sizeof next) != sizeof next) return false;
    told = next;
    return true;
  }

  void kill() const {
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself: " << status;
  }

 private:
  pid_t pid_ = -1;
  int in_ = -1;
};

class Child {
 public:
  Child(const std::filesystem::path& path, char kind) : process_(path, kind) {}

  /// Waits until it begins to pack, or has packed, lets it work for `time`, kills it, and adds what it has told.
  void kill_after(Acknowledgement::What what, std::chrono::microseconds time, Known& known) {
    while (read(known) && last_.what != what) {
    }
    std::this_thread::sleep_for(time);
    process_.kill();
    while (read(known)) {
    }
  }

 private:
  bool read(Known& known) {
    if (!process_.read(last_)) return false;
    if (last_.what == Acknowledgement::kCommitted) known.committed = last_.tid;
    if (last_.what == Acknowledgement::kPackBegins) known.pack_begun = last_.tid;
    if (last_.what == Acknowledgement::kPacked) known.packed = last_.tid, ++known.packs;
    return true;
  }

  const KilledProcess process_;
  Acknowledgement last_{Acknowledgement::kCommitted, 0};
};

inline int kills(int usual) {
  const char* wanted = variable("COW_CACHE_KILLS");
  return wanted != nullptr ? std::atoi(wanted) : repetitions(usual);
}

}  // namespace cow::testing
