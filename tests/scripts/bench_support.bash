# For the tests of scripts/bench: it and what it says.
# shellcheck shell=bash disable=SC2154  # what support.bash and bats set
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

of_json() { # FILE EXPRESSION
  /usr/bin/python3 -c 'import json, sys; document = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$@"
}
