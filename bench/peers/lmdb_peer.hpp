// LMDB, the copy-on-write B+tree in a memory map (Chu, LDAPCon 2011: MDB: A Memory-Mapped Database and Backend for OpenLDAP). A
// transaction is a reader's slot that is renewed and reset, as its documentation advises for speed; a record is read in the map
// itself, without a copy. Keys are integers in native order (MDB_INTEGERKEY), which LMDB compares faster than bytes.
//
// Thread safety: any number of readers, of one thread each at a time; writes beside them.
#pragma once

#include <lmdb.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "chain.hpp"
#include "peer_error.hpp"

namespace cow::bench::peers {

class LmdbPeer {
 public:
  static constexpr bool kHasSnapshots = true;

  /// REQUIRES: `folder` is an empty directory.
  LmdbPeer(const Chain& chain, const std::filesystem::path& folder) {
    MDB_env* created = nullptr;
    check("mdb_env_create", ::mdb_env_create(&created));
    environment_.reset(created);
    // Addresses only: the file grows with what is in it.
    check("mdb_env_set_mapsize", ::mdb_env_set_mapsize(created, (std::size_t{64} << 20) + chain.objects() * 1024));
    // MDB_NOTLS: a transaction belongs to its reader and not to a thread. MDB_NOSYNC: nobody asks for durability here.
    check("mdb_env_open", ::mdb_env_open(created, folder.c_str(), MDB_NOTLS | MDB_NOSYNC, 0644));
    constexpr std::size_t kBatch = 100'000;
    for (std::size_t from = 0; from < chain.objects(); from += kBatch) {
      write([&](MDB_txn* txn) {
        for (std::size_t i = from; i < std::min(chain.objects(), from + kBatch); ++i) {
          put(txn, Chain::key(i), chain.record(i), MDB_APPEND);
        }
      });
    }
  }

  void set_number(std::size_t object, std::uint64_t number) {
    write([&](MDB_txn* txn) {
      Key key = Chain::key(object);
      auto record = load<Record>(get(txn, table_, key));
      record.number = number;
      put(txn, key, record, 0);
    });
  }

  class Reader {
   public:
    template <class Body>
    void transaction(Body&& body) {
      check("mdb_txn_renew", ::mdb_txn_renew(txn_.get()));
      struct Reset {
        MDB_txn* txn;
        ~Reset() { ::mdb_txn_reset(txn); }
      } reset{txn_.get()};
      Key at = at_;
      body([&]() -> Seen { return visit(get(txn_.get(), table_, at), at); });
      at_ = at;
    }

   private:
    friend LmdbPeer;
    Reader(MDB_env* environment, MDB_dbi table, Key at) : table_(table), at_(at) {
      MDB_txn* begun = nullptr;
      check("mdb_txn_begin", ::mdb_txn_begin(environment, nullptr, MDB_RDONLY, &begun));
      txn_.reset(begun);
      ::mdb_txn_reset(begun);
    }

    struct Abort {
      void operator()(MDB_txn* txn) const { ::mdb_txn_abort(txn); }
    };
    std::unique_ptr<MDB_txn, Abort> txn_;
    MDB_dbi table_;
    Key at_;
  };

  /// REQUIRES: readers end before their peer.
  Reader open_reader(std::size_t object) { return {environment_.get(), table_, Chain::key(object)}; }

 private:
  static void check(std::string_view call, int code) {
    if (code != MDB_SUCCESS) throw PeerError("lmdb", call, ::mdb_strerror(code));
  }

  static const void* get(MDB_txn* txn, MDB_dbi table, Key key) {
    MDB_val name{sizeof key, &key}, value{};
    check("mdb_get", ::mdb_get(txn, table, &name, &value));
    return value.mv_data;
  }

  void put(MDB_txn* txn, Key key, Record record, unsigned flags) {
    MDB_val name{sizeof key, &key}, value{sizeof record, &record};
    check("mdb_put", ::mdb_put(txn, table_, &name, &value, flags));
  }

  template <class Body>
  void write(Body&& body) {
    MDB_txn* txn = nullptr;
    check("mdb_txn_begin", ::mdb_txn_begin(environment_.get(), nullptr, 0, &txn));
    try {
      check("mdb_dbi_open", ::mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY | MDB_CREATE, &table_));
      body(txn);
    } catch (...) {
      ::mdb_txn_abort(txn);
      throw;
    }
    check("mdb_txn_commit", ::mdb_txn_commit(txn));  // which frees it, whatever it returns
  }

  struct Close {
    void operator()(MDB_env* environment) const { ::mdb_env_close(environment); }
  };
  std::unique_ptr<MDB_env, Close> environment_;
  MDB_dbi table_ = 0;
};

}  // namespace cow::bench::peers
