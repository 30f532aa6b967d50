// Stopping one thread of this process wherever it is, and letting it go on: as a debugger does it, or a hypervisor to the CPU that it runs on.
//
// Thread safety: `stop` and `go_on` by one thread; one thread at a time is stopped.
//
// SIGSTOP stops all threads of a process. So a thread is sent a signal whose handler waits: from between any two of its instructions on
// it does nothing until it is let go on, with the locks that it has and without answering any other signal (all are blocked there).
// The kernel may still schedule it, which changes nothing: it sleeps in `read`.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

namespace cow::bench {

class Stopper {
 public:
  /// Throws std::system_error.
  Stopper() {
    if (::pipe(pipe_.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    is_stopped_ = false;
    struct sigaction action = {};
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    if (::sigaction(kSignal, &action, nullptr) != 0)
      throw std::system_error(errno, std::generic_category(), "sigaction");
  }
  Stopper(const Stopper&) = delete;
  Stopper& operator=(const Stopper&) = delete;
  ~Stopper() {
    ::signal(kSignal, SIG_DFL);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }

  /// Returns when the thread does nothing any more. Throws std::system_error. REQUIRES: it does not block signals.
  void stop(std::thread& thread) {
    if (int error = ::pthread_kill(thread.native_handle(), kSignal); error != 0)
      throw std::system_error(error, std::generic_category(), "cannot signal a thread");
    while (!is_stopped_.load(std::memory_order_acquire)) std::this_thread::yield();
  }

  void go_on() {
    const char byte = 0;
    while (::write(pipe_[1], &byte, 1) < 0 && errno == EINTR) {
    }
  }

 private:
  static constexpr int kSignal = SIGUSR1;

  /// Calls nothing that a handler may not call.
  static void handle(int) {
    const int saved = errno;
    is_stopped_.store(true, std::memory_order_release);
    char byte = 0;
    while (::read(pipe_[0], &byte, 1) < 0 && errno == EINTR) {
    }
    errno = saved;
  }

  static inline std::array<int, 2> pipe_{-1, -1};
  static inline std::atomic<bool> is_stopped_{false};
};

}  // namespace cow::bench
