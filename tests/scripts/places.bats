# Whose terminal, whose checkout, which user, which letters: a run does not depend on them.
load support

@test "the progress line fits into terminals of 24, 40 and 120 columns" {
  local columns longest
  for columns in 1 10 24 40 120; do
    rm -rf "$out"
    in_terminal "$columns" "$reproduce" --only E7 --binaries "$binaries" --out "$out" ||
      { cat "$base/shown"; return 1; }
    ! grep -q Traceback "$base/shown"
    longest=$(progress_lines | awk 'length > most { most = length } END { print most + 0 }')
    ((longest < columns)) || { echo "$longest columns of $columns"; return 1; }
    ((columns < 24)) || ((longest > 0))
    [[ $(rows "$out") == 16 ]]
  done
  progress_lines | grep -q 'left$'
}

@test "without a terminal, with standard error closed, with nobody who listens" {
  run claims_run
  [[ $status == 0 && $output == *"[1/3]"* && $output != *$'\r'* ]]
  rm -rf "$out"
  run bash -c '"$@" 2>&-' _ "$reproduce" --only claims --binaries "$binaries" --out "$out"
  [[ $status == 0 && $(rows "$out") == 3 ]] || { echo "$output"; return 1; }
  rm -rf "$out"
  run bash -c '"$@" >&- 2>&- <&-' _ "$reproduce" --only claims --binaries "$binaries" --out "$out"
  [[ $status == 0 && $(rows "$out") == 3 ]]
  rm -rf "$out"
  # A pipe without a reader, for all that is said.
  run /usr/bin/python3 - "$reproduce" --only claims --binaries "$binaries" --out "$out" <<'PYTHON'
import os, subprocess, sys
reading, writing = os.pipe()
os.close(reading)
sys.exit(subprocess.run(sys.argv[1:], stdout=writing, stderr=writing).returncode)
PYTHON
  [[ $status == 0 && $(rows "$out") == 3 && -s $out/report.html ]] || { echo "$status"; return 1; }
  nothing_left
}

@test "with no descriptor open: claims, compare-builds and bench as well" {
  tiny_project "$checkout"
  local script
  for script in "claims --json '$base/new.json' chase" \
    "compare-builds '$binaries/claims' '$binaries/claims' chase --pairs 1 --json '$base/new.json'" \
    "bench --repetitions 1 --json '$base/new.json'"; do
    rm -f "$base/new.json"
    run bash -c "exec >&- 2>&- <&-; '$checkout'/scripts/$script"
    [[ $status == 0 && -s $base/new.json ]] || { echo "$script: $status"; return 1; }
  done
  nothing_left
}

with_locale() { # ENVIRONMENT...
  rm -rf "$out"
  run env "$@" "$reproduce" --only claims --binaries "$binaries" --out "$out"
  [[ $status == 0 ]] && no_traceback || { echo "$output"; return 1; }
  grep -q '✓' "$out/report.html" && grep -q ' ≤ ✓' "$out/findings.md" || return 1
  run env "$@" "$reproduce" --compare "$out" "$out"
  [[ $status == 0 ]] && no_traceback || { echo "$output"; return 1; }
}

@test "a locale of plain ASCII" {
  with_locale -u LANG -u LC_CTYPE LC_ALL=C PYTHONCOERCECLOCALE=0 PYTHONUTF8=0
}

@test "a locale of Latin-1" {
  mkdir "$base/locales"
  localedef -i en_US -f ISO-8859-1 "$base/locales/en_US.ISO-8859-1" 2>/dev/null || skip "localedef has no sources here"
  with_locale LOCPATH="$base/locales" LC_ALL=en_US.ISO-8859-1
}

@test "no file is read or written in the locale's letters" {
  run env PYTHONWARNDEFAULTENCODING=1 "$reproduce" --only E7 --binaries "$binaries" --out "$out"
  [[ $status == 0 ]]
  ! grep EncodingWarning <<<"$output" | grep "$checkout"
}

@test "an ordinary user, in a checkout of his own" {
  ((EUID == 0)) || skip "is one already"
  chown -R nobody "$checkout"
  run setpriv --reuid nobody --regid nogroup --clear-groups "$reproduce" --only claims --binaries "$binaries"
  [[ $status == 0 && $(rows "$checkout"/results/*) == 3 ]] || { echo "$output"; return 1; }
  nothing_left
}

@test "a checkout that is built and not to be written to" {
  ((EUID == 0)) || skip "what is one's own can always be written to"
  tiny_project "$checkout"
  run "$checkout/scripts/build-release"
  [[ $status == 0 ]]
  chmod -R go-w "$checkout"
  local as_nobody=(setpriv --reuid nobody --regid nogroup --clear-groups)
  run "${as_nobody[@]}" "$reproduce" --only claims
  fails_with 2 "--out names another place"
  mkdir -m 777 "$base/elsewhere"
  run "${as_nobody[@]}" "$reproduce" --only claims --out "$base/elsewhere/run"
  [[ $status == 0 && $(rows "$base/elsewhere/run") == 3 ]] || { echo "$output"; return 1; }
  nothing_left
  run "${as_nobody[@]}" "$checkout/scripts/claims" chase
  [[ $status == 0 && $output == *holds* ]] || { echo "$output"; return 1; }
  touch "$checkout/bench/compiled.cpp"
  run "${as_nobody[@]}" "$reproduce" --only claims --out "$base/elsewhere/other"
  fails_with 1 "is not up to date, and cannot be written to"
  [[ ! -e $base/elsewhere/other ]]
}

@test "nothing to build prints nothing" {
  tiny_project "$checkout"
  run "$checkout/scripts/build-release"
  [[ $status == 0 && -n $output ]]
  run "$checkout/scripts/build-release"
  [[ $status == 0 && -z $output ]] || { echo "$output"; return 1; }
  touch "$checkout/bench/compiled.cpp"
  run "$checkout/scripts/build-release"
  [[ $status == 0 && -n $output ]]
  echo "error" >"$checkout/bench/compiled.cpp"
  run "$checkout/scripts/build-release"
  [[ $status == 1 ]]
}

@test "two builds at once" {
  tiny_project "$checkout"
  "$checkout/scripts/build-release" >"$base/one" 2>&1 3>&- &
  local one=$!
  "$checkout/scripts/build-release" >"$base/other" 2>&1 3>&- &
  local other=$!
  wait "$one" && wait "$other" || { cat "$base/one" "$base/other"; return 1; }
  ! grep -l Traceback "$base/one" "$base/other"
  [[ -x $checkout/build/release/bench/compiled ]]
}

@test "a copied and a moved checkout build in their own folder" {
  tiny_project "$checkout"
  run "$checkout/scripts/build-release"
  [[ $status == 0 ]]
  touch "$base/then"
  cp -a "$checkout" "$base/copy"
  run "$base/copy/scripts/build-release"
  [[ $status == 0 && $output == *"beginning anew"* ]] || { echo "$output"; return 1; }
  [[ -z $(find "$checkout/build/release" -newer "$base/then") ]]
  run "$base/copy/scripts/build-release"
  [[ $status == 0 && -z $output ]]
  mv "$checkout" "$base/moved"
  run "$base/moved/scripts/build-release"
  [[ $status == 0 && -x $base/moved/build/release/bench/compiled && ! -e $checkout ]] || { echo "$output"; return 1; }
  mkdir "$checkout" # for the end of the test
}

@test "a build folder that another compiler has made is made anew" {
  compiler_of_build() { grep -om 1 'g++\|clang++' "$checkout/build/release/compile_commands.json"; }
  tiny_project "$checkout"
  CXX=clang++ run "$checkout/scripts/build-release"
  [[ $status == 0 && $output != *"beginning anew"* && $(compiler_of_build) == clang++ ]] || { echo "$output"; return 1; }
  CXX=clang++ run "$checkout/scripts/build-release"
  [[ $status == 0 && -z $output ]]
  CXX=g++ run "$checkout/scripts/build-release"
  [[ $status == 0 && $output == *"made with"*"clang++"*"beginning anew"* && $(compiler_of_build) == g++ ]] || { echo "$output"; return 1; }
  CXX=g++ run "$checkout/scripts/build-release"
  [[ $status == 0 && -z $output ]]
}

@test "a build folder that is another checkout's, by a link, is left alone" {
  tiny_project "$checkout"
  run "$checkout/scripts/build-release"
  [[ $status == 0 ]]
  mkdir "$base/copy"
  cp -a "$checkout"/{scripts,bench,meson*} "$base/copy/"
  ln -s "$checkout/build" "$base/copy/build"
  run "$base/copy/scripts/build-release"
  fails_with 1 "is the build folder of $checkout"
  [[ -x $checkout/build/release/bench/compiled ]]
}

@test "a link to a script finds the checkout" {
  ln -s "$reproduce" "$base/link"
  ln -s "$base/link" "$base/link to a link"
  run "$base/link to a link" --only claims --binaries "$binaries"
  [[ $status == 0 && $(rows "$checkout"/results/*) == 3 ]] || { echo "$output"; return 1; }
  local script
  for script in claims compare-builds bench; do
    ln -s "$checkout/scripts/$script" "$base/$script"
    CDPATH=/ run "$base/$script" --help
    [[ $status == 0 ]] || { echo "$output"; return 1; }
  done
}
