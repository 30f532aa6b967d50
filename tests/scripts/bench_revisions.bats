# scripts/bench --compare REVISION: what is built, which side runs when, and what is left, however it ends and wherever it is.
load bench_support

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
