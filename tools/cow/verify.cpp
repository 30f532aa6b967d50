// `cow verify`: whether all is there and can be read.
#include <fmt/core.h>

#include <array>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "session.hpp"
#include "terminal.hpp"
#include "values.hpp"

namespace cow::tool {
namespace {

/// A set of oids: a bit for each, in pages, because oids are dense small numbers.
class OidBits {
 public:
  void insert(Oid oid) { pages_[oid.value / kPage][oid.value % kPage / 64] |= std::uint64_t{1} << (oid.value % 64); }
  bool contains(Oid oid) const {
    const auto page = pages_.find(oid.value / kPage);
    return page != pages_.end() && (page->second[oid.value % kPage / 64] >> (oid.value % 64) & 1) != 0;
  }

 private:
  static constexpr std::uint64_t kPage = 65536;
  std::unordered_map<std::uint64_t, std::array<std::uint64_t, kPage / 64>> pages_;
};

constexpr Oid kLastOid{std::numeric_limits<std::uint64_t>::max()};

class Check {
 public:
  explicit Check(Session& session) : session_(session), reader_(session.open()) {
    for (const UnreadablePart& part : session.unreadable) add_fault({}, {}, part.part + ": " + part.why);
  }

  void run() {
    check_chain();
    check_transactions();
    find_objects();
    check_revisions();
    report();
  }

 private:
  struct Fault {
    Oid oid;
    Tid tid;
    std::string what;
  };

  void add_fault(Oid oid, Tid tid, std::string what) { faults_.push_back({oid, tid, std::move(what)}); }

  void check_chain() {
    if (!reader_.summary().whole) return;  // what cannot be read was said
    const StoreSummary summary = reader_.summary();
    Progress progress = session_.follow("the chain", summary.estimated_transactions + 2 * summary.estimated_revisions);
    try {
      std::uint64_t before = 0;
      reader_.verify_chain([&](std::uint64_t reads) { progress.step(reads - std::exchange(before, reads)); });
    } catch (const StoreCorruptError& error) {
      add_fault({}, {}, error.what());
    } catch (const StoreError& error) {
      add_fault({}, {}, error.what());
    }
  }

  void check_transactions() {
    Progress progress = session_.follow("transactions", reader_.summary().estimated_transactions);
    reader_.transactions(reader_.last_tid(), Tid{1}, [&](const StoredTransaction& transaction) {
      progress.step();
      ++transactions_;
      if (transaction.predecessor >= transaction.tid) {
        add_fault({}, transaction.tid,
                  fmt::format("tids do not ascend: its predecessor is tid {}", transaction.predecessor.value));
      }
      return true;
    });
  }

  void find_objects() {
    Progress progress = session_.follow("objects", reader_.summary().estimated_revisions);
    reader_.revisions(Oid{0}, kLastOid, [&](const StoredRevision& revision) {
      progress.step();
      if (!revision.erased) ever_.insert(revision.oid);
      if (revision.end == kInfinity && !revision.erased) {
        now_.insert(revision.oid);
        ++objects_;
      }
      return true;
    });
  }

  void check_revisions() {
    Progress progress = session_.follow("records", reader_.summary().estimated_revisions);
    reader_.revisions(Oid{0}, kLastOid, [&](const StoredRevision& revision) {
      progress.step();
      ++revisions_;
      try {
        if (!revision.sound) {
          add_fault(revision.oid, revision.tid, "its bytes are not those that were committed");
        } else if (!revision.erased) {
          check_value(revision);
        }
      } catch (const CorruptRecordError& error) {
        add_fault(revision.oid, revision.tid, error.what());
      }
      return true;
    });
  }

  // An old revision may refer to what was erased since; the newest one may not.
  void check_value(const StoredRevision& revision) {
    const bool newest = revision.end == kInfinity;
    const Value value(revision.record, revision.oid, revision.tid);
    value.references([&](const std::string& path, Oid oid) {
      ++references_;
      if ((newest ? now_ : ever_).contains(oid)) return;
      add_fault(revision.oid, revision.tid,
                fmt::format("{} refers to oid {}, which {}", path.empty() ? "it" : path, oid.value,
                            ever_.contains(oid) ? "was erased" : "is not there"));
    });
  }

  void report() {
    // What the scans have come upon.
    for (std::size_t i = reported_at_open_; i < session_.unreadable.size(); ++i) {
      add_fault({}, {}, session_.unreadable[i].part + ": " + session_.unreadable[i].why);
    }
    if (!faults_.empty()) session_.damaged = true;
    if (session_.json) {
      Json faults = Json::array();
      for (const Fault& fault : faults_) {
        faults.push_back({{"oid", fault.oid ? Json(fault.oid.value) : Json()},
                          {"tid", fault.tid != Tid{} ? Json(fault.tid.value) : Json()},
                          {"what", fault.what}});
      }
      const Json json{{"transactions", transactions_},
                      {"objects", objects_},
                      {"revisions", revisions_},
                      {"references", references_},
                      {"faults", std::move(faults)}};
      fmt::print("{}\n", text_of(json, 1));
      return;
    }
    for (const Fault& fault : faults_) {
      std::string where;
      if (fault.oid) where += fmt::format("oid {} ", fault.oid.value);
      if (fault.tid != Tid{}) where += fmt::format("tid {} ", fault.tid.value);
      if (!where.empty()) where.back() = ':';
      fmt::print("fault: {}{}{}\n", where, where.empty() ? "" : " ", printable(fault.what));
    }
    fmt::print("transactions  {}\nobjects       {}\nrevisions     {}\nreferences    {}\nfaults        {}\n",
               transactions_, objects_, revisions_, references_,
               faults_.empty() ? "none" : std::to_string(faults_.size()));
  }

  Session& session_;
  const StoreReader reader_;
  const std::size_t reported_at_open_ = session_.unreadable.size();
  OidBits ever_, now_;
  std::uint64_t transactions_ = 0, objects_ = 0, revisions_ = 0, references_ = 0;
  std::vector<Fault> faults_;
};

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  CLI::App& command = session.add_command(app, "verify",
                                          "Whether all is there and can be read: the chain of transactions, all "
                                          "checksums, that each record is MessagePack, that "
                                          "each reference leads to an object; if no program has the store open, also "
                                          "that nothing is lost that its witness knows of.");
  command.callback([&session] { session.run = [&session] { Check(session).run(); }; });
}

}  // namespace cow::tool
