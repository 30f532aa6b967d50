# scripts/bench: which benchmarks run, how often and in which order, what is said of them, and what is left.
load support

bench() { # ARGUMENT...: with the program that measures nothing, unless it is to be built
  run "$checkout/scripts/bench" "$@"
}
of_program() { bench --program "$binaries/microbenchmarks" "$@"; }

succeeded() { [[ $status == 0 ]] && no_traceback || { echo "exit code $status: $output"; return 1; }; }
says() { # TEXT...: each stands in what the last `run` has said
  local text
  for text; do [[ $output == *"$text"* ]] || { echo "does not say '$text': $output"; return 1; }; done
}
says_not() { [[ $output != *"$1"* ]] || { echo "says '$1': $output"; return 1; }; }
row() { grep "^$1 " <<<"$output" | grep -v ' failed: ' | tr -s ' '; } # NAME

runs_of() { # NAME: how often it was run
  grep -c -F -- "--benchmark_filter=^$1\$ " "$FAKE_CALLS" || true
}

commit_all() { # MESSAGE: of $checkout, a repository of its own
  local git=(git -C "$checkout" -c user.name=a -c user.email=a@b)
  [[ -e $checkout/.git ]] || "${git[@]}" init -q
  printf '/build\n' >"$checkout/.gitignore"
  "${git[@]}" add -A
  "${git[@]}" commit -q -m "$1"
}

measures() { # NANOSECONDS [NAME...]: what the program of $checkout says from now on
  sed -i "s|^set -u.*|set -u; benchmarks='${*:2}'|; s/nanoseconds=[0-9]*/nanoseconds=$1/" "$checkout/bench/fake_program"
}

@test "a median and an interval of each benchmark, in the program's order, each repetition a process" {
  export FAKE_HOOK='nanoseconds=$((10 + $(wc -l <"$FAKE_CALLS") % 2))'
  of_program --repetitions 4
  succeeded
  [[ $(grep -oE '^(read|commit)[^ ]*' <<<"$output" | xargs) == "read/1 read/10 commit/manual_time" ]] || { echo "$output"; return 1; }
  [[ $(row read/1) =~ ^read/1\ 1[01]\.[05]\ ns\ 1[0-9.]*\ ns\ to\ 1[0-9.]*\ ns$ ]] || { echo "$output"; return 1; }
  local name
  for name in read/1 read/10 commit/manual_time; do [[ $(runs_of "$name") == 4 ]] || { cat "$FAKE_CALLS"; return 1; }; done
  nothing_left
}

@test "rounds: every benchmark once before any of them twice" {
  of_program --repetitions 5
  succeeded
  local round
  for round in 0 1 2 3 4; do
    [[ $(grep -v list_tests "$FAKE_CALLS" | sed -n "$((3 * round + 1)),$((3 * round + 3))p" | sort -u | wc -l) == 3 ]] || { cat "$FAKE_CALLS"; return 1; }
  done
}

@test "FILTER and --seconds are the program's, and a name is matched as a whole, whatever is in it" {
  export FAKE_HOOK='benchmarks="a/1 a/10 b<int>(x)[3]+{2}.*^\$|?"'
  of_program --repetitions 1 --seconds 0.25 'a/'
  succeeded
  [[ $(row a/1) && $(row a/10) && -z $(row b) ]]
  grep -q -- '^microbenchmarks --benchmark_filter=^a/1$ --benchmark_min_time=0.250000 ' "$FAKE_CALLS"
  of_program --repetitions 1 '^b'
  succeeded
  says 'b<int>(x)[3]+{2}.*^$|?'
}

@test "--list shows the names, those that match, and runs nothing" {
  of_program --list
  succeeded
  [[ $output == $'read/1\nread/10\ncommit/manual_time' ]]
  of_program --list '1$'
  [[ $status == 0 && $output == read/1 ]]
  ! grep -q min_time "$FAKE_CALLS"
}

@test "nothing matches, and programs that list nothing: refused, and nothing measured" {
  local flag
  for flag in --repetitions=2 --list --json=new.json; do
    of_program "$flag" nothing
    fails_with 2 "no benchmark matches 'nothing'" || return 1
  done
  [[ ! -e $base/new.json ]]
  ! grep -q min_time "$FAKE_CALLS"
  export FAKE_HOOK='exit 3'
  of_program
  fails_with 2 "lists no benchmarks: exit code 3"
  unset FAKE_HOOK
  bench --program /bin/true
  fails_with 2 "lists no benchmarks"
  printf 'no program' >"$base/text"
  chmod +x "$base/text"
  bench --program "$base/text"
  fails_with 2 "cannot run"
  nothing_left
}

@test "a benchmark that fails is said, not run again, and no result; the others are" {
  local how
  for how in 'error=broken' 'exit 7' 'kill -SEGV $$' 'nanoseconds=0' 'nanoseconds=nothing' 'output=/dev/null' 'job=""; echo "{}" >"$output"; exit 0'; do
    rm -f "$FAKE_CALLS" "$base/new.json"
    export FAKE_HOOK="[[ \$job != read/10 ]] || { $how; }"
    of_program --repetitions 3 --json "$base/new.json"
    fails_with 1 "read/10 failed: " || { echo "$how"; return 1; }
    [[ $(runs_of read/10) == 1 && $(runs_of read/1) == 3 && $(row read/10) == *" failed" ]] || { echo "$how: $output"; return 1; }
    run jq_like "$base/new.json" '[one["name"] for one in document["benchmarks"]].count("read/10"), len(document["benchmarks"])'
    [[ $output == "(0, 6)" ]] || { echo "$how: $output"; return 1; }
  done
  nothing_left
}

jq_like() { # FILE EXPRESSION
  /usr/bin/python3 -c 'import json, sys; document = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"
}

@test "--json is Google Benchmark's, and says of what it is; --compare with it says that it was apart in time" {
  tiny_project "$checkout"
  commit_all one
  bench --json "$base/saved.json" --repetitions 6
  succeeded
  says_not "apart in time"
  run jq_like "$base/saved.json" '(sorted({one["repetition_index"] for one in document["benchmarks"]}), {one["repetitions"] for one in document["benchmarks"]}, document["context"]["num_cpus"], len(document["context"]["cow_cache"]["commit"]), document["context"]["cow_cache"]["dirty"], document["figures"][0]["nanoseconds"]["median"])'
  [[ $output == "([0, 1, 2, 3, 4, 5], {6}, 2, 40, False, 10.0)" ]] || { echo "$output"; return 1; }
  measures 20 read/1 write/1 commit/manual_time
  bench --compare "$base/saved.json" --repetitions 6 --json "$base/saved.json" # read before it is replaced
  succeeded
  says "apart in time" "$base/saved.json (2026-01-01T00:00:00+00:00, " "with changes)"
  [[ $(row read/1) == "read/1 10.0 ns 20.0 ns 2.000 (2.000 to 2.000) slower" ]] || { echo "$output"; return 1; }
  [[ $(row read/10) == "read/10 10.0 ns - - only in old" && $(row write/1) == "write/1 - 20.0 ns - only in new" ]] || { echo "$output"; return 1; }
  says "2 slower, 1 only in old, 1 only in new."
  run jq_like "$base/saved.json" '[(one["name"], one["verdict"]) for one in document["figures"]]'
  says "('read/1', 'slower')" "('write/1', 'only in new')" "('read/10', 'only in old')"
  nothing_left
}

@test "--compare with a file of Google Benchmark itself, of another machine, or with nothing in common" {
  cat >"$base/its own.json" <<'JSON'
{"context": {"cow_cache": {"cpu": "a processor that is not this one"}},
 "benchmarks": [{"name": "read/1", "run_type": "iteration", "cpu_time": 0.02, "real_time": 0.1, "time_unit": "us"},
                {"name": "read/1", "run_type": "iteration", "cpu_time": 0.02, "real_time": 0.1, "time_unit": "us"},
                {"name": "read/1_mean", "run_type": "aggregate", "cpu_time": 0.5, "time_unit": "us"},
                {"name": "read/10", "run_type": "iteration", "error_occurred": true, "error_message": "no"}]}
JSON
  of_program --compare "$base/its own.json" --repetitions 6
  succeeded
  says "is from another machine: a processor that is not this one" "Fewer than 5 repetitions tell nothing"
  [[ $(row read/1) == "read/1 20.0 ns 10.0 ns 0.500 cannot tell" && $(row read/10) == "read/10 - 10.0 ns - only in new" ]] || { echo "$output"; return 1; }
  rm "$FAKE_CALLS"
  of_program --compare "$base/its own.json" commit
  fails_with 2 "has none of these benchmarks"
  ! grep -q min_time "$FAKE_CALLS"
}

@test "builds what it runs and nothing else, and says on standard output the table alone" {
  tiny_project "$checkout"
  "$checkout/scripts/bench" --repetitions 1 >"$base/table" 2>"$base/else" || { cat "$base/else"; return 1; }
  [[ $(wc -l <"$base/table") -ge 5 && $(head -n 1 "$base/table") == benchmark* ]]
  ! grep -q ninja "$base/table"
  [[ -x $checkout/build/release/bench/microbenchmarks && ! -e $checkout/build/release/bench/compiled ]]
  printf '#!/bin/sh\necho "$@" >"$base/groups"\n' >"$checkout/scripts/setup"
  bench --repetitions 1 --list
  succeeded
  [[ $(<"$base/groups") == "--quiet --measure" && ${#lines[@]} == 3 ]]
}

@test "--compare REVISION: built beside this tree, once; faster, slower, cannot tell, on one side only" {
  tiny_project "$checkout"
  measures 20 read/1 read/10 gone
  commit_all one
  measures 10 read/1 read/10 new
  export FAKE_HOOK='[[ $job != read/10 ]] || nanoseconds=15' # on both sides
  bench --compare HEAD --repetitions 5
  succeeded
  [[ $(row read/1) == "read/1 20.0 ns 10.0 ns 0.500 (0.500 to 0.500) faster" ]] || { echo "$output"; return 1; }
  [[ $(row read/10) == "read/10 15.0 ns 15.0 ns 1.000 (1.000 to 1.000) cannot tell" ]] || { echo "$output"; return 1; }
  [[ $(row gone) == "gone 20.0 ns - - only in old" && $(row new) == "new - 10.0 ns - only in new" ]] || { echo "$output"; return 1; }
  says "old: HEAD ($(git -C "$checkout" rev-parse --short=12 HEAD))" "with changes)"
  says_not "apart in time"
  # The repository knows nothing of it, and what the next one needs is there.
  [[ $(git -C "$checkout" worktree list | wc -l) == 1 ]]
  [[ $(git -C "$checkout" status --porcelain) == " M bench/fake_program" ]]
  touch "$base/then"
  bench --compare HEAD --repetitions 1
  succeeded
  says_not ninja
  says "Fewer than 5 repetitions tell nothing"
  [[ -z $(find "$checkout/build" -newer "$base/then" -type f ! -name '*.lock') && $(ls "$checkout/build/revisions" | wc -l) == 1 ]]
  nothing_left
}

@test "--compare REVISION: both sides of a benchmark are neighbours and take turns at going first" {
  tiny_project "$checkout"
  commit_all one
  export FAKE_HOOK='[[ $job == list ]] || { case $0 in */revisions/*) echo "$job old" ;; *) echo "$job new" ;; esac; } >>"$base/order"'
  bench --compare HEAD --repetitions 6
  succeeded
  /usr/bin/python3 - "$base/order" <<'PYTHON'
import sys
runs = [line.rsplit(" ", 1) for line in open(sys.argv[1]).read().splitlines()]
assert len(runs) == 36, len(runs)
firsts = {}
for one, other in zip(runs[::2], runs[1::2]):
    assert one[0] == other[0] and {one[1], other[1]} == {"old", "new"}, (one, other)
    firsts.setdefault(one[0], []).append(one[1])
for name, sides in firsts.items():
    assert sides[0] != sides[1] and sides == sides[:2] * 3, (name, sides)
PYTHON
}

@test "--compare REVISION: what matches nothing there, or does not build there, or only there" {
  tiny_project "$checkout"
  measures 10 old
  commit_all one
  measures 10 new
  commit_all two
  bench --compare HEAD~1
  fails_with 2 "HEAD~1 has none of these benchmarks"
  bench --compare HEAD~1 new
  fails_with 2 "HEAD~1 ($(git -C "$checkout" rev-parse --short=12 HEAD~1)): no benchmark matches 'new'"
  bench --compare HEAD~1 old
  fails_with 2 "bench: no benchmark matches 'old'"
  cp "$checkout/bench/meson.build" "$base/meson.build"
  echo "nonsense" >"$checkout/bench/meson.build"
  commit_all three
  cp "$base/meson.build" "$checkout/bench/meson.build"
  bench --compare HEAD
  fails_with 1 "the build of $checkout/build/revisions/"
  nothing_left
}

@test "a FILE goes before a revision of the same name" {
  tiny_project "$checkout"
  commit_all one
  echo '{"context": {}, "benchmarks": [{"name": "read/1", "cpu_time": 1.0, "time_unit": "ns"}]}' >"$base/HEAD"
  bench --compare HEAD --repetitions 1
  succeeded
  says "apart in time"
}

interrupted_in() { # SIGNAL STAGE
  rm -rf "$base/reached" "$checkout/build" "$base/new.json"
  unset FAKE_HOOK
  cp "$source_root/scripts/build-release" "$checkout/scripts/build-release"
  # What a benchmark, or a compiler, may have on its hands.
  local busy='mkdir "$TMPDIR/cow_cache.store"; sleep 1000 & setsid sleep 1000 & touch "$base/reached"; wait'
  case $2 in
    archive)
      mkdir -p "$base/fakes"
      printf '#!/bin/bash\n%s\n' "$busy" >"$base/fakes/tar"
      chmod +x "$base/fakes/tar" ;;
    build) printf '#!/bin/bash\n%s\n' "$busy" >"$checkout/scripts/build-release" ;;
    list) export FAKE_HOOK="$busy" ;;
    measuring) export FAKE_HOOK="[[ \$job != commit* ]] || { $busy; }" ;;
  esac
  start env PATH="$base/fakes:$PATH" "$checkout/scripts/bench" --compare HEAD --json "$base/new.json"
  wait_for "$base/reached" || return 1
  rm -f "$base/fakes/tar"
  kill "-$1" "$started"
  ended
  [[ $status == $((128 + $(kill -l "$1"))) ]] || { echo "SIG$1 in $2: exit code $status: $output"; return 1; }
  no_traceback && nothing_left || { echo "after SIG$1 in $2"; return 1; }
  [[ ! -e $base/new.json ]] || { echo "SIG$1 in $2: wrote what was not finished"; return 1; }
  [[ $1 == KILL || $output == *"ended by SIG$1"* ]] || { echo "SIG$1 in $2: $output"; return 1; }
  [[ $2 != archive || -z $(ls "$checkout/build/revisions" 2>/dev/null) ]] || { echo "half a revision"; return 1; }
}

@test "signals at each stage: nothing is left, and nothing by halves" {
  tiny_project "$checkout"
  commit_all one
  local signal stage
  for signal in INT TERM HUP KILL; do
    for stage in archive build list measuring; do interrupted_in "$signal" "$stage" || return 1; done
  done
}

@test "Ctrl-C shows what there is" {
  export FAKE_HOOK='[[ $job != commit* || ! -e "$base/once" ]] || { touch "$base/reached"; sleep 1000; }; [[ $job != commit* ]] || touch "$base/once"'
  start "$checkout/scripts/bench" --program "$binaries/microbenchmarks"
  wait_for "$base/reached"
  kill -INT "$started"
  ended
  fails_with 130 "ended by SIGINT"
  [[ $(row read/1) == "read/1 10.0 ns"* && $(row commit/manual_time) == "commit/manual_time 10.0 ns -" ]] || { echo "$output"; return 1; }
  nothing_left
}

@test "table and progress fit into terminals of 24, 40, 80 and 120 columns" {
  tiny_project "$checkout"
  measures 10 a-benchmark/with-a-long/name:1 other
  commit_all one
  # Without patience, so that there is progress to be seen.
  sed -i 's/^PATIENCE_S = .*/PATIENCE_S = 0.0/' "$checkout/bench/report/bench.py"
  local columns longest
  for columns in 1 24 40 80 120; do
    in_terminal "$columns" "$checkout/scripts/bench" --compare HEAD --repetitions 5 || { cat "$base/shown"; return 1; }
    ! grep -q Traceback "$base/shown"
    longest=$(progress_lines | awk 'length > most { most = length } END { print most + 0 }')
    ((longest < columns)) || { echo "$longest columns of $columns"; return 1; }
    ((columns < 24)) || { ((longest > 0)) && shown_lines | grep -q '^a-benchmark/with-a-long/name:1'; } || { cat "$base/shown"; return 1; }
    # The figures themselves; what follows them is text.
    longest=$(shown_lines | sed -n '/^benchmark\|^a-benchmark/,/^ *$/p' | tr -d '\r' | awk 'length > most { most = length } END { print most + 0 }')
    ((columns < 40 || longest < columns)) || { echo "$longest columns of $columns"; cat "$base/shown"; return 1; }
  done
}

@test "nobody listens: what was asked for is written all the same" {
  run /usr/bin/python3 - "$checkout/scripts/bench" --program "$binaries/microbenchmarks" --json "$base/new.json" --repetitions 1 <<'PYTHON'
import os, subprocess, sys
reading, writing = os.pipe()
os.close(reading)
sys.exit(subprocess.run(sys.argv[1:], stdout=writing, stderr=writing).returncode)
PYTHON
  [[ $status == 0 && -s $base/new.json ]] || { echo "$status"; return 1; }
  rm "$base/new.json"
  run bash -c '"$@" >&- 2>&- <&-' _ "$checkout/scripts/bench" --program "$binaries/microbenchmarks" --json "$base/new.json" --repetitions 1
  [[ $status == 0 && -s $base/new.json ]] || { echo "$status"; return 1; }
  run env LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0 "$checkout/scripts/bench" --program "$binaries/microbenchmarks" --repetitions 3
  succeeded
}

@test "a checkout that is built and not to be written to" {
  ((EUID == 0)) || skip "what is one's own can always be written to"
  tiny_project "$checkout"
  commit_all one
  bench --compare HEAD --repetitions 1
  succeeded
  chmod -R go-w "$checkout"
  git config --file "$base/gitconfig" --add safe.directory '*'
  local as_nobody=(setpriv --reuid nobody --regid nogroup --clear-groups env GIT_CONFIG_GLOBAL="$base/gitconfig")
  chmod 644 "$base/gitconfig"
  run "${as_nobody[@]}" "$checkout/scripts/bench" --repetitions 1
  succeeded
  run "${as_nobody[@]}" "$checkout/scripts/bench" --repetitions 1 --compare HEAD
  succeeded
  rm -rf "$checkout/build/revisions"
  run "${as_nobody[@]}" "$checkout/scripts/bench" --repetitions 1 --compare HEAD
  fails_with 1 "Permission denied"
}
