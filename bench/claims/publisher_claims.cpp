// What publishing objects costs beyond publishing a constant: publisher.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include "bench/publisher/server.hpp"
#include "bench/support/in_memory_systems.hpp"
#include "bench/support/paired.hpp"
#include "bench/workloads/wordnet/wordnet.hpp"
#include "claim.hpp"

namespace cow::bench {
namespace {

constexpr int kConnections = 64;

/// What wrk measures in two seconds of closed loop. Throws std::runtime_error if it is missing or sees errors.
double requests_per_second(unsigned short port, const std::string& path) {
  std::string command = fmt::format("wrk -t1 -c{} -d2s http://127.0.0.1:{}{} 2>&1", kConnections, port, path);
  struct Close {
    void operator()(std::FILE* pipe) const { ::pclose(pipe); }
  };
  std::unique_ptr<std::FILE, Close> pipe(::popen(command.c_str(), "r"));
  std::string said;
  char buffer[4096];
  while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) said += buffer;
  constexpr std::string_view kFigure = "Requests/sec:";
  std::size_t figure = said.find(kFigure);
  if (figure == said.npos || said.find("Non-2xx") != said.npos || said.find("Socket errors") != said.npos)
    throw std::runtime_error("wrk (scripts/setup installs it) says: " + said);
  return std::stod(said.substr(figure + kFigure.size()));
}

Measured measure_publisher() {
  InMemory<cow::detail::SharedCache> system;
  {
    wordnet::Files files(wordnet::locate());
    wordnet::Importer<Database>(system.database, files).run();
  }
  const std::string path = "/dog/hypernyms/0";
  publisher::ServerOptions options;
  options.constant_path = path;
  publisher::Server<Database> server(system.database, options);
  server.start();
  Paired paired = measure_paired(
      9, [&] { return requests_per_second(server.port(), path); },
      [&] { return requests_per_second(server.port(), "/-/constant"); });
  server.stop();
  return {paired.ratio, fmt::format("{:.0f} / {:.0f} requests/s of {} (coroutines, one loop) / of the same page as a "
                                    "constant, {} connections of wrk on the same machine",
                                    paired.first, paired.second, path, kConnections)};
}

}  // namespace

std::vector<Claim> publisher_claims() {
  return {{"publisher", "requests/s for a warm WordNet object against the same server returning a constant",
           Claim::Comparison::at_least, 0.8, "x", measure_publisher}};
}

}  // namespace cow::bench
