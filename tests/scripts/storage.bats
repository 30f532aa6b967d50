# Rows land whole or not, a job counts by its own mark, and what can be asked about room and rights is asked first.
load support

# Rows of a hundred kilobytes, so that a limit falls into the middle of one.
large='name=publisher_load row="{\"filler\": \"$(head -c 100000 /dev/zero | tr "\0" x)\", \"operations\": 100, \"throughput\": 10.0"'

every_job_once() { # FOLDER: and each of its rows is whole
  /usr/bin/python3 - "$1" <<'PYTHON'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
jobs = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
assert len({row["id"] for row in rows}) == len(rows), "ids"
assert sorted(row["job"] for row in rows) == sorted(job["job"] for job in jobs), "jobs"
assert len({job["job"] for job in jobs}) == len(jobs), "twice"
PYTHON
}

small_file_system() { # MEGABYTES
  ((EUID == 0)) || skip "mounting wants root"
  mkdir -p "$base/small"
  mount -t tmpfs -o "size=$1m" tmpfs "$base/small" 2>/dev/null || skip "cannot mount here"
}

@test "a file that cannot grow in the middle of a row: said, kept whole, and resumed" {
  export FAKE_HOOK="$large"
  run bash -c 'ulimit -f 250; exec "$@"' _ "$reproduce" --only E7 --binaries "$binaries" --out "$out"
  fails_with 1 "--resume '$out'"
  [[ $output == *"File too large"* ]]
  [[ $(rows "$out") == 2 && $(wc -l <"$out/jobs.jsonl") == 2 ]]
  every_job_once "$out" && nothing_left
  run "$reproduce" --resume "$out"
  [[ $status == 0 ]] || { echo "$output"; return 1; }
  [[ $(rows "$out") == 16 ]]
  every_job_once "$out" && nothing_left
}

@test "a disk that fills up in the middle of a run: said, kept whole, and resumed" {
  small_file_system 80
  out="$base/small/run"
  export FAKE_HOOK="$large"'; [[ $(wc -l <"$FAKE_CALLS") -lt 5 ]] || head -c 100m /dev/zero >"$base/small/filler" 2>/dev/null'
  run "$reproduce" --only E7 --binaries "$binaries" --out "$out"
  fails_with 1 "No space left on device"
  [[ $output == *"--resume '$out'"* ]]
  every_job_once "$out"
  [[ $(rows "$out") -lt 16 ]]
  rm "$base/small/filler"
  unset FAKE_HOOK
  run "$reproduce" --resume "$out"
  [[ $status == 0 && $(rows "$out") == 16 ]] || { echo "$output"; return 1; }
  every_job_once "$out"
}

@test "a report that finds no room is no traceback, and is drawn later" {
  mkdir -p "$base/no"
  export FAKE_HOOK='mkdir -p "$out/report.html.new"'
  run claims_run
  fails_with 1 "--resume '$out'"
  rmdir "$out/report.html.new"
  unset FAKE_HOOK
  run "$reproduce" --resume "$out"
  [[ $status == 0 && -s $out/report.html && $(rows "$out") == 3 ]] || { echo "$output"; return 1; }
}

@test "too little room for a report is said before anything is measured" {
  small_file_system 4
  run "$reproduce" --only claims --binaries "$binaries" --out "$base/small/run"
  fails_with 2 "has room for"
  [[ ! -e $FAKE_CALLS && ! -e $base/small/run ]]
}

@test "too little room for stores is said before anything is measured" {
  small_file_system 80
  mkdir "$base/small/temporary"
  TMPDIR="$base/small/temporary" run "$reproduce" --only E1 --binaries "$binaries" --out "$out"
  fails_with 2 "has room for"
  [[ ! -e $FAKE_CALLS && ! -e $out && -z $(ls "$base/small/temporary") ]]
}

@test "--out that cannot be written to is said before anything is measured" {
  touch "$base/file"
  run "$reproduce" --only claims --binaries "$binaries" --out "$base/file/run"
  fails_with 2 "$base/file"
  run "$reproduce" --only claims --binaries "$binaries" --out /proc/run
  fails_with 2 "cannot write to /proc/run"
  [[ ! -e $FAKE_CALLS ]]
  nothing_left
}

@test "--resume of a finished run measures nothing and keeps its facts" {
  run claims_run
  [[ $status == 0 ]]
  cp "$out/machine.json" "$base/facts"
  cp "$out/rows.jsonl" "$base/rows"
  rm "$FAKE_CALLS" "$out/report.html"
  run "$reproduce" --resume "$out"
  [[ $status == 0 && $output == *"nothing is left to measure"* && -s $out/report.html ]]
  cmp "$out/machine.json" "$base/facts"
  cmp "$out/rows.jsonl" "$base/rows"
  [[ ! -e $FAKE_CALLS ]]
}

@test "--resume notes a sitting of its own beside the facts of the first" {
  export FAKE_HOOK='[[ $job == chase ]] || exit 3'
  run claims_run
  [[ $status == 1 && $(rows "$out") == 1 ]]
  cp "$out/machine.json" "$base/facts"
  unset FAKE_HOOK
  run "$reproduce" --resume "$out"
  [[ $status == 0 && $(rows "$out") == 3 ]]
  /usr/bin/python3 - "$base/facts" "$out/machine.json" <<'PYTHON'
import json, sys
was, now = (json.load(open(name)) for name in sys.argv[1:])
assert (len(was["sessions"]), len(now["sessions"])) == (1, 2)
assert now["sessions"][0] == was["sessions"][0]
assert (now["begun"], now["before"], now["machine"]) == (was["begun"], was["before"], was["machine"])
assert now["runs"] == was["runs"] + 2 and now["finished"] and not was["finished"]
PYTHON
}

@test "a run is resumed with the programs that it was begun with" {
  export FAKE_HOOK='[[ $job == chase ]] || exit 3'
  run claims_run
  unset FAKE_HOOK
  printf '#!/bin/sh\nexit 1\n' >"$checkout/scripts/build-release"
  run "$reproduce" --resume "$out"
  [[ $status == 0 ]] || { echo "$output"; return 1; }
}

@test "two runs that start at once have a folder each" {
  "$reproduce" --only claims --binaries "$binaries" >"$base/one" 2>&1 3>&- &
  local one=$!
  "$reproduce" --only claims --binaries "$binaries" >"$base/other" 2>&1 3>&- &
  local other=$!
  wait "$one" && wait "$other" || { cat "$base/one" "$base/other"; return 1; }
  [[ $(ls "$checkout/results" | wc -l) == 2 ]]
  local folder
  for folder in "$checkout"/results/*; do
    [[ $(rows "$folder") == 3 ]]
    every_job_once "$folder"
  done
  nothing_left
}

@test "two runs into one folder: the second is refused, to resume as well as to begin" {
  export FAKE_HOOK='touch "$base/reached"; until [[ -e "$base/go" ]]; do sleep 0.02; done'
  start "$reproduce" --only claims --binaries "$binaries" --out "$out"
  wait_for "$base/reached"
  run "$reproduce" --only claims --binaries "$binaries" --out "$out"
  fails_with 2 "raw data is never overwritten"
  run "$reproduce" --resume "$out"
  fails_with 2 "being measured by another run"
  touch "$base/go"
  ended
  [[ $status == 0 && $(rows "$out") == 3 ]]
}

@test "only a whole run for results is published, and its size goes with it" {
  echo earlier >"$checkout/papers/findings.md"
  sed -i 's/repetitions=10, seconds=3.0/repetitions=3, seconds=0.1/' "$checkout/bench/report/model.py"
  # One experiment is all that there are, so that the whole is quickly drawn.
  find "$checkout/bench/experiments" -name '*.py' ! -name __init__.py ! -name publisher.py -delete
  sed -i 's/^FLIGHTS = .*/FLIGHTS = (1,)/; s/^WAITS = .*/WAITS = (1,)/; s/^SHARES = .*/SHARES = (0.0,)/' \
    "$checkout/bench/experiments/publisher.py"
  export FAKE_HOOK='[[ $name != publisher_load || -e "$base/failed" ]] || { touch "$base/failed"; exit 1; }'
  run "$reproduce" --full --force --publish --binaries "$binaries" --out "$out"
  fails_with 1 "not published: 1 of its runs"
  [[ $(<"$checkout/papers/findings.md") == earlier ]]
  run "$reproduce" --resume "$out" --force --publish
  [[ $status == 0 ]] || { echo "$output"; return 1; }
  grep -q "From a full run" "$checkout/papers/findings.md"
  [[ -z $(find "$checkout/papers" -name '*.new') ]]
  # The shorter size is for results as well.
  sed -i 's/repetitions=5, seconds=1.0/repetitions=3, seconds=0.1/' "$checkout/bench/report/model.py"
  run "$reproduce" --paper --force --publish --binaries "$binaries" --out "$base/shorter"
  [[ $status == 0 ]] || { echo "$output"; return 1; }
  grep -q "From a paper run" "$checkout/papers/findings.md"
  grep -q '"size": "paper"' "$checkout/papers/published.jsonl"
  grep -q "Paper run" "$base/shorter/report.html"
}
