// What the store makes of the errors that RocksDB reports: which close it for writing, and which pass.
#include <gtest/gtest.h>

#include "persistence/detail/watch.hpp"

namespace cow::detail {
namespace {

using Reason = rocksdb::BackgroundErrorReason;
using rocksdb::Status;

// Reports `error` at `severity`. Returns what RocksDB is told in turn.
Status report(Watch& watch, Reason reason, const Status& error, Status::Severity severity) {
  Status status(error, severity);
  watch.OnBackgroundError(reason, &status);
  return status;
}

void stop_writes(Watch& watch, const char* family, bool stop) {
  rocksdb::WriteStallInfo info;
  info.cf_name = family;
  info.condition.prev = stop ? rocksdb::WriteStallCondition::kDelayed : rocksdb::WriteStallCondition::kStopped;
  info.condition.cur = stop ? rocksdb::WriteStallCondition::kStopped : rocksdb::WriteStallCondition::kNormal;
  watch.OnStallConditionsChanged(info);
}

void flush(Watch& watch, const char* family, bool fills_level0) {
  rocksdb::FlushJobInfo info;
  info.cf_name = family;
  info.triggered_writes_stop = fills_level0;
  watch.OnFlushCompleted(nullptr, info);
}

const Status kFull = Status::NoSpace("while appending", "No space left on device");
const Status kQuota = Status::IOError("while appending", "Disk quota exceeded");
const Status kBroken = Status::IOError("while appending", "Input/output error");

TEST(Watch, AFlushWithoutRoomHaltsTheStoreUntilItIsResumed) {
  for (const Status& cause : {kFull, kQuota}) {
    for (const Reason reason : {Reason::kFlush, Reason::kFlushNoWAL, Reason::kManifestWrite}) {
      Watch watch;
      const auto severity = cause.IsNoSpace() ? Status::kHardError : Status::kFatalError;
      EXPECT_EQ(report(watch, reason, cause, severity).severity(), Status::kHardError) << "from which is resumed";
      EXPECT_FALSE(watch.failed());
      EXPECT_EQ(watch.halts(), 1u);
      EXPECT_NE(watch.cause(), "");
      // It is halted again while it is resumed: it stays halted.
      report(watch, reason, cause, severity);
      watch.resumed(1);
      EXPECT_EQ(watch.halts(), 2u);
      watch.resumed(2);
      EXPECT_EQ(watch.halts(), 0u);
      EXPECT_EQ(watch.cause(), "");
    }
  }
}

TEST(Watch, ACompactionWithoutRoomIsTriedAgainUnlessWritesWaitForIt) {
  Watch watch;
  EXPECT_TRUE(report(watch, Reason::kCompaction, kFull, Status::kSoftError).ok()) << "RocksDB is to forget it";
  EXPECT_TRUE(report(watch, Reason::kCompaction, kQuota, Status::kFatalError).ok());
  EXPECT_EQ(watch.halts(), 0u);
  stop_writes(watch, "revisions", true);
  flush(watch, "revisions", false);
  EXPECT_TRUE(report(watch, Reason::kCompaction, kFull, Status::kSoftError).ok()) << "they wait for a flush";
  EXPECT_EQ(watch.halts(), 0u);
  flush(watch, "revisions", true);
  EXPECT_EQ(report(watch, Reason::kCompaction, kFull, Status::kSoftError).severity(), Status::kHardError);
  EXPECT_EQ(watch.halts(), 1u);
  EXPECT_FALSE(watch.failed());
  stop_writes(watch, "transactions", false);
  EXPECT_FALSE(report(watch, Reason::kCompaction, kFull, Status::kSoftError).ok()) << "that is another family";
  stop_writes(watch, "revisions", false);
  EXPECT_TRUE(report(watch, Reason::kCompaction, kFull, Status::kSoftError).ok());
  stop_writes(watch, "revisions", true);
  EXPECT_TRUE(report(watch, Reason::kCompaction, kFull, Status::kSoftError).ok()) << "level 0 was full earlier";
}

TEST(Watch, EverythingElseClosesTheStoreForWriting) {
  for (const Reason reason : {Reason::kFlush, Reason::kCompaction, Reason::kManifestWrite}) {
    Watch watch;
    EXPECT_EQ(report(watch, reason, kBroken, Status::kFatalError).severity(), Status::kFatalError);
    EXPECT_TRUE(watch.failed());
  }
  for (const Reason reason : {Reason::kWriteCallback, Reason::kMemTable}) {
    for (const Status& cause : {kFull, kQuota, kBroken}) {
      Watch watch;
      report(watch, reason, cause, Status::kHardError);
      EXPECT_TRUE(watch.failed()) << "a write to the log";
      const std::string first = watch.cause();
      watch.fail(Status::IOError("another"));
      EXPECT_EQ(watch.cause(), first);
    }
  }
}

TEST(Watch, KnowsWhichErrorsThisThreadHasMet) {
  Watch watch;
  const std::uint64_t before = Watch::errors_of_this_thread();
  report(watch, Reason::kFlush, kFull, Status::kHardError);
  EXPECT_EQ(Watch::errors_of_this_thread(), before + 1);
}

}  // namespace
}  // namespace cow::detail
