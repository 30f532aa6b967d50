# What makes no sense is refused with exit code 2, before anything is set up, built, measured or written.
load support

refused() { # WHAT-IT-SAYS ARGUMENT...
  local says=$1
  shift
  printf '#!/bin/sh\necho setup >>"$FAKE_CALLS"\n' >"$checkout/scripts/setup"
  printf '#!/bin/sh\necho build >>"$FAKE_CALLS"\n' >"$checkout/scripts/build-release"
  run "$reproduce" "$@"
  fails_with 2 "$says" && nothing_begun && nothing_left
}

@test "reproduce: an argument too many" { refused "unrecognized arguments" --smoke more; }
@test "reproduce: an abbreviated flag" { refused "unrecognized arguments" --smok; }
@test "reproduce: --only ''" { refused "without a name" --only ''; }
@test "reproduce: --only with an empty name among others" { refused "without a name" --only E4,,E5; }
@test "reproduce: --only with an unknown name" { refused "no experiment nonsense" --only nonsense; }

@test "reproduce: numbers that are none" {
  local flag value
  for flag in --seed --repetitions; do
    for value in -1 nan inf 1.5 '' 99999999999999999999 1_0; do refused "no whole number" "$flag=$value" || return 1; done
  done
  refused "no whole number" --repetitions 0
}

@test "reproduce: empty names of folders" {
  local flag
  for flag in --out --resume --binaries; do refused "is empty" "$flag" '' || return 1; done
}

@test "reproduce: --list, --artifact and --compare go with nothing else" {
  local beside
  for beside in --smoke --full --force --publish "--only=E4" "--seed=1" "--out=x" "--binaries=$binaries" --artifact; do
    refused "goes with nothing else" --list "$beside" || return 1
  done
  refused "goes with nothing else" --artifact --full
  refused "goes with nothing else" --kick --smoke
  refused "goes with nothing else" --compare a b --force
  refused "unrecognized arguments" --list more
}

@test "reproduce: --binaries without the programs" {
  refused "no program claims" --only claims --binaries "$base"
  refused "no program" --binaries "$base/nowhere"
  rm "$binaries/publisher"
  refused "no program publisher" --only E7 --binaries "$binaries"
  chmod -x "$binaries/claims"
  refused "no program claims" --only claims --binaries "$binaries"
}

@test "reproduce: --out with something in it" {
  mkdir "$base/full"
  touch "$base/full/file"
  refused "raw data is never overwritten" --out "$base/full"
  refused "raw data is never overwritten" --out "$base/full/file"
}

@test "reproduce: two sizes at once" {
  refused "not allowed with argument" --smoke --paper
  refused "not allowed with argument" --paper --full
}

@test "reproduce: --publish of a run that is no whole one for results" {
  refused "--publish is for results" --publish
  refused "--publish is for results" --publish --smoke
  refused "--publish is for results" --publish --paper --only claims
  refused "--publish is for results" --publish --paper --repetitions 2
  refused "--publish is for results" --publish --full --only claims
  refused "--publish is for results" --publish --full --repetitions 2
}

@test "reproduce: --resume of what is no run" {
  refused "holds no run" --resume "$base/nowhere"
  mkdir "$base/odd"
  local plan
  for plan in '' '[]' '{"size": "smoke"}' '{"size": "huge", "only": null, "seed": 1, "repetitions": 1}' \
    '{"size": "smoke", "only": null, "seed": "x", "repetitions": 1}'; do
    echo "$plan" >"$base/odd/plan.json"
    refused "holds no run" --resume "$base/odd" || return 1
  done
  refused "takes everything from the run" --resume "$base/odd" --full
  refused "takes everything from the run" --resume "$base/odd" --paper
}

@test "claims: nonsense" {
  reproduce="$checkout/scripts/claims"
  refused "no claim nonsense" nonsense
  refused "no claim" ''
  refused "unrecognized arguments" --nonsense
  refused "unrecognized arguments" --qui
  refused "goes with nothing else" --list chase
  refused "No such file or directory" --json "$base/nowhere/file" chase
  refused "Is a directory" --json "$base" chase
}

@test "compare-builds: nonsense" {
  reproduce="$checkout/scripts/compare-builds"
  local old="$binaries/claims"
  refused "no claim nonsense" "$old" "$old" nonsense
  refused "no claims program" "$old" "$base"
  refused "no whole number" "$old" "$old" --pairs 0
  refused "no whole number" "$old" "$old" --pairs nan
  refused "must be above 0" "$old" "$old" --bound nan
  refused "must be above 0" "$old" "$old" --bound 0
  refused "No such file or directory" "$old" "$old" --json "$base/nowhere/file"
  chmod -x "$old"
  refused "no claims program" "$old" "$old"
}

@test "bench: nonsense" {
  reproduce="$checkout/scripts/bench"
  local value
  refused "unrecognized arguments" one another
  refused "unrecognized arguments" --lis
  refused "FILTER is empty" ''
  for value in 0 -1 nan 1.5 '' 10001; do refused "no whole number" "--repetitions=$value" || return 1; done
  for value in 0 -1 nan inf; do refused "must be above 0" "--seconds=$value" || return 1; done
  refused "invalid positive value" --seconds x
  refused "more than 3600" --seconds 1e300
  for value in --json=x --compare=x; do refused "--list goes with" --list "$value" || return 1; done
  refused "is empty" --json ''
  refused "Is a directory" --json "$base"
  refused "No such file or directory" --json "$base/nowhere/file"
  refused "no program at" --program "$base/nowhere"
  refused "no program at" --program "$base"
}

@test "bench: nothing to compare with" {
  reproduce="$checkout/scripts/bench"
  refused "not a checkout of its own by git" --compare main
  git -C "$base" init -q # of which the checkout is only a part
  refused "not a checkout of its own by git" --compare HEAD
  git -C "$checkout" init -q
  local what
  for what in HEAD main '' -x --all "$base" '../nowhere.json'; do
    refused "there is neither such a file nor such a revision" "--compare=$what" || return 1
  done
  git -C "$checkout" -c user.name=a -c user.email=a@b commit -q --allow-empty -m a
  refused "compare it with a file" --program "$binaries/microbenchmarks" --compare HEAD
  for what in '' '[]' '{}' '{"context": {}, "benchmarks": [{"name": "a"}]}' '{"context": {}, "benchmarks": {"a": 1}}' \
    '{"context": {}, "benchmarks": [{"name": "a", "cpu_time": -1, "time_unit": "ns"}]}' \
    '{"context": [], "benchmarks": [{"name": "a", "cpu_time": 1, "time_unit": "years"}]}'; do
    echo "$what" >"$base/saved.json"
    refused "neither from --json nor from Google Benchmark" --compare "$base/saved.json" || return 1
  done
  echo '{"context": {}, "benchmarks": []}' >"$base/saved.json"
  refused "has no figures" --compare "$base/saved.json"
  ((EUID == 0)) || { chmod 0 "$base/saved.json"; refused "cannot read" --compare "$base/saved.json"; }
}

@test "the other scripts: an argument too many" {
  cp "$source_root/scripts/setup" "$checkout/scripts/setup"
  local script
  for script in setup build-release; do
    for arguments in "--help more" "--quiet more" "more"; do
      # shellcheck disable=SC2086
      run "$checkout/scripts/$script" $arguments
      fails_with 2 "scripts/$script" || return 1
    done
  done
  run "$source_root/scripts/fuzz" --list more
  fails_with 2 "nothing else"
  run "$source_root/.ci/run" --help more
  fails_with 2 "one argument"
}

@test "setup: a group is installed with what it builds on, and no group means all" {
  cp "$source_root/scripts/setup" "$checkout/scripts/setup"
  mkdir "$base/fakes"
  printf '#!/bin/sh\nexit 0\n' >"$base/fakes/dpkg-query" # nothing is installed
  printf '#!/bin/sh\necho " $* " >>"%s/asked"\n' "$base" >"$base/fakes/apt-get"
  printf '#!/bin/sh\nexec "$@"\n' >"$base/fakes/sudo"
  chmod +x "$base"/fakes/*
  PATH="$base/fakes:$PATH" run "$checkout/scripts/setup" --lint --quiet
  [[ $status == 0 && $(<"$base/asked") == *" g++ "*" clang-tidy "* && $(<"$base/asked") != *matplotlib* ]] || return 1
  rm "$base/asked"
  PATH="$base/fakes:$PATH" run "$checkout/scripts/setup"
  [[ $status == 0 && $(<"$base/asked") == *" clang-tidy "*matplotlib* && $(<"$base/asked") != *texlive* ]] || return 1
  [[ $(tail -n 1 "$base/asked" | tr ' ' '\n' | sort | uniq -d) == "" ]] || return 1 # each package once
  rm "$base/asked"
  PATH="$base/fakes:$PATH" run "$checkout/scripts/setup" --lint --nonsense
  fails_with 2 "unknown argument '--nonsense'" && [[ ! -e $base/asked ]]
}

# What the paper is made of, and what its constants stand in.
paper_checkout() {
  cp -r "$source_root/papers" "$checkout/"
  local file
  for file in $(sed -nE 's/^file = "(.*)"/\1/p' "$source_root/papers/paper"/*.toml | sort -u); do
    mkdir -p "$checkout/$(dirname "$file")"
    cp "$source_root/$file" "$checkout/$file"
  done
}

@test "paper: checked without LaTeX; without LaTeX it says what installs it; arguments that are none" {
  paper_checkout
  run "$checkout/scripts/paper" --check
  [[ $status == 0 && $output == *"every macro has its row"* && ! -e $checkout/build ]] || { echo "$output"; return 1; }
  mkdir "$base/few"
  local program
  for program in bash dirname readlink sed env; do ln -s "$(command -v "$program")" "$base/few/$program"; done
  PATH="$base/few" run "$checkout/scripts/paper"
  fails_with 1 "scripts/paper --setup" && [[ ! -e $checkout/build ]] || return 1
  run "$checkout/scripts/paper" --chec
  fails_with 2 "unknown argument '--chec'"
}

@test "paper: a number that is written by hand, and a row that is gone" {
  paper_checkout
  echo 'It is nineteen times faster.' >>"$checkout/papers/paper/sections/limits.tex"
  run "$checkout/scripts/paper" --check
  fails_with 1 '"nineteen" is a result in words' || return 1
  cp "$source_root/papers/paper/sections/limits.tex" "$checkout/papers/paper/sections/"
  sed -i '/"claims\/chase"/d' "$checkout/papers/published.jsonl"
  run "$checkout/scripts/paper" --check
  fails_with 1 "no published row claims/chase"
}

@test "every script has --help and exits with 0" {
  cp "$source_root/scripts/setup" "$checkout/scripts/setup"
  local script
  for script in reproduce bench claims compare-builds build-release setup test fuzz count-tests test-targets paper archive; do
    run "$checkout/scripts/$script" --help
    [[ $status == 0 && $output == *[Uu]sage* ]] || { echo "$script: $status $output"; return 1; }
  done
}

@test "--compare of runs with nothing in common" {
  local folder name
  for name in chase oo7-raw; do
    mkdir "$base/$name"
    echo '{"size": "smoke"}' >"$base/$name/plan.json"
    echo "{\"id\": \"r1\", \"experiment\": \"claims\", \"name\": \"$name\", \"measured\": 1.0, \"bound\": 2, \"comparison\": \"<=\"}" \
      >"$base/$name/rows.jsonl"
  done
  refused "no claim in common" --compare "$base/chase" "$base/oo7-raw"
  mkdir "$base/empty"
  refused "holds no run" --compare "$base/chase" "$base/empty"
  run "$reproduce" --compare "$base/chase" "$base/chase"
  [[ $status == 0 && $output == *"both: holds"* ]]
}

@test "--compare of one run is beside what is published" {
  mkdir "$base/run"
  echo '{"id": "r1", "experiment": "claims", "name": "chase", "measured": 1.0, "bound": 2, "comparison": "<=", "unit": "x"}' >"$base/run/rows.jsonl"
  refused "No such file" --compare "$base/run"
  cp "$source_root/papers/published.jsonl" "$checkout/papers/"
  run "$reproduce" --compare "$base/run"
  [[ $status == 0 && $output == *"claim's bound: <= 2 x | within tolerance"* && $output == *"1 of 1 values within tolerance, 0 outside"* ]]
  sed -i 's/1\.0/9.0/' "$base/run/rows.jsonl"
  run "$reproduce" --compare "$base/run"
  fails_with 1 "outside: claims/chase"
  refused "holds no run" --compare "$base"
  refused "one run, or two" --compare "$base/run" "$base/run" "$base/run"
}

@test "--list and --help are quiet when their reader has seen enough" {
  local asked
  for asked in --list --help; do
    run /usr/bin/python3 - "$reproduce" "$asked" <<'PYTHON'
import os, subprocess, sys
reading, writing = os.pipe()
os.close(reading)
print(subprocess.run(sys.argv[1:], stdout=writing, stderr=subprocess.PIPE, text=True).stderr, end="")
PYTHON
    [[ $status == 0 && -z $output ]] || { echo "$output"; return 1; }
  done
  run bash -c '"$1" --list | head -n 1' _ "$reproduce"
  [[ $status == 0 && ${#lines[@]} == 1 ]]
}

@test "--artifact writes the page and nothing else" {
  run "$reproduce" --artifact
  [[ $status == 0 && -s $checkout/papers/artifact.md ]]
  [[ $(ls "$checkout/papers") == artifact.md ]]
}
