/* Log, then look: cow_cache/reader.hpp, reclaimer.hpp, transaction_registry.hpp, detail/asymmetric_fence.hpp.
 *
 * Readers follow stale hints (any slot) under x86's total store order: the store of a log entry waits in the reader's
 * store buffer until it is flushed, at any time, or by a membarrier. One writer replaces the state of an object, retires
 * the old one, and frees it by epochs (tier 0) or by a scan of logs (tier 1); freed slots are used again.
 *
 * Abstracted: one object, one log entry per reader, no intervals (publish_begin.pml has them), logs that never grow.
 *
 * Properties:
 *  1. A state that a transaction has found alive is not freed before that transaction ends (the assertions in `use`).
 *  2. No deadlock: the writer always gets a slot in the end.
 *
 * Variants that must fail: LOOK_BEFORE_LOG, NO_HEAVY_FENCE, NO_BEGIN_FENCE.
 * Sizes: READERS, SLOTS, TRANSACTIONS (of each reader), REPLACEMENTS.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef TRANSACTIONS
#define TRANSACTIONS 2
#endif
#ifndef REPLACEMENTS
#define REPLACEMENTS 3
#endif
#define NONE 255
#define IDLE 0

mtype = { FREE, LIVE, DEAD };
mtype key[SLOTS] = FREE;
byte life[SLOTS];         /* which incarnation a slot is in: what no program can see */
byte current;
byte epoch = 1;

byte announced[READERS];  /* memory, as everybody sees it */
byte logged[READERS] = NONE;
byte waiting_log[READERS] = NONE;       /* the reader's store buffer: an entry not yet in memory */
byte waiting_announcement[READERS];     /* only without the fence of begin */
bool has_waiting[READERS];

/* Buffers drain in order: the announcement is older than the entry. */
inline flush(r) {
  if
  :: waiting_announcement[r] != IDLE -> announced[r] = waiting_announcement[r]; waiting_announcement[r] = IDLE
  :: else
  fi;
  if
  :: has_waiting[r] -> logged[r] = waiting_log[r]; has_waiting[r] = false; waiting_log[r] = NONE
  :: else
  fi
}

inline use(s, incarnation) { assert(key[s] != FREE && life[s] == incarnation) }

proctype drain(byte r) {
end:
  do
  :: d_step { (has_waiting[r] || waiting_announcement[r] != IDLE) -> flush(r) }
  od
}

proctype reader(byte r) {
  byte done, seen, hint, incarnation;
  mtype look;
  do
  :: done == TRANSACTIONS -> break
  :: else ->
    seen = epoch;                       /* TransactionRegistry::begin: may be old by the time it is announced */
#ifdef NO_BEGIN_FENCE
    waiting_announcement[r] = seen;
#else
    announced[r] = seen;                /* exchange: a full fence */
#endif
    if                                  /* Ref::hint */
    :: hint = current
    :: hint = 0
    :: hint = 1
    fi;
#ifdef LOOK_BEFORE_LOG
    d_step { look = key[hint]; incarnation = life[hint] };
    d_step { waiting_log[r] = hint; has_waiting[r] = true };
#else
    d_step { waiting_log[r] = hint; has_waiting[r] = true };      /* ReadLog::add */
    d_step { look = key[hint]; incarnation = life[hint] };        /* detail::look */
#endif
    if
    :: look == LIVE -> use(hint, incarnation); skip; use(hint, incarnation)
    :: else
    fi;
    d_step { flush(r); logged[r] = NONE };   /* ReadLog::close: stores are seen in order */
    announced[r] = IDLE;                     /* TransactionRegistry::end */
    done++
  od
}

byte retired[SLOTS] = 0;  /* the stamp of a state in limbo; 0: not there */

inline free(s) { d_step { key[s] = FREE; life[s]++; retired[s] = 0 } }

proctype writer() {
  byte done, old, fresh, i, s;
  bool held;
  do
  :: done == REPLACEMENTS -> break
  :: else ->
    d_step {                            /* nobody else frees or takes a slot */
      fresh = NONE;
      for (i : 0 .. SLOTS - 1) {
        if
        :: key[i] == FREE && fresh == NONE -> fresh = i
        :: else
        fi
      };
      i = 0
    };
    if
    :: fresh != NONE ->
      old = current;
      key[fresh] = LIVE;                /* SharedCache::publish */
      current = fresh;
      key[old] = DEAD;                  /* Reclaimer::mark_dead */
      d_step { retired[old] = epoch; epoch++ };   /* the stamp, and the advance */
      done++
    :: else
    fi;
    for (s : 0 .. SLOTS - 1) {
      if
      :: retired[s] != 0 ->
        held = false;
        if
        :: true ->                      /* tier 0: collect_expired */
          for (i : 0 .. READERS - 1) {
            if
            :: announced[i] != IDLE && announced[i] <= retired[s] -> held = true
            :: else
            fi
          }
        :: true ->                      /* tier 1: deep_scan */
#ifndef NO_HEAVY_FENCE
          d_step { for (i : 0 .. READERS - 1) { flush(i) } };   /* membarrier */
#endif
          for (i : 0 .. READERS - 1) {
            if
            :: announced[i] != IDLE && announced[i] <= retired[s] && logged[i] == s -> held = true
            :: else
            fi
          }
        fi;
        if
        :: !held -> free(s)
        :: else
        fi;
        i = 0; held = false             /* fewer states that differ in nothing */
      :: else
      fi
    }
  od
}

init {
  byte i;
  atomic {
    key[0] = LIVE;
    for (i : 0 .. READERS - 1) { run drain(i); run reader(i) };
    run writer()
  }
}
