# scripts/reproduce --kick: builds one program, runs it, and says in the last line how that ended.
load support

kick_that() { # COMMAND...: what the built program runs
  tiny_project "$checkout"
  printf '#!/bin/bash\n%s\n' "$*" >"$checkout/bench/kick_program"
  chmod +x "$checkout/bench/kick_program"
  cat >>"$checkout/bench/meson.build" <<'MESON'
custom_target('kick', input: 'kick_program', output: 'kick', command: ['cp', '@INPUT@', '@OUTPUT@'])
MESON
  run "$reproduce" --kick
  no_traceback
  nothing_left
}
last_line() { printf '%s' "${lines[-1]}"; }

@test "what passes says what was seen, and PASS" {
  kick_that 'echo "ok    memory     1.00 x"'
  [[ $status == 0 && $(last_line) == PASS && $output == *"ok    memory     1.00 x"*"built in"*"checked in"* ]]
  [[ ! -e $checkout/results ]]
  # Only this program is built.
  [[ ! -e $checkout/build/release/bench/microbenchmarks ]]
}

@test "a check that fails is named in the last line" {
  kick_that 'echo "ok    memory     fine"; echo "FAILS garbage    too much"; exit 1'
  [[ $status == 1 && $(last_line) == "FAIL: garbage too much" && $output == *"ok    memory     fine"* ]]
}

@test "a program that crashes, or says nothing, is no pass" {
  kick_that 'echo "ok    memory     fine"; kill -SEGV $$'
  [[ $status == 1 && $(last_line) == "FAIL: exit code -11"* ]]
  kick_that 'exit 0'
  [[ $status == 1 && $(last_line) == "FAIL: "* ]]
}

@test "a build that fails is a FAIL" {
  printf '#!/bin/sh\nexit 1\n' >"$checkout/scripts/build-release"
  run "$reproduce" --kick
  [[ $status == 1 && $(last_line) == "FAIL: the build failed" ]]
}
