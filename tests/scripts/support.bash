# For all tests of the scripts: a checkout of its own in a path with a space, programs that measure nothing, a temporary folder
# that must be empty at the end, and what it takes to send signals.

source_root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]%/*}")")")

setup() {
  base=$(mktemp -d "${BATS_TMPDIR:-/tmp}/scripts test.XXXXXX")
  chmod 755 "$base"
  checkout="$base/a checkout"
  mkdir -p "$checkout/bench" "$base/temporary files" "$checkout/papers"
  chmod 1777 "$base/temporary files"
  cp -r "$source_root/scripts" "$checkout/"
  cp -r "$source_root/bench/report" "$source_root/bench/experiments" "$checkout/bench/"
  rm -rf "$checkout/bench/report/tests"
  # The packages are there, or this would not run; asking for them is not what is tested.
  printf '#!/bin/sh\nexit 0\n' >"$checkout/scripts/setup"
  chmod +x "$checkout/scripts/setup"
  binaries="$base/programs"
  fake_programs "$binaries"
  reproduce="$checkout/scripts/reproduce"
  out="$base/the run"
  export TMPDIR="$base/temporary files" FAKE_CALLS="$base/calls" base out
  export -n FAKE_HOOK 2>/dev/null || true
  unset FAKE_HOOK COW_CACHE_ROOT PYTHONPATH
  cd "$base" || exit 1
}

teardown() {
  cd / || exit 1
  # Children of a test that failed; of one that passed there are none.
  local process
  for process in $(env -u base grep -lza "^base=$base\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do kill -KILL "$process" 2>/dev/null || true; done
  if mountpoint -q "$base/small" 2>/dev/null; then umount "$base/small"; fi
  chmod -R u+w "$base" 2>/dev/null || true
  rm -rf "$base"
}

fake_programs() { # FOLDER
  local name
  mkdir -p "$1/cluster" "$1/traffic"
  for name in claims experiment probes ablation publisher publisher_load microbenchmarks peers simulate-cache \
    cluster/simulate-cluster traffic/count-traffic traffic/time-operations; do
    cp "$source_root/tests/scripts/fake_program" "$1/$name"
  done
}

# A checkout that can be built in seconds, by its real build script: its `claims` and `microbenchmarks` measure nothing.
tiny_project() { # CHECKOUT
  cp "$source_root/tests/scripts/fake_program" "$1/bench/fake_program"
  printf 'int main() {}\n' >"$1/bench/compiled.cpp"
  printf "option('tests', type: 'boolean', value: true)\n" >"$1/meson_options.txt"
  printf "project('tiny', 'cpp')\nsubdir('bench')\n" >"$1/meson.build"
  cat >"$1/bench/meson.build" <<'MESON'
executable('compiled', 'compiled.cpp')
configure_file(input: 'fake_program', output: 'claims', copy: true)
custom_target('microbenchmarks', input: 'fake_program', output: 'microbenchmarks', command: ['cp', '@INPUT@', '@OUTPUT@'],
  build_by_default: true)
MESON
}

in_terminal() { # COLUMNS COMMAND...: what it shows goes to $base/shown. Every terminal has a name: without one Ninja shortens no line
  local columns=$1
  shift
  printf '%q ' "$@" >"$base/typed"
  TERM=xterm script -qec "stty cols $columns rows 24; exec bash '$base/typed'" "$base/shown" </dev/null >/dev/null
}

shown_lines() { tr '\r' '\n' <"$base/shown" | sed 's/\x1b\[K//g' | grep -v '^Script '; }
progress_lines() { shown_lines | grep '^\[ *[0-9]'; }

claims_run() { # ARGUMENT...: three jobs, of which each is a row, and no figure to draw
  "$reproduce" --only claims --binaries "$binaries" --out "$out" "$@"
}

fails_with() { # CODE TEXT: of the last `run`
  [[ $status == "$1" ]] || { echo "exit code $status, not $1: $output"; return 1; }
  [[ $output == *"$2"* ]] || { echo "does not say '$2': $output"; return 1; }
  no_traceback
}

no_traceback() {
  [[ $output != *Traceback* ]] || { echo "$output"; return 1; }
}

left_processes() { # whatever carries the mark of a run
  env -u TMPDIR grep -lza "^TMPDIR=$TMPDIR/cow_cache-run-" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

nothing_left() { # of a run that has ended: a killed one has a watcher, which is given its time
  local waited left=something
  for ((waited = 0; waited < 1000; waited++)); do
    left=$(left_processes; find "$TMPDIR" "$checkout" -name 'cow_cache*' -o -path '*/temporary files/*' -o -name 'measure-*') || true
    [[ -n $left ]] || return 0
    sleep 0.02
  done
  echo "left behind: $left"
  return 1
}

nothing_begun() { # refused before anything was set up, built, measured or written
  [[ ! -e $FAKE_CALLS && ! -e $checkout/build && ! -e $checkout/results && ! -e $out ]] || {
    ls -la "$base" "$checkout"
    return 1
  }
}

wait_for() { # FILE
  local waited
  for ((waited = 0; waited < 1500; waited++)); do
    if [[ -e $1 ]]; then return 0; fi
    sleep 0.02
  done
  echo "no $1; so far: $(cat "$base/said" 2>/dev/null)"
  return 1
}

# In the background, hearing signals as in the foreground; what it says goes to $base/said.
start() { # COMMAND...
  env --default-signal=INT,TERM,HUP "$@" <&0 >"$base/said" 2>&1 3>&- 4>&- &
  started=$!
}

ended() { # sets `status` and `output` as `run` does
  local waited
  for ((waited = 0; waited < 2000; waited++)); do
    if [[ ! -e /proc/$started ]] || grep -q '^State:.Z' "/proc/$started/status" 2>/dev/null; then break; fi
    sleep 0.02
  done
  ((waited < 2000)) || kill -KILL "$started"
  status=0
  wait "$started" || status=$?
  output=$(<"$base/said")
}

rows() { # FOLDER: how many
  if [[ -f $1/rows.jsonl ]]; then wc -l <"$1/rows.jsonl"; else echo 0; fi
}
