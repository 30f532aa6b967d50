// WiredTiger, all of it in its cache. A transaction has snapshot isolation; the session's cursor is used again, and a record is
// read where it lies in a page. Keys are record numbers (a column store), which take two thirds of the time that integers take as keys
// of rows. The table is loaded in bulk, then opened afresh, so that its pages are whole images and not
// lists of changes. (https://source.wiredtiger.com: Transactional isolation, Cursors, Bulk-load)
//
// Thread safety: any number of readers, of one thread each at a time; writes beside them.
#pragma once

#include <wiredtiger.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

#include "chain.hpp"
#include "peer_error.hpp"

namespace cow::bench::peers {

class WiredTigerPeer {
 public:
  static constexpr bool kHasSnapshots = true;

  /// REQUIRES: `folder` is an empty directory.
  WiredTigerPeer(const Chain& chain, const std::filesystem::path& folder) {
    open(folder);
    {
      Session session(connection_.get(), nullptr);
      check("create", session->create(session.get(), kTable, "key_format=r,value_format=u"));
      WT_CURSOR* cursor = session.open_cursor("bulk");
      for (std::size_t i = 0; i < chain.objects(); ++i) {
        const Record record = chain.record(i);
        const WT_ITEM item = item_of(record);
        cursor->set_key(cursor, Chain::key(i));
        cursor->set_value(cursor, &item);
        check("insert", cursor->insert(cursor));
      }
      check("close", cursor->close(cursor));
    }
    open(folder);
  }

  void set_number(std::size_t object, std::uint64_t number) {
    Session session(connection_.get(), nullptr);
    WT_CURSOR* cursor = session.open_cursor(nullptr);
    auto record = load<Record>(get(cursor, Chain::key(object)));
    record.number = number;
    const WT_ITEM item = item_of(record);
    cursor->set_value(cursor, &item);
    check("update", cursor->update(cursor));
  }

 private:
  class Session {
   public:
    Session(WT_CONNECTION* connection, const char* options) {
      WT_SESSION* opened = nullptr;
      check("open_session", connection->open_session(connection, nullptr, options, &opened));
      session_.reset(opened);
    }

    WT_SESSION* get() const { return session_.get(); }
    WT_SESSION* operator->() const { return session_.get(); }

    /// Closed with the session.
    WT_CURSOR* open_cursor(const char* options) {
      WT_CURSOR* cursor = nullptr;
      check("open_cursor", session_->open_cursor(session_.get(), kTable, nullptr, options, &cursor));
      return cursor;
    }

   private:
    struct Close {
      void operator()(WT_SESSION* session) const { session->close(session, nullptr); }
    };
    std::unique_ptr<WT_SESSION, Close> session_;
  };

 public:
  class Reader {
   public:
    template <class Body>
    void transaction(Body&& body) {
      WT_SESSION* session = session_.get();
      check("begin_transaction", session->begin_transaction(session, nullptr));
      try {
        Key at = at_;
        body([&]() -> Seen { return visit(get(cursor_, at), at); });
        at_ = at;
      } catch (...) {
        session->rollback_transaction(session, nullptr);
        throw;
      }
      check("commit_transaction", session->commit_transaction(session, nullptr));
    }

   private:
    friend WiredTigerPeer;
    // What all transactions of a session have in common is said once, instead of being parsed at each begin.
    Reader(WT_CONNECTION* connection, Key at) : session_(connection, "isolation=snapshot"), at_(at) {}

    Session session_;
    WT_CURSOR* cursor_ = session_.open_cursor(nullptr);
    Key at_;
  };

  /// REQUIRES: readers end before their peer.
  Reader open_reader(std::size_t object) { return {connection_.get(), Chain::key(object)}; }

 private:
  static constexpr const char* kTable = "table:nodes";

  static void check(std::string_view call, int code) {
    if (code != 0) throw PeerError("wiredtiger", call, ::wiredtiger_strerror(code));
  }

  void open(const std::filesystem::path& folder) {
    connection_.reset();
    WT_CONNECTION* opened = nullptr;
    check("wiredtiger_open", ::wiredtiger_open(folder.c_str(), nullptr, "create,cache_size=4GB", &opened));
    connection_.reset(opened);
  }

  static const void* get(WT_CURSOR* cursor, Key key) {
    WT_ITEM item{};
    cursor->set_key(cursor, key);
    check("search", cursor->search(cursor));
    check("get_value", cursor->get_value(cursor, &item));
    return item.data;
  }

  static WT_ITEM item_of(const Record& record) {
    WT_ITEM item{};
    item.data = &record;
    item.size = sizeof record;
    return item;
  }

  struct Close {
    void operator()(WT_CONNECTION* connection) const { connection->close(connection, nullptr); }
  };
  std::unique_ptr<WT_CONNECTION, Close> connection_;
};

}  // namespace cow::bench::peers
