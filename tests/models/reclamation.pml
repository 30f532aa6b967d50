/* When the memory of a retired state may be used again: cow_cache/detail/cache/reader.hpp, read_log.hpp,
 * transaction_registry.hpp, reclaimer.hpp, detail/reclaim/asymmetric_fence.hpp.
 *
 * Readers follow hints, which may point at any slot: they log a state, then look at its key; or they load one, which
 * needs no look. They fall asleep and wake, and are parked meanwhile by a thread that scans. What they store waits in a
 * store buffer (x86's total store order) until it drains, at any time; a membarrier waits for one CPU after the other.
 * Writers bring states to life, retire them into a list each, stamp a list's new entries with the read-modify-write that
 * advances the epoch, and free by epochs (tier 0: any list) or take all lists and free by the readers' logs (tier 1, one
 * writer at a time): they make readers hold what stands in their logs, and what is held waits for the end of its last
 * holder, which frees it. A free slot is used again. All of them may do so any number of times: only the epoch ends, at
 * EPOCHS.
 *
 * Abstracted: intervals and tables (publish_begin.pml); a log is a set that never grows; what a step decides about
 * several states is decided at once, for states do not influence each other; the locks of stripes and of the multiset are
 * atomic steps; what writers store is seen at once, as the code's seq_cst stores and locks are.
 *
 * Properties:
 *  1. No state is freed that a transaction has found alive, or loaded, and may use until its end (the assertion in free).
 *  2. No deadlock.
 *  3. What waits has a holder, and a transaction that has ended holds nothing (the assertions in leave, unhold and reader):
 *     so nothing waits for ever.
 *
 * Variants that must fail: see check_models. Sizes: READERS, SLOTS, WRITERS, EPOCHS, PARKING and LOADING (0 or 1),
 * BUFFER (stores that a CPU holds back).
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef EPOCHS
#define EPOCHS 4
#endif
#ifndef PARKING
#define PARKING 0
#endif
#ifndef LOADING
#define LOADING 1
#endif
#ifndef BUFFER
#define BUFFER 2
#endif
#define LISTS WRITERS
#define IDLE 255
#define ENDING 254
#define PARKED 253
#define bit(s) (1 << (s))
#define holds(set, s) ((set) & bit(s))
#define least(a, b) ((a) < (b) -> (a) : (b))

mtype = { FREE, LOADED, LIVE, DEAD };   /* LOADED: taken, and not to be found yet */
mtype key[SLOTS] = LIVE;
byte stamp[SLOTS];                      /* 0: none */
byte epoch = 1;
byte safe_below;                        /* cached: what the last look at the announcements allowed */

byte retired[LISTS];                    /* sets of slots: not stamped yet, */
byte stamped[LISTS];                    /* and stamped */
bool locked[LISTS];
bool scanning;                          /* the scan's lock */

byte announced[READERS] = IDLE;         /* memory, as everybody sees it */
byte logged[READERS];                   /* sets of slots */
byte held[SLOTS];                       /* the multiset: how many transactions hold a state, */
byte handed_over[READERS];              /* and which those of a transaction are; */
byte waiting;                           /* the retired states that wait in it: a set of slots */
bool waited_for[READERS];               /* the flag that the end of a transaction reads */
bool asleep[READERS];
bool log_locked[READERS];
byte in_use[READERS];                   /* what a transaction may use: the truth, and what it knows of its own log */

/* A store that waits: s: slot s enters the log; UNLOG + s: it leaves; ANNOUNCE + epoch; or SLEEP, CLEAR,
 * BEGIN_END, END. */
#define UNLOG 16
#define SLEEP 32
#define CLEAR 33
#define END 34
#define BEGIN_END 35
#define ANNOUNCE 64
chan buffer[READERS] = [BUFFER] of { byte };

proctype drain(byte r) {
  byte store;
end:
  do
  :: d_step { buffer[r]?store;
      if
      :: store >= ANNOUNCE -> announced[r] = store - ANNOUNCE
      :: store == END -> announced[r] = IDLE
      :: store == BEGIN_END -> announced[r] = ENDING
      :: store == CLEAR -> logged[r] = 0
      :: store == SLEEP -> asleep[r] = true
      :: store >= UNLOG && store < SLEEP -> logged[r] = logged[r] & ~bit(store - UNLOG)
      :: else -> logged[r] = logged[r] | bit(store)
      fi;
      store = 0 }
  od
}

/* Chooses a slot that has a key. Executable if there is one. */
#define has_room(r) (len(buffer[r]) < BUFFER)
#define has_key(slot, wanted) (slot < SLOTS && key[(slot) % SLOTS] == wanted)
inline pick(allowed, wanted) {
  if
  :: allowed && has_key(0, wanted) -> s = 0
  :: allowed && has_key(1, wanted) -> s = 1
  :: allowed && has_key(2, wanted) -> s = 2
  :: allowed && has_key(3, wanted) -> s = 3
  fi
}

/* TransactionRegistry::begin, and wake. The epoch may be old by the time it is announced. The second load of the epoch
 * has nothing to show here: under total store order the exchange orders all looks after it (relacy/epochs.cpp has it). */
inline announce(r) {
  seen = epoch;
#ifdef NO_BEGIN_FENCE
  atomic { has_room(r) -> buffer[r]!ANNOUNCE + seen; seen = 0 }
#else
  atomic { empty(buffer[r]) -> announced[r] = seen; seen = 0 }
#endif
}

/* TransactionRegistry::park: the log's handles into the multiset, one after the other; those that were there already stay. */
inline hold(r) {
  do
  :: atomic { s < SLOTS ->
      if
      :: holds(logged[r] & ~handed_over[r], s) -> held[s]++; handed_over[r] = handed_over[r] | bit(s)
      :: else
      fi;
      s++ }
  :: atomic { s == SLOTS -> s = 0; break }
  od
}
#ifdef MULTISET_IS_A_SET
#define less_one(count) 0
#else
#define less_one(count) (count) - 1
#endif
/* HeldStates::remove. The last holder frees what waits. */
inline unhold_mine() {
  atomic {
    for (s : 0 .. SLOTS - 1) {
      held[s] = (holds(mine, s) -> less_one(held[s]) : held[s]);
      if
      :: held[s] == 0 && holds(waiting, s) -> waiting = waiting & ~bit(s); free()
      :: else
      fi
    };
    s = 0; mine = 0
  }
}

#ifdef LEAVES_IN_TWO_STEPS
#define may_be_held(s) holds(found, s)
#elif defined(MULTISET_BEFORE_ANNOUNCEMENTS)
#define may_be_held(s) (in_scan -> held[s] > 0 : holds(found, s))
#elif defined(TIER0_IGNORES_MULTISET)
#define may_be_held(s) (in_scan && held[s] > 0)
#else
#define may_be_held(s) (held[s] > 0)
#endif
/* HeldStates::leave, and freeing what is not held: of a set of states. */
inline leave_or_free(states) {
  for (s : 0 .. SLOTS - 1) {
    if
    :: holds(states, s) && may_be_held(s) -> assert(held[s] > 0); waiting = waiting | bit(s)
    :: holds(states, s) && !may_be_held(s) -> free()
    :: else
    fi
  }
}
inline free() {
  for (i : 0 .. READERS - 1) { assert(!holds(in_use[i], s)) };
  i = 0; key[s] = FREE; stamp[s] = 0
}

/* A lock's exchange drains the store buffer. What it protects is one step of its holder, but for who parks. */
#ifdef WAKES_WITHOUT_LOCK
#define may_lock(r) empty(buffer[r])
#else
#define may_lock(r) (empty(buffer[r]) && !log_locked[r])
#endif

#ifdef LOADS_WHILE_ASLEEP
#define may_load true
#else
#define may_load !sleeps
#endif
#define unlogged(r, slot) (!sleeps && slot < SLOTS && !holds(in_use[r], slot) && has_room(r))

/* What is in the log is a hit, even if it died since, even if asleep: the properties hold to the transaction's end. */
proctype reader(byte r) {
  byte s, i, seen, mine;
  bool sleeps, has_slept, was_parked, was_waited_for;
end:
  do
  :: announce(r);
    do
    :: atomic {                         /* a hint at any slot */
        if
        :: unlogged(r, 0) -> s = 0
        :: unlogged(r, 1) -> s = 1
        :: unlogged(r, 2) -> s = 2
        :: unlogged(r, 3) -> s = 3
        fi;
#ifndef LOOK_BEFORE_LOG
        buffer[r]!s                     /* ReadLog::add */
#endif
      };
      if                                /* the look; what fails it leaves the log */
      :: atomic { key[s] == LIVE -> in_use[r] = in_use[r] | bit(s)
#ifdef LOOK_BEFORE_LOG
          }; atomic { has_room(r) -> buffer[r]!s
#endif
        }
      :: atomic { key[s] != LIVE && has_room(r) -> buffer[r]!UNLOG + s }
      fi;
      s = 0
#if LOADING
    :: atomic { pick(may_load && has_room(r), FREE); key[s] = LOADED; buffer[r]!s };
      atomic { key[s] = LIVE; in_use[r] = in_use[r] | bit(s); s = 0 }    /* logged before others can reach it */
#endif
#if PARKING
    :: atomic { !sleeps && has_room(r) -> buffer[r]!SLEEP; sleeps = true; has_slept = true }
    :: atomic { sleeps && may_lock(r) -> asleep[r] = false; was_parked = (announced[r] == PARKED) };
      if                                /* wake: at the next read at the latest */
      :: was_parked -> announce(r)
      :: else
      fi;
#ifdef WAKE_LEAVES_MULTISET
      atomic { mine = handed_over[r]; handed_over[r] = 0 };
      unhold_mine();
#endif
      atomic { sleeps = false; was_parked = false }
#endif
    :: break
    od;
#ifdef READS_FLAG_FIRST
    was_waited_for = waited_for[r];
#endif
    atomic { has_room(r) -> in_use[r] = 0; sleeps = false; buffer[r]!CLEAR };       /* ReadLog::close */
    if                                                                      /* TransactionRegistry::end */
    :: has_slept -> atomic { may_lock(r) -> asleep[r] = false; has_slept = false }
    :: else
    fi;
    atomic { has_room(r) -> buffer[r]!BEGIN_END };
#ifndef READS_FLAG_FIRST
    was_waited_for = waited_for[r];                                         /* while that may wait in the buffer */
#endif
    if
    :: was_waited_for ->
      atomic { may_lock(r) -> was_waited_for = false; waited_for[r] = false; mine = handed_over[r]; handed_over[r] = 0 };
      unhold_mine()
    :: else
    fi;
    atomic { has_room(r) -> buffer[r]!END };
    atomic { empty(buffer[r]) -> assert(handed_over[r] == 0) }              /* as the next announcement waits for it */
  od
}

#ifdef FREES_AT_STAMP
#define is_below(a, b) ((a) <= (b))
#else
#define is_below(a, b) ((a) < (b))
#endif

inline stamp_all(entries, with) {
  for (s : 0 .. SLOTS - 1) { stamp[s] = (holds(entries, s) -> with : stamp[s]) };
  s = 0
}

#ifdef STAMP_WITHOUT_ADVANCE
#define advance
#else
#define advance epoch++
#endif

inline read_multiset() {
  atomic { for (s : 0 .. SLOTS - 1) { found = (held[s] > 0 -> found | bit(s) : found) }; s = 0 }
}

inline read_announcements() {
#ifndef LIMIT_AFTER_ANNOUNCEMENTS
  limit = epoch;
#endif
  oldest = IDLE;
  do
  :: atomic { i < READERS -> oldest = least(oldest, announced[i]); i++ }
  :: i == READERS -> break
  od;
#ifdef LIMIT_AFTER_ANNOUNCEMENTS
  limit = epoch;
#endif
#ifdef NO_LIMIT
  limit = IDLE;
#endif
  atomic { oldest = least(limit, oldest); i = 0; limit = 0; safe_below = (oldest > safe_below -> oldest : safe_below) }
}

/* What is not below any stamp says nothing: later stamps are not below it either. Fewer states. */
inline forget_cached() {
#ifndef NO_LIMIT
  i = 0;
  for (s : 0 .. SLOTS - 1) { i = (stamp[s] > 0 && stamp[s] < safe_below -> 1 : i) };
  safe_below = (i > 0 -> safe_below : 0);
  i = 0
#else
  skip
#endif
}

/* By epochs. The list's lock keeps others from adding entries or taking them away. */
inline tier0() {
#ifdef MULTISET_BEFORE_ANNOUNCEMENTS
  read_multiset();
#endif
  if
  :: read_announcements()
  :: safe_below > 0 -> oldest = safe_below
  fi;
#ifdef LEAVES_IN_TWO_STEPS
  read_multiset();
#endif
  atomic {
    for (s : 0 .. SLOTS - 1) {
      candidates = (holds(stamped[list], s) && is_below(stamp[s], oldest) -> candidates | bit(s) : candidates)
    };
    stamped[list] = stamped[list] & ~candidates;
    leave_or_free(candidates);
    candidates = 0;
    forget_cached();
    s = 0; oldest = 0; found = 0; locked[list] = false; list = 0
  }
}

/* Whoever is asleep may be parked, or not: a scan parks some only. */
inline park_sleepers() {
#if PARKING
  do
  :: i < READERS && asleep[i] ->
    atomic { !log_locked[i] -> log_locked[i] = true };
#ifdef PARKS_WHO_IS_AWAKE
    if
    :: announced[i] < PARKED ->
#else
    if
    :: asleep[i] && announced[i] < PARKED ->
#endif
      waited_for[i] = true;
#ifdef PARK_ANNOUNCES_FIRST
      announced[i] = PARKED; hold(i)
#else
      hold(i); announced[i] = PARKED
#endif
    :: else
    fi;
    atomic { log_locked[i] = false; i++ }
  :: i < READERS -> i++
  :: i == READERS -> i = 0; break
  od
#else
  skip
#endif
}

inline set_flags() {
  do
  :: i < READERS && announced[i] <= newest -> waited_for[i] = true; i++
  :: i < READERS && announced[i] > newest -> i++
  :: i == READERS -> i = 0; break
  od
}

/* By logs. */
inline deep_scan() {
  park_sleepers();
#ifdef STAMP_BEFORE_TAKING
  atomic { newest = epoch; advance };
#endif
  do
  :: atomic { i < LISTS && !locked[i] ->
      candidates = candidates | retired[i] | stamped[i]; unstamped = unstamped | retired[i];
      retired[i] = 0; stamped[i] = 0; i++ }
  :: i == LISTS -> i = 0; break
  od;
#ifdef STAMP_BEFORE_TAKING
  atomic { stamp_all(unstamped, newest); unstamped = 0 };
#else
  atomic { newest = epoch; advance; stamp_all(unstamped, newest); unstamped = 0 };
#endif
#ifndef FLAG_AFTER_FENCE
  set_flags();
#endif
#ifndef NO_HEAVY_FENCE
  do
  :: atomic { i < READERS && empty(buffer[i]) -> i++ }
  :: i == READERS -> i = 0; break
  od;
#endif
#ifdef FLAG_AFTER_FENCE
  set_flags();
#endif
  do                                    /* TransactionRegistry::hold_logged */
  :: i < READERS && waited_for[i] ->
    atomic { !log_locked[i] -> log_locked[i] = true };
#ifdef HOLDS_FOR_WHO_HAS_ENDED
    if
    :: true ->
#else
    if
    :: announced[i] <= newest ->
#endif
      found = logged[i] & candidates;
      atomic {
        for (s : 0 .. SLOTS - 1) { held[s] = (holds(found & ~handed_over[i], s) -> held[s] + 1 : held[s]) };
        handed_over[i] = handed_over[i] | found; found = 0; s = 0 }
    :: else
    fi;
    atomic { log_locked[i] = false; i++ }
  :: i < READERS && !waited_for[i] -> i++
  :: i == READERS -> i = 0; break
  od;
#ifdef LEAVES_IN_TWO_STEPS
  read_multiset();
#endif
  atomic {
    in_scan = true;
    leave_or_free(candidates);
    in_scan = false;
    forget_cached();
    candidates = 0; found = 0; newest = 0; s = 0; scanning = false }
}

proctype writer(byte w) {
  byte s, i, list, limit, oldest, newest, candidates, unstamped, found;
  bool in_scan;
end:
  do
#ifdef STAMP_BEFORE_MARK
  :: atomic { pick(epoch < EPOCHS, LIVE); newest = epoch; epoch++ };
    atomic { !locked[w] -> key[s] = DEAD; stamp[s] = newest; stamped[w] = stamped[w] | bit(s); newest = 0; s = 0 }
#else
  :: atomic { pick(!locked[w], LIVE); key[s] = DEAD;               /* marked dead, unlinked, appended */
      retired[w] = retired[w] | bit(s); s = 0 }
#endif
  :: atomic { pick(true, FREE); key[s] = LIVE; s = 0 }
  :: atomic { retired[w] != 0 && !locked[w] && epoch < EPOCHS ->
      stamp_all(retired[w], epoch); advance; stamped[w] = stamped[w] | retired[w]; retired[w] = 0 }
  :: atomic {
      if
      :: stamped[w] != 0 && !locked[w] -> list = w
#if WRITERS > 1
      :: stamped[WRITERS - 1 - w] != 0 && !locked[WRITERS - 1 - w] -> list = WRITERS - 1 - w
#endif
      fi;
      locked[list] = true };
    tier0()
  :: atomic { !scanning && epoch < EPOCHS -> scanning = true };
    deep_scan()
  od
}

init {
  byte i;
  atomic {
    for (i : 0 .. READERS - 1) { run drain(i); run reader(i) };
    for (i : 0 .. WRITERS - 1) { run writer(i) }
  }
}
