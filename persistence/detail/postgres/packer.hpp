// Packs: raises the oldest tid as far as leases allow, then goes over all revisions in pages and deletes what nobody sees any more.
//
// Thread safety: one pack of a process at a time; loads, commits, and packs of other processes go on meanwhile.
//
// Invariants:
//  1. The oldest tid rises before anything is deleted, in `settings` for loads and in `tidgen` for commits: a statement that does not see
//     what was deleted sees why.
//  2. What is deleted of an object that stays has a successor up to the oldest tid, which never changes. What goes altogether is looked at
//     again with the tid row locked ([tid-row-first]).
#pragma once

#include <cstdint>
#include <vector>

#include "cow_cache/store/pack.hpp"
#include "pool.hpp"
#include "statements.hpp"

namespace cow::detail::postgres {

class Packer {
 public:
  Packer(Pool& pool, const Statements& statements, const PackRequest& request)
      : pool_(pool), statements_(statements), request_(request) {}

  PackResult run();

 private:
  struct Row {
    Oid oid;
    Tid tid;
    bool erased;
  };

  Tid raise_oldest();
  void end_object();
  void delete_marked();
  void drop_transactions();

  Pool& pool_;
  const Statements& statements_;
  const PackRequest& request_;
  PackResult result_;
  std::vector<Row> object_;                // revisions of the object that is being read, up to the oldest tid
  bool has_later_ = false;                 // and it has later ones
  std::vector<std::int64_t> oids_, tids_;  // superseded revisions to delete
  std::vector<std::int64_t> whole_oids_, whole_tids_;  // the last revisions of objects that go altogether
};

}  // namespace cow::detail::postgres
