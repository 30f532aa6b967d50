#include "chunk_counts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/support/scratch_directory.hpp"

namespace cow::bench {

namespace {

/// Exit code; 128 and more: by a signal. Throws std::system_error.
int run(std::vector<std::string> words, const std::filesystem::path& said) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t process = ::fork();
  if (process < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process == 0) {
    const int file = ::open(said.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file >= 0 && ::dup2(file, STDOUT_FILENO) >= 0 && ::dup2(file, STDERR_FILENO) >= 0)
      ::execvp(arguments.front(), arguments.data());
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The rest of the line that begins so; empty: there is none.
std::string line_after(const std::string& text, const std::string& start) {
  const std::size_t at = text.find("\n" + start);
  if (at == text.npos) return {};
  const std::size_t from = at + 1 + start.size();
  return text.substr(from, text.find('\n', from) - from);
}

/// A dump of one stretch.
std::pair<std::string, Counts> parse(const std::string& dump) {
  std::istringstream named(line_after(dump, "desc: Trigger: Client Request: "));
  std::string label;
  double times = 0;
  if (!(named >> label >> times)) return {};
  std::istringstream events(line_after(dump, "events: "));
  const std::string summary = line_after(dump, "summary: ");
  std::istringstream numbers(summary.empty() ? line_after(dump, "totals: ") : summary);
  std::map<std::string, double> of;
  double number = 0;
  for (std::string event; events >> event && numbers >> number;) of[event] = number / times;
  return {label,
          {.instructions = of["Ir"],
           .data_references = of["Dr"] + of["Dw"],
           .first_misses = of["D1mr"] + of["D1mw"],
           .last_misses = of["DLmr"] + of["DLmw"]}};
}

}  // namespace

std::map<std::string, Counts> count_under_valgrind(const std::string& word, const ChunkCheckOptions& options) {
  const ScratchDirectory scratch;
  const std::filesystem::path said = scratch.path() / "said";
  std::vector<std::string> words = {"valgrind",
                                    "--tool=callgrind",
                                    "--instr-atstart=no",
                                    "--cache-sim=yes",
                                    "--D1=32768,8,64",
                                    "--LL=1048576,16,64",
                                    "--callgrind-out-file=" + (scratch.path() / "counts").string(),
                                    std::filesystem::read_symlink("/proc/self/exe").string(),
                                    word,
                                    "--seed",
                                    std::to_string(options.seed)};
  if (options.small_module) words.emplace_back("--small-module");
  const int code = run(std::move(words), said);
  if (code == 127) throw std::runtime_error("valgrind cannot be started: install it, or use --no-instructions");
  if (code != 0) {
    std::istringstream lines(text_of(said));
    std::string own;  // without what valgrind says
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("==") && !line.starts_with("--")) own.append(" ").append(line);
    }
    throw std::runtime_error(fmt::format("the process under valgrind has ended with {}:{}", code, own));
  }
  std::map<std::string, Counts> counts;
  for (const auto& file : std::filesystem::directory_iterator(scratch.path())) {
    if (!file.path().filename().string().starts_with("counts.")) continue;
    std::string dump = "\n";  // so that every line begins after an end
    dump += text_of(file.path());
    auto [label, counted] = parse(dump);
    if (!label.empty()) counts[label] = counted;
  }
  return counts;
}

void start_simulating() { CALLGRIND_START_INSTRUMENTATION; }

void start_counting() { CALLGRIND_ZERO_STATS; }

void stop_counting(const std::string& label, std::uint64_t times) {
  const std::string description = label + " " + std::to_string(times);
  CALLGRIND_DUMP_STATS_AT(description.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

}  // namespace cow::bench
