// `cow verify`: whether all is there and can be read.
#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "persistence/verify_stored.hpp"
#include "session.hpp"
#include "terminal.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

/// What the check of the library finds, with the ways in the objects to what is wrong.
class Check {
 public:
  explicit Check(Session& session) : session_(session), reader_(session.open()) {}

  void run() {
    VerifyOptions options;
    options.most_faults = std::numeric_limits<std::size_t>::max();
    options.progress = [this](const VerifyProgress& now) {
      follow(now);
      return true;
    };
    VerifyReport report = verify_stored(reader_, options);
    progress_.reset();
    for (const UnreadablePart& part : session_.unreadable) add_fault({}, {}, part.part + ": " + part.why);
    for (const VerifyFault& fault : report.faults) add_fault(fault.oid, fault.tid, text_of(fault));
    write(report);
  }

 private:
  struct Fault {
    Oid oid;
    Tid tid;
    std::string what;
  };

  void add_fault(Oid oid, Tid tid, std::string what) { faults_.push_back({oid, tid, std::move(what)}); }

  void follow(const VerifyProgress& now) {
    if (!progress_ || step_ != now.step) {
      constexpr std::array<const char*, 5> kNames{"the chain", "transactions", "objects", "records", "what is reached"};
      progress_.reset();
      progress_.emplace(session_.progress, kNames[static_cast<std::size_t>(now.step)], now.total);
      step_ = now.step;
      done_ = 0;
    }
    progress_->step(now.done - std::exchange(done_, now.done));
  }

  /// Of a reference, the way to it; it is one of several if an object refers to the same one more than once.
  std::string text_of(const VerifyFault& fault) {
    if (fault.kind != VerifyFault::Kind::dangling) return fault.what;
    const std::size_t number = told_[{fault.oid, fault.tid, fault.target}]++;
    std::vector<std::string> ways;
    reader_.revisions(fault.oid, fault.oid, [&](const StoredRevision& revision) {
      if (revision.tid != fault.tid) return true;
      Value(revision.record, revision.oid, revision.tid).references([&](const std::string& way, Oid target) {
        if (target == fault.target) ways.push_back(way);
      });
      return false;
    });
    if (number >= ways.size() || ways[number].empty() || !fault.what.starts_with("it ")) return fault.what;
    return ways[number] + fault.what.substr(2);
  }

  void write(const VerifyReport& report) {
    if (!faults_.empty()) session_.damaged = true;
    if (session_.json) {
      Json faults = Json::array(), opaque = Json::array();
      for (const Fault& fault : faults_) {
        faults.push_back({{"oid", fault.oid ? Json(fault.oid.value) : Json()},
                          {"tid", fault.tid != Tid{} ? Json(fault.tid.value) : Json()},
                          {"what", fault.what}});
      }
      for (const auto& [type, revisions] : report.opaque) opaque.push_back({{"type", type}, {"revisions", revisions}});
      const Json json{{"transactions", report.transactions}, {"objects", report.objects},
                      {"revisions", report.revisions},       {"references", report.references},
                      {"opaque", std::move(opaque)},         {"of_garbage", report.of_garbage},
                      {"faults", std::move(faults)}};
      fmt::print("{}\n", tool::text_of(json, 1));
      return;
    }
    for (const Fault& fault : faults_) {
      std::string where;
      if (fault.oid) where += fmt::format("oid {} ", fault.oid.value);
      if (fault.tid != Tid{}) where += fmt::format("tid {} ", fault.tid.value);
      if (!where.empty()) where.back() = ':';
      fmt::print("fault: {}{}{}\n", where, where.empty() ? "" : " ", printable(fault.what));
    }
    for (const auto& [type, revisions] : report.opaque) {
      fmt::print("not seen: what {} revisions of {} refer to, whose values are no MessagePack\n", revisions,
                 printable(type));
    }
    if (report.of_garbage > 0) {
      fmt::print("no fault: {} references of garbage lead nowhere; a pack has begun to collect it\n",
                 report.of_garbage);
    }
    fmt::print("transactions  {}\nobjects       {}\nrevisions     {}\nreferences    {}\nfaults        {}\n",
               report.transactions, report.objects, report.revisions, report.references,
               faults_.empty() ? "none" : std::to_string(faults_.size()));
  }

  Session& session_;
  const StoreView& reader_;
  std::optional<Progress> progress_;
  VerifyProgress::Step step_ = VerifyProgress::Step::chain;
  std::uint64_t done_ = 0;
  std::map<std::tuple<Oid, Tid, Oid>, std::size_t> told_;
  std::vector<Fault> faults_;
};

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "verify",
                                          "Whether all is there and can be read: the chain of transactions, all "
                                          "checksums, that each record is one and each reference in it leads to an "
                                          "object; if no program has the store open, also that nothing is lost that "
                                          "its witness knows of.");
  command.callback([&session] { session.run = [&session] { Check(session).run(); }; });
}

}  // namespace cow::tool
