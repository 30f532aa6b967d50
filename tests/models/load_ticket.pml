/* One thread loads, the others wait, and a commit comes between: cow_cache/load_ticket.hpp, reader.hpp (load_current),
 * shared_cache.hpp (publish, evict).
 *
 * Abstracted: one object; a state is its revision number; a lock is an atomic step.
 *
 * Properties:
 *  1. What a loader installs is never older than what was published.
 *  2. At most one loader holds the ticket; nobody waits for ever (no deadlock).
 *
 * Variants that must fail: LOADER_IGNORES_TICKET, TICKET_SURVIVES_COMMIT, NO_WAKE_UP.
 * Sizes: LOADERS, COMMITS, EVICTIONS.
 */
#ifndef LOADERS
#define LOADERS 3
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 2
#endif
#define TICKETS 24             /* more than there can be loads */
#define ABSENT 255
#define NOBODY 255

byte stored, published;        /* revisions: in the store; the last that `publish` has put in place */
byte resident = ABSENT;
byte ticket = NOBODY;          /* the load that stands in the list */
byte next;                     /* every load has a ticket of its own */
bool finished[TICKETS];

proctype loader() {
  byte me, record, other;
  do
  :: atomic { resident != ABSENT -> break }                      /* found under the lock */
  :: atomic { resident == ABSENT && ticket == NOBODY ->
      assert(next < TICKETS); me = next; next++; ticket = me };
    record = stored;                                             /* Store::load */
    atomic {                                                     /* settle */
#ifdef LOADER_IGNORES_TICKET
      resident = record; assert(record >= published);
      if
      :: ticket == me -> ticket = NOBODY
      :: else
      fi
#else
      if
      :: ticket == me -> ticket = NOBODY; resident = record; assert(record >= published)
      :: else                                                    /* a commit withdrew it: again */
      fi
#endif
    };
#ifndef NO_WAKE_UP
    finished[me] = true
#endif
  :: atomic { resident == ABSENT && ticket != NOBODY -> other = ticket };
    finished[other]                                              /* LoadTicket::wait */
  od
}

proctype committer() {
  byte done;
  do
  :: done == COMMITS -> break
  :: else ->
    stored++;                                                    /* Store::commit */
    atomic {                                                     /* SharedCache::publish */
#ifndef TICKET_SURVIVES_COMMIT
      ticket = NOBODY;
#endif
      resident = stored; published = stored
    };
    done++
  od
}

proctype evictor() {
  byte done;
  do
  :: done == EVICTIONS -> break
  :: done < EVICTIONS ->
end: /* may find nothing to evict any more */
    atomic { resident != ABSENT -> resident = ABSENT }; done++
  od
}

init {
  byte i;
  atomic {
    for (i : 0 .. LOADERS - 1) { run loader() };
    run committer();
    run evictor()
  }
}
