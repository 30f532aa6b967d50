# However a run is ended, and wherever it is: its processes and its temporary files are gone, its rows are kept, and it says how
# to go on.
load support

# What a measuring program may have on its hands: a store in the temporary folder, a child, and one in a session of its own.
busy='mkdir "$TMPDIR/cow_cache.store"; head -c 100000 /dev/zero >"$TMPDIR/cow_cache.store/log"; sleep 1000 & setsid sleep 1000 &
  touch "$base/reached"; wait'

hang_in() { # STAGE
  case $1 in
    setup) printf '#!/bin/sh\necho $$ >"$base/setup"\ntouch "$base/reached"\nexec sleep 1000\n' >"$checkout/scripts/setup" ;;
    build) printf '#!/bin/bash\n%s\n' "$busy" >"$checkout/scripts/build-release" ;;
    import) export FAKE_HOOK="[[ \$job != import ]] || { $busy; }" ;;
    measuring) export FAKE_HOOK="[[ \$(wc -l <\"\$FAKE_CALLS\") -lt 5 ]] || { $busy; }" ;;
    # A pipe in the report's place: writing it waits for a reader.
    drawing) export FAKE_HOOK='[[ -e "$base/reached" ]] || { mkfifo "$out/report.html.new"; touch "$base/reached"; }' ;;
  esac
}

start_in() { # STAGE
  hang_in "$1"
  case $1 in
    build) start "$reproduce" --only claims --out "$out" ;;
    import) start "$reproduce" --only sleepers,memory --binaries "$binaries" --out "$out" ;;
    *) start "$reproduce" --only claims --binaries "$binaries" --out "$out" ;;
  esac
  wait_for "$base/reached" || return 1
  [[ $1 != drawing ]] || wait_for "$out/gaps.json" # the first file of the report
}

anew() {
  rm -rf "$out" "$base/reached" "$FAKE_CALLS"
  unset FAKE_HOOK
  cp "$source_root/scripts/build-release" "$checkout/scripts/build-release"
  printf '#!/bin/sh\nexit 0\n' >"$checkout/scripts/setup"
}

try() { # SIGNAL STAGE CODE
  anew
  start_in "$2" || return 1
  kill "-$1" "$started"
  ended
  # A package manager is nobody's to stop half way. When nobody is left to ask it to end, it goes on.
  if [[ $1 == KILL && $2 == setup ]]; then kill "$(<"$base/setup")"; fi
  [[ $status == "$3" ]] || { echo "SIG$1 in $2: exit code $status, not $3: $output"; return 1; }
  no_traceback && nothing_left || { echo "after SIG$1 in $2"; return 1; }
  if [[ $2 == setup && $1 != KILL ]] && kill "$(<"$base/setup")" 2>/dev/null; then echo "setup is still there"; return 1; fi
  case $1-$2 in
    KILL-*) ;;
    *-measuring | *-drawing)
      [[ $output == *"--resume '$out'"* ]] || { echo "SIG$1 in $2 does not say how to go on: $output"; return 1; } ;;
    *)
      [[ $output == *"nothing was measured"* && ! -e $out ]] || { echo "SIG$1 in $2: $output"; return 1; } ;;
  esac
}

all_stages() { # SIGNAL CODE
  local stage
  for stage in setup build import measuring drawing; do try "$1" "$stage" "$2" || return 1; done
}

@test "Ctrl-C at each stage" { all_stages INT 130; }
@test "SIGTERM at each stage" { all_stages TERM 143; }
@test "SIGHUP at each stage" { all_stages HUP 129; }
@test "SIGKILL at each stage" { all_stages KILL 137; }

goes_on() { # after an end in the middle
  local before
  before=$(cat "$out/rows.jsonl")
  anew_programs
  run "$reproduce" --resume "$out" --binaries "$binaries"
  [[ $status == 0 ]] || { echo "$output"; return 1; }
  [[ $(rows "$out") == 3 && $(sort "$out/jobs.jsonl" | uniq | wc -l) == 3 ]]
  [[ $(head -n "$(wc -l <<<"$before")" "$out/rows.jsonl") == "$before" ]]
  nothing_left
}

anew_programs() { unset FAKE_HOOK; rm -f "$base/reached"; }

@test "what was measured before a signal is kept, and --resume measures the rest" {
  local signal
  for signal in TERM KILL INT; do
    anew
    start_in measuring
    kill "-$signal" "$started"
    ended
    [[ $(rows "$out") == 1 || $(rows "$out") == 2 ]]
    goes_on || return 1
  done
}

@test "Ctrl-C reports what was measured, and says so; once more ends at once" {
  start_in measuring
  kill -INT "$started"
  ended
  fails_with 130 "reporting what was measured"
  grep -q 'The run was interrupted' "$out/report.html"
  anew
  start_in measuring
  mkfifo "$out/report.html.new"
  kill -INT "$started"
  wait_for "$out/gaps.json"
  kill -INT "$started"
  ended
  fails_with 130 "--resume" && nothing_left
}

@test "Ctrl-C typed into a terminal" {
  hang_in measuring
  mkfifo "$base/keys"
  exec 7<>"$base/keys" # as a terminal's user who has not typed anything yet
  start script -qec "'$reproduce' --only claims --binaries '$binaries' --out '$out'" /dev/null <&7
  wait_for "$base/reached"
  printf '\003' >&7
  ended
  exec 7>&-
  fails_with 130 "--resume" && nothing_left
}

@test "a child that hears no SIGTERM, and one that has changed its TMPDIR" {
  export FAKE_HOOK='trap "" TERM; TMPDIR=/ sleep 1000 & touch "$base/reached"; echo $! >"$base/other"; sleep 1000; sleep 1000'
  start "$reproduce" --only claims --binaries "$binaries" --out "$out"
  wait_for "$base/other"
  kill -TERM "$started"
  ended
  [[ $status == 143 ]]
  nothing_left
}

@test "what a job leaves running does not outlive the job" {
  export FAKE_HOOK='mkdir "$TMPDIR/cow_cache.store.$job"; setsid sleep 1000 & [[ -z $(pgrep -s 0 -x nothing) ]]; kill -KILL $$'
  run claims_run
  fails_with 1 "3 runs failed"
  nothing_left
}

@test "nohup: a terminal that goes away ends nothing" {
  export FAKE_HOOK='touch "$base/reached"; until [[ -e "$base/go" ]]; do sleep 0.02; done'
  start nohup "$reproduce" --only claims --binaries "$binaries" --out "$out"
  wait_for "$base/reached"
  kill -HUP "$started"
  touch "$base/go"
  ended
  [[ $status == 0 && $(rows "$out") == 3 ]]
}

@test "a run whose watcher was killed as well is tidied up by the next one" {
  start_in measuring
  local watcher
  watcher=$(pgrep -P "$started" -f 'report' | while read -r child; do
    grep -qza "^TMPDIR=$TMPDIR/cow" "/proc/$child/environ" || echo "$child"; done)
  [[ -n $watcher ]]
  kill -KILL $watcher "$started" # in this order: it must not see the end of the run
  ended
  [[ -n $(left_processes) ]]
  anew
  run claims_run
  [[ $status == 0 ]]
  nothing_left
}

@test "claims, compare-builds and bench leave nothing either" {
  tiny_project "$checkout"
  local signal script
  export FAKE_HOOK="$busy"
  for signal in INT TERM HUP KILL; do
    for script in "claims chase" "compare-builds '$binaries/claims' '$binaries/claims' chase" \
      "bench --program '$binaries/microbenchmarks'"; do
      rm -f "$base/reached"
      eval "start '$checkout'/scripts/$script"
      wait_for "$base/reached"
      kill "-$signal" "$started"
      ended
      [[ $status == "$((128 + $(kill -l "$signal")))" ]] || { echo "$script, $signal: $status $output"; return 1; }
      no_traceback && nothing_left || { echo "after SIG$signal of $script"; return 1; }
    done
  done
}
