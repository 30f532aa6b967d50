# scripts/bench: which benchmarks run, how often and in which order, what is said of them and written.
load bench_support

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
  export FAKE_BENCHMARKS='a/1 a/10 b<int>(x)[3]+{2}.*^$|?'
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
    run of_json "$base/new.json" '[one["name"] for one in document["benchmarks"]].count("read/10"), len(document["benchmarks"])'
    [[ $output == "(0, 6)" ]] || { echo "$how: $output"; return 1; }
  done
  nothing_left
}

@test "--json is Google Benchmark's, and says of what it is; --compare with it says that it was apart in time" {
  tiny_project "$checkout"
  commit_all one
  bench --json "$base/saved.json" --repetitions 6
  succeeded
  says_not "apart in time"
  run of_json "$base/saved.json" '(sorted({one["repetition_index"] for one in document["benchmarks"]}), {one["repetitions"] for one in document["benchmarks"]}, document["context"]["num_cpus"], len(document["context"]["cow_cache"]["commit"]), document["context"]["cow_cache"]["dirty"], document["figures"][0]["nanoseconds"]["median"])'
  [[ $output == "([0, 1, 2, 3, 4, 5], {6}, 2, 40, False, 10.0)" ]] || { echo "$output"; return 1; }
  measures 20 read/1 write/1 commit/manual_time
  bench --compare "$base/saved.json" --repetitions 6 --json "$base/saved.json" # read before it is replaced
  succeeded
  says "apart in time" "$base/saved.json (2026-01-01T00:00:00+00:00, " "with changes)"
  [[ $(row read/1) == "read/1 10.0 ns 20.0 ns 2.000 (2.000 to 2.000) slower" ]] || { echo "$output"; return 1; }
  [[ $(row read/10) == "read/10 10.0 ns - - only in old" && $(row write/1) == "write/1 - 20.0 ns - only in new" ]] || { echo "$output"; return 1; }
  says "2 slower, 1 only in old, 1 only in new."
  run of_json "$base/saved.json" '[(one["name"], one["verdict"]) for one in document["figures"]]'
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
