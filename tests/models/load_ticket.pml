/* One thread loads, the others wait, and a commit, an eviction, an invalidation or a commit of another process comes between:
 * cow_cache/detail/cache/load_ticket.hpp, loader.hpp (load_current), version_chains.hpp (publish, evict, supersede_newest).
 *
 * The objects share a stripe, so they share the list of tickets and its lock. Loaders come for any object, any number of
 * times, and evictions and invalidations happen at any time; only commits are counted. An invalidation says that
 * somebody else has changed an object in the store; it comes some time after the change. A remote commit does that as well, and is
 * heard of some time later: what is resident stays then, with an end, and the newest revision is linked before it by the next loader. One may
 * come between a commit of this process and its publication; so a loader may have met it already by then.
 *
 * Abstracted: a state is its revision number; what happens under the stripe's lock is one atomic step. A finished ticket
 * is known by its number, which is used again when nobody remembers it. A codec that reads takes no further ticket here; that
 * it holds one while it reads is what could block.
 *
 * Properties:
 *  1. What a loader installs is never older than what was published or invalidated.
 *  2. A loader installs only what belongs to the object. At most one ticket an object stands.
 *     What is resident and has no end is not older than what was published, invalidated or heard of.
 *  3. Nobody waits for a ticket whose loader is gone and has not finished it. No deadlock.
 *
 * Variants that must fail: see check_models. Sizes: LOADERS, COMMITS, OBJECTS. NO_PEERS: no other process commits.
 */
#ifndef LOADERS
#define LOADERS 3
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef OBJECTS
#define OBJECTS 2
#endif
#define ABSENT 255
#define NOBODY 255

byte stored[OBJECTS], valid[OBJECTS];  /* revisions: in the store; the oldest that may be installed */
byte resident[OBJECTS] = ABSENT;       /* the head of the chain */
bool superseded[OBJECTS];              /* it has an end: its newest revision is not here */
byte ticket[OBJECTS] = NOBODY;         /* the list: the loader whose ticket stands for the object */
bool finished[LOADERS];                /* a loader has one ticket at a time */
byte waiting_for[LOADERS] = NOBODY;    /* who waits holds a pointer to the ticket */

#define HAS_CURRENT(o) (resident[o] != ABSENT && !superseded[o])

inline check_heads() {
  for (i : 0 .. OBJECTS - 1) { assert(!HAS_CURRENT(i) || resident[i] >= valid[i]) };
  i = 0
}

inline withdraw(o) {
#ifdef WITHDRAWS_ANY_TICKET            /* the first of the stripe, whosever */
  victim = (ticket[0] != NOBODY -> 0 : o); ticket[victim] = NOBODY; victim = 0
#else
  ticket[o] = NOBODY
#endif
}

/* A ticket's number is free for its loader's next load once nobody waits for it. */
inline nobody_waits_for(me) {
  d_step {
    for (i : 0 .. LOADERS - 1) { waits = (waits || waiting_for[i] == me) };
    i = 0;
    assert(!waits || finished[me])
  }
}

proctype loader(byte me) {
  byte o, record, i;
  bool waits;
end:
  do
  :: atomic {
      select(o : 0 .. OBJECTS - 1);
      if
      :: HAS_CURRENT(o) -> o = 0; goto end                         /* found */
      :: !HAS_CURRENT(o) && ticket[o] == NOBODY ->                 /* under the lock: a ticket of one's own */
        nobody_waits_for(me);
        if
        :: waits -> o = 0; waits = false; goto end
        :: !waits -> finished[me] = false; ticket[o] = me
        fi
      :: !HAS_CURRENT(o) && ticket[o] != NOBODY -> waiting_for[me] = ticket[o]
      fi
    };
    if
    :: waiting_for[me] != NOBODY ->
      atomic { finished[waiting_for[me]] -> waiting_for[me] = NOBODY }    /* LoadTicket::wait */
    :: waiting_for[me] == NOBODY ->
      record = stored[o];                                          /* Store::load */
      if
      :: true                                                      /* the codec reads nothing */
      :: atomic {                                                  /* it reads any object, this one too */
          select(i : 0 .. OBJECTS - 1);
          if
#ifdef NESTED_LOADS_WAIT
          :: !HAS_CURRENT(i) && ticket[i] != NOBODY -> waiting_for[me] = ticket[i]
          :: HAS_CURRENT(i) || ticket[i] == NOBODY
#else
          :: true                                                  /* found, or loaded for itself: no wait */
#endif
          fi;
          i = 0
        };
        if
        :: waiting_for[me] != NOBODY -> atomic { finished[waiting_for[me]] -> waiting_for[me] = NOBODY }
        :: waiting_for[me] == NOBODY
        fi
      fi;
      atomic {                                                     /* settle */
        if
#if defined(LOADER_IGNORES_TICKET)
        :: true -> resident[o] = record; superseded[o] = false; ticket[o] = (ticket[o] == me -> NOBODY : ticket[o])
#elif defined(SETTLES_BY_OID)          /* whoever's ticket stands for the object */
        :: ticket[o] != NOBODY -> ticket[o] = NOBODY; resident[o] = record; superseded[o] = false
        :: ticket[o] == NOBODY
#else
        :: ticket[o] == me -> ticket[o] = NOBODY; resident[o] = record; superseded[o] = false
        :: ticket[o] != me                                         /* withdrawn: again */
#endif
        fi;
        check_heads();
        record = 0; o = 0
      };
#ifndef NO_WAKE_UP
      finished[me] = true
#endif
    fi
  od
}

proctype committer() {
  byte done, o, ours, i;
  bool is_ours;
#ifdef WITHDRAWS_ANY_TICKET
  byte victim;
#endif
  do
  :: done == COMMITS -> break
  :: done < COMMITS ->
    select(o : 0 .. OBJECTS - 1);
    atomic { stored[o]++; ours = stored[o] };                      /* Store::commit, or by another process */
    is_ours = false;
    if
    :: atomic { is_ours = true;
        if
        :: true
#ifndef NO_PEERS
        :: stored[o]++                                             /* another process, before ours is published */
#endif
        fi }
    :: true
    fi;
    if
    :: atomic { is_ours ->                                         /* SharedCache::publish */
        if
#ifndef PUBLISHES_OVER_NEWER
        :: resident[o] != ABSENT && resident[o] > ours             /* a loader has met that one: ours stays out */
        :: resident[o] == ABSENT || resident[o] <= ours ->
#else
        :: true ->
#endif
#ifndef TICKET_SURVIVES_COMMIT
          withdraw(o);
#endif
          assert(resident[o] == ABSENT || resident[o] <= ours);    /* a chain descends */
          resident[o] = ours; superseded[o] = false
        fi;
        valid[o] = ours;
        check_heads() }
    :: atomic { !is_ours ->                                        /* invalidated: whatever is there goes */
#ifndef TICKET_SURVIVES_INVALIDATION
        withdraw(o);
#endif
        resident[o] = ABSENT; superseded[o] = false; valid[o] = ours }
#ifndef NO_PEERS
    :: !is_ours
#endif
    fi;
    if
    :: atomic { valid[o] < stored[o] ->                            /* heard of: SharedCache::supersede */
#ifndef TICKET_SURVIVES_REMOTE_COMMIT
        withdraw(o);
#endif
#ifndef REMOTE_COMMIT_LEAVES_END
        superseded[o] = superseded[o] || (resident[o] != ABSENT && resident[o] < stored[o]);
#endif
        valid[o] = stored[o];
        check_heads() }
    :: valid[o] >= stored[o]
    fi;
    o = 0;
    done++
  od
}

proctype evictor() {
end:
  do
  :: atomic { resident[0] != ABSENT -> resident[0] = ABSENT; superseded[0] = false }
  :: atomic { resident[OBJECTS - 1] != ABSENT -> resident[OBJECTS - 1] = ABSENT; superseded[OBJECTS - 1] = false }
  od
}

init {
  byte i;
  atomic {
    for (i : 0 .. LOADERS - 1) { run loader(i) };
    run committer();
    run evictor()
  }
}
