/* A commit of two objects against transactions that begin: cow_cache/shared_cache.hpp (publish), committer.hpp (run),
 * transaction_registry.hpp (begin), reader.hpp (log_and_look, find).
 *
 * Every commit writes both objects, so the revision that a transaction must see of each is its snapshot. Readers come by a
 * hint, which may be any revision, or by the table and the chain behind it; a revision that was pruned is loaded.
 *
 * Abstracted: the life of states (reclamation.pml has it): pruned revisions are only out of the chain.
 *
 * Properties: a transaction sees exactly the commits up to its snapshot, of both objects.
 *
 * Variants that must fail: END_AFTER_FRONTIER, FRONTIER_PER_OBJECT, HINT_UNCHECKED.
 * Sizes: COMMITS, READERS.
 */
#ifndef COMMITS
#define COMMITS 3
#endif
#ifndef READERS
#define READERS 2
#endif
#define OBJECTS 2
#define INFINITY 255
#define REVISIONS 8                     /* a power of two above COMMITS */
#define at(o, revision) ((o) * REVISIONS + (revision))

byte end_of[OBJECTS * REVISIONS] = INFINITY;   /* `begin` of revision r is r */
bool exists[OBJECTS * REVISIONS];              /* its key is alive */
bool pruned[OBJECTS * REVISIONS];
byte newest[OBJECTS];                          /* the oid table */
byte frontier;

proctype committer() {
  byte tid, o;
  do
  :: tid == COMMITS -> break
  :: else ->
    tid++;
    for (o : 0 .. OBJECTS - 1) {
#ifndef END_AFTER_FRONTIER
      end_of[at(o, tid - 1)] = tid;
#endif
      exists[at(o, tid)] = true;
      newest[o] = tid;
#ifdef FRONTIER_PER_OBJECT
      frontier = tid;
#endif
      if                                       /* prune, or not: any revision but the two newest may go */
      :: tid >= 2 -> pruned[at(o, tid - 2)] = true
      :: true
      fi
    };
    frontier = tid;
#ifdef END_AFTER_FRONTIER
    for (o : 0 .. OBJECTS - 1) { end_of[at(o, tid - 1)] = tid }
#endif
  od
}

inline visible(o, revision) {
  (exists[at(o, revision)] && revision <= snapshot && snapshot < end_of[at(o, revision)])
}

proctype reader() {
  byte snapshot, o, seen, hint;
  snapshot = frontier;
  for (o : 0 .. OBJECTS - 1) {
    select(hint : 0 .. COMMITS);
    if
#ifdef HINT_UNCHECKED
    :: exists[at(o, hint)] -> seen = hint
#else
    :: exists[at(o, hint)] && hint <= snapshot && snapshot < end_of[at(o, hint)] -> seen = hint
#endif
    :: true ->
      seen = newest[o];
      do                                       /* find: down the chain */
      :: seen <= snapshot -> break
      :: seen > snapshot && seen > 0 && !pruned[at(o, seen - 1)] -> seen--
      :: seen > snapshot && (seen == 0 || pruned[at(o, seen - 1)]) -> seen = snapshot; break   /* load_old */
      od
    fi;
    assert(seen == snapshot)
  }
}

init {
  byte i;
  atomic {
    for (i : 0 .. OBJECTS - 1) { exists[at(i, 0)] = true };
    run committer();
    for (i : 1 .. READERS) { run reader() }
  }
}
