/* Groups of commits against transactions that begin and read: cow_cache/detail/commit/committer.hpp (run),
 * version_chains.hpp (find, publish, insert_old, prune, evict), transaction_registry.hpp (begin), reader.hpp (log_and_validate),
 * loader.hpp (load_old).
 *
 * A leader takes one transaction or more, each of which writes any of the objects, has the store write them all, publishes
 * one after the other, then moves the frontier once. Readers come by a hint, which may be any revision of the object, or
 * by the table and the chain behind it; what is missing they load from the store, by their snapshot, or as the current
 * revision, which may be one that is being published. Anything may be pruned or evicted at any time.
 *
 * Abstracted: the life of states (reclamation.pml) and tickets (load_ticket.pml): a current revision is loaded in one step.
 * A state is its revision, and the chain goes from each to the next lower one that is linked.
 *
 * Properties: of every object a transaction sees the newest revision committed up to its snapshot, and nothing else.
 *
 * Variants that must fail: see check_models. Sizes: COMMITS (transactions in all), GROUP (the largest), READERS.
 */
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef GROUP
#define GROUP 2
#endif
#ifndef READERS
#define READERS 1
#endif
#define OBJECTS 2
#define INFINITY 255
#define NONE 255
#define REVISIONS 8                            /* a power of two above COMMITS */
#define at(o, revision) ((o) * REVISIONS + (revision))
#define has(set, revision) ((set) & (1 << (revision)))

byte end_of[OBJECTS * REVISIONS] = INFINITY;   /* `begin` of revision r is r */
byte alive[OBJECTS] = 1;                       /* sets of revisions: in the cache, */
byte stored[OBJECTS] = 1;                      /* and in the store */
byte newest[OBJECTS];                          /* the oid table */
byte frontier;

/* The newest revision in a set up to a bound; NONE if there is none. */
inline find_in(set, bound, result) {
  result = bound;
  do
  :: result != NONE && !has(set, result) -> result--      /* 0 - 1 is NONE */
  :: else -> break
  od
}

inline publish(o) {                            /* under the stripe's lock */
  atomic {
#ifndef END_AFTER_FRONTIER
    if                                         /* a loader may have met our record in the store before us */
    :: newest[o] != NONE && newest[o] != tid -> end_of[at(o, newest[o])] = tid
    :: else
    fi;
#endif
    end_of[at(o, tid)] = INFINITY; alive[o] = alive[o] | (1 << tid); newest[o] = tid
  }
}

proctype committer() {
  byte tid, first, last, o;
#ifdef END_AFTER_FRONTIER
  byte before;
#endif
  do
  :: last == COMMITS -> break
  :: last < COMMITS ->
    atomic {                                   /* the group; all of it durable at once: Store::commit */
      first = last + 1;
      do
      :: last < COMMITS && last < first + GROUP - 1 -> last++;
        if
        :: stored[0] = stored[0] | (1 << last)
        :: stored[1] = stored[1] | (1 << last)
        :: stored[0] = stored[0] | (1 << last); stored[1] = stored[1] | (1 << last)
        fi
      :: last >= first -> break
      od
    };
    tid = first;
    do
    :: tid <= last ->
#ifdef FRONTIER_PER_TRANSACTION                /* as soon as it is durable, not when it is published */
      frontier = tid;
#endif
      if
      :: has(stored[0], tid) -> publish(0)
      :: !has(stored[0], tid)
      fi;
#ifdef FRONTIER_PER_OBJECT
      frontier = tid;
#endif
      if
      :: has(stored[1], tid) -> publish(1)
      :: !has(stored[1], tid)
      fi;
      tid++
    :: tid > last -> break
    od;
    frontier = last;
#ifdef END_AFTER_FRONTIER
    atomic {
      for (o : 0 .. OBJECTS - 1) {
        for (tid : first .. last) {
          if
          :: has(stored[o], tid) ->
            find_in(stored[o], tid - 1, before); end_of[at(o, before)] = tid
          :: else
          fi
        }
      }
    };
#endif
    atomic { tid = 0; first = 0; o = 0 }
  od
}

/* Pruning and eviction: an old state leaves the chain, or with the head all of them. */
inline drop(o) {
  if
  :: alive[o] = 0; newest[o] = NONE
  :: alive[o] = (1 << newest[o])
  :: revision = 0;
    do
    :: revision < COMMITS -> revision++
    :: break
    od;
    alive[o] = (revision != newest[o] -> alive[o] & ~(1 << revision) : alive[o])
  fi;
  revision = 0
}

proctype evictor() {
  byte revision;
end:
  do
  :: atomic { newest[0] != NONE -> drop(0) }
  :: atomic { newest[1] != NONE -> drop(1) }
  od
}

#define visible(o, revision) (revision <= snapshot && snapshot < end_of[at(o, revision)])

inline read(o) {
  if
  :: atomic {                                  /* Ref::hint */
      select(hint : 0 .. COMMITS);
      if
#ifdef HINT_UNCHECKED
      :: has(alive[o], hint) -> seen = hint
#else
      :: has(alive[o], hint) && visible(o, hint) -> seen = hint
#endif
      :: !has(alive[o], hint) || !visible(o, hint) -> seen = NONE
      fi;
      hint = 0 }
  :: seen = NONE
  fi;
  do
  :: seen != NONE -> break
  :: seen == NONE ->
    if
    :: atomic { newest[o] == NONE ->           /* load_current */
        find_in(stored[o], COMMITS, at_hand); newest[o] = at_hand; alive[o] = (1 << at_hand);
        end_of[at(o, at_hand)] = INFINITY }
    :: at_hand = newest[o]
    fi;
    do                                         /* find: down the chain */
    :: at_hand == NONE -> break                /* evicted meanwhile: ask the table again */
    :: at_hand != NONE && at_hand > snapshot ->
      atomic {
        if
        :: at_hand > 0 -> find_in(alive[o], at_hand - 1, at_hand)
        :: at_hand == 0 -> at_hand = NONE
        fi;
        if
        :: at_hand == NONE -> find_in(stored[o], snapshot, seen)     /* load_old */
        :: else
        fi }
    :: at_hand != NONE && at_hand <= snapshot ->
      atomic {
        if
        :: !has(alive[o], at_hand)             /* dead: ask the table again */
#ifdef CHAIN_IGNORES_END
        :: has(alive[o], at_hand) -> seen = at_hand
#else
        :: has(alive[o], at_hand) && snapshot < end_of[at(o, at_hand)] -> seen = at_hand
        :: has(alive[o], at_hand) && snapshot >= end_of[at(o, at_hand)] ->
          find_in(stored[o], snapshot, seen)   /* a gap: load_old */
#endif
        fi;
        at_hand = NONE }
    od
  od;
  atomic { find_in(stored[o], snapshot, hint); assert(seen == hint); hint = 0; seen = 0; at_hand = 0 }
}

proctype reader() {
  byte snapshot, seen, hint, at_hand;
  snapshot = frontier;
  read(0);
  read(1)
}

init {
  byte i;
  atomic {
    run committer();
    run evictor();
    for (i : 1 .. READERS) { run reader() }
  }
}
