// YCSB, workloads A to F (Cooper et al.: "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010): requests of one
// record each, or scans of some. Every request is a transaction.
//
//  - A record is one object of ten fields; an update writes one of them through `Transaction::write`, which clones
//    the whole record: that is what an update costs in an object database.
//  - Reads look at all ten fields (YCSB's readallfields).
//  - Keys are hashed, so inserts go all over the index and scans run through records in no order of age.
//
// Thread safety: a Worker belongs to one thread and may serve many sessions; the requests' source and the counter are
// shared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/baselines/session.hpp"
#include "bench/workloads/until_committed.hpp"
#include "model.hpp"

namespace cow::bench::ycsb {

/// What a worker has done.
struct WorkDone {
  std::array<std::uint64_t, kOperations> operations{};  ///< committed, by Operation
  std::uint64_t scanned = 0;                            ///< records
  std::uint64_t attempts = 0;                           ///< executions of transactions, conflicts included
  std::uint64_t checksum = 0;                           ///< of what was read

  std::uint64_t of(Operation operation) const { return operations[static_cast<std::size_t>(operation)]; }
  /// Of fields.
  std::uint64_t changes() const { return of(Operation::update) + of(Operation::read_modify_write); }

  WorkDone& operator+=(const WorkDone& other) {
    for (std::size_t i = 0; i < kOperations; ++i) operations[i] += other.operations[i];
    scanned += other.scanned;
    attempts += other.attempts;
    checksum += other.checksum;
    return *this;
  }
};

template <ObjectDatabase Database>
class Worker {
 public:
  using Session = bench::Session<Database>;
  using Transaction = typename Database::Transaction;

  /// `number` tells the workers of a run apart. `counter` starts at the number of records that are loaded.
  Worker(const RequestSource& source, AcknowledgedCounter& counter, std::uint64_t seed, std::uint64_t number)
      : latest_(source.mix().latest), counter_(&counter) {
    Random random(seed * 0x10001 + number);
    requests_ = source.draw(kRequests, random);
  }

  /// One request in `session`. Throws WrongAnswerError if a record that must be there is not.
  void step(Session& session) {
    const Request& request = requests_[next_++ % kRequests];
    // Before the transaction begins: what is acknowledged now is in its snapshot, what is later need not be.
    const std::uint64_t number = latest_ ? counter_->acknowledged() - 1 - request.record : request.record;
    switch (request.operation) {
      case Operation::read:
        run(session, [&](Transaction& txn) { done_.checksum += look_at(txn.read(find(txn, number))); });
        break;
      case Operation::update:
        run(session, [&](Transaction& txn) { change(txn.write(find(txn, number)), request); });
        break;
      case Operation::read_modify_write:
        run(session, [&](Transaction& txn) {
          const auto& reference = find(txn, number);
          done_.checksum += look_at(txn.read(reference));
          change(txn.write(reference), request);
        });
        break;
      case Operation::insert:
        insert(session);
        break;
      case Operation::scan:
        run(session, [&](Transaction& txn) { scan(txn, number, request.length); });
        break;
    }
    ++done_.operations[static_cast<std::size_t>(request.operation)];
  }

  const WorkDone& done() const { return done_; }

 private:
  static constexpr std::size_t kRequests = std::size_t{1} << 16;

  template <class Body>
  void run(Session& session, Body body) {
    until_committed(session, done_.attempts, body);
  }

  static auto root_of(Transaction& txn) {
    return txn.root().template get<typename Table<Database>::TreeNode>(kTableName);
  }

  static const auto& find(Transaction& txn, std::uint64_t number) {
    const auto root = root_of(txn);
    const auto* found = Table<Database>(txn, root).find(key_of(number));
    if (found == nullptr) throw WrongAnswerError("YCSB: no record " + std::to_string(number));
    return *found;
  }

  static std::uint64_t look_at(const Record& record) {
    std::uint64_t sum = record.number;
    for (const Field& field : record.fields) sum += static_cast<unsigned char>(field[0]);
    return sum;
  }

  static void change(Record& record, const Request& request) {
    record.fields[request.field] = field_of(request.value_seed);
    ++record.changes;
  }

  void insert(Session& session) {
    const std::uint64_t number = counter_->next();
    run(session, [&](Transaction& txn) {
      const auto root = root_of(txn);
      if (!Table<Database>(txn, root).insert(key_of(number), txn.create(record_of(number)))) {
        throw WrongAnswerError("YCSB: record " + std::to_string(number) + " is there before its insert");
      }
    });
    counter_->acknowledge(number);
  }

  void scan(Transaction& txn, std::uint64_t number, std::uint32_t length) {
    const auto root = root_of(txn);
    std::uint32_t seen = 0;
    Table<Database>(txn, root).scan(key_of(number), [&](std::uint64_t, const auto& reference) {
      done_.checksum += look_at(txn.read(reference));
      return ++seen < length;
    });
    done_.scanned += seen;
    if (seen == 0) throw WrongAnswerError("YCSB: a scan from a record found not even that");
  }

  const bool latest_;
  AcknowledgedCounter* counter_;
  std::vector<Request> requests_;
  std::size_t next_ = 0;
  WorkDone done_;
};

/// Throws WrongAnswerError unless the table has what was loaded and inserted, and every change of a field that was
/// committed. `before`: the table when the workers began. REQUIRES: nobody else writes.
template <ObjectDatabase Database>
void check_table(Session<Database>& session, const TableTotals& before, const WorkDone& done) {
  const TableTotals now = read_table<Database>(session);
  check_count("YCSB records", before.records + done.of(Operation::insert), now.records);
  check_count("changes of YCSB records", before.changes + done.changes(), now.changes);
}

}  // namespace cow::bench::ycsb
