// Measuring in a process of its own: what one claim leaves behind (free slots of states, an allocator's pages, huge pages,
// a store's threads) must not be had for nothing by the next.
//
// Thread safety: call it before the program has started a thread, or it forks in the middle of one's work.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <system_error>

#include "bench/support/paired.hpp"
#include "claim.hpp"

namespace cow::bench {

namespace detail {

/// In the child: measures, and writes what came of it.
[[noreturn]] inline void measure_and_exit(Measured (*measure)(), int to_parent) {
  nlohmann::json answer;
  try {
    start_a_thread_once();
    Measured measured = measure();
    answer = {{"value", measured.value}, {"detail", measured.detail}};
    if (measured.upper_end) answer["upper end"] = *measured.upper_end;
  } catch (const NotMeasurable& reason) {
    answer = {{"not measurable", reason.what()}};
  } catch (const std::exception& error) {
    answer = {{"error", error.what()}};
  }
  std::string text = answer.dump();
  for (std::size_t written = 0; written < text.size();) {
    ssize_t count = ::write(to_parent, text.data() + written, text.size() - written);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) written += static_cast<std::size_t>(count);
  }
  std::exit(0);  // so that what the claim keeps for its like (a scratch directory) is removed
}

inline std::string read_to_end(int descriptor) {
  std::string text;
  char buffer[4096];
  for (;;) {
    ssize_t count = ::read(descriptor, buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) return text;
  }
}

}  // namespace detail

/// Measures in a child process. Throws NotMeasurable as `measure` does, std::system_error if there can be no
/// child, std::runtime_error if the measurement failed or the child died.
inline Measured measure_alone(Measured (*measure)()) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  pid_t child = ::fork();
  if (child < 0) {
    int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    throw std::system_error(error, std::generic_category(), "fork");
  }
  if (child == 0) {
    ::close(ends[0]);
    detail::measure_and_exit(measure, ends[1]);
  }
  ::close(ends[1]);
  std::string text = detail::read_to_end(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) throw std::runtime_error("ended by signal " + std::to_string(WTERMSIG(status)));
  nlohmann::json answer = nlohmann::json::parse(text, nullptr, false);
  if (answer.is_discarded()) throw std::runtime_error("ended without an answer");
  if (answer.contains("not measurable")) throw NotMeasurable(answer["not measurable"].get<std::string>());
  if (answer.contains("error")) throw std::runtime_error(answer["error"].get<std::string>());
  Measured measured{answer["value"].get<double>(), answer["detail"].get<std::string>()};
  if (answer.contains("upper end")) measured.upper_end = answer["upper end"].get<double>();
  return measured;
}

}  // namespace cow::bench
