# What counts as a result: a row of failures never does.
load support

run_e7() { run "$reproduce" --only E7 --binaries "$binaries" --out "$out"; }

@test "a row whose requests failed is a failed job and no point" {
  export FAKE_HOOK='[[ $name != publisher_load ]] || failed=1'
  run_e7
  fails_with 1 "16 runs failed"
  [[ $(rows "$out") == 0 && $output == *"1 of 101 requests failed"* ]]
  grep -q "requests failed" "$out/gaps.json" "$out/report.html"
}

@test "a server that nobody reached is a failed job" {
  export FAKE_HOOK='[[ $name != publisher_load ]] || row="{\"operations\": 0, \"throughput\": 0.0, \"figures\": {}"'
  run_e7
  fails_with 1 "16 runs failed"
  [[ $(rows "$out") == 0 && $output == *"no request came back"* ]]
}

@test "programs may have all descriptors that a process may have" {
  export FAKE_HOOK='ulimit -Sn >>"$base/soft"; ulimit -Hn >>"$base/hard"'
  run bash -c 'ulimit -Sn 256; exec "$@"' _ "$reproduce" --only E7 --binaries "$binaries" --out "$out"
  [[ $status == 0 ]] || { echo "$output"; return 1; }
  cmp "$base/soft" "$base/hard"
}

@test "a run in which some jobs failed says so, and only those are measured when it is resumed" {
  export FAKE_HOOK='[[ $job != oo7-raw ]] || exit 3'
  run claims_run
  fails_with 1 "1 runs failed"
  [[ $(rows "$out") == 2 && -s $out/logs/claims-shared-oo7-raw-0.txt ]]
  unset FAKE_HOOK
  rm "$FAKE_CALLS"
  run "$reproduce" --resume "$out"
  [[ $status == 0 && $(rows "$out") == 3 && $(grep -c -- --json "$FAKE_CALLS") == 1 ]] || { echo "$output"; return 1; }
}

@test "count-tests counts the cases of GoogleTest and of TAP, and a program that fails besides" {
  cat >"$base/testlog.json" <<'JSON'
{"name": "commit", "result": "OK"}
{"name": "scripts_usage", "result": "FAIL"}
{"name": "scripts_places", "result": "TIMEOUT"}
{"name": "bank", "result": "OK"}
JSON
  cat >"$base/testlog.junit.xml" <<'XML'
<testsuites>
<testsuite name="cow_cache.commit.Commit"><testcase name="one"/><testcase name="two"/></testsuite>
<testsuite name="cow_cache.scripts_usage"><testcase name="1 a"/><testcase name="2 b"><failure/></testcase><testcase name="3 c"><skipped/></testcase></testsuite>
<testsuite name="cow_cache.scripts_places"><testcase name="1 d"/></testsuite>
<testsuite name="cow_cache"><testcase name="bank"/></testsuite>
</testsuites>
XML
  run "$checkout/scripts/count-tests" "$base"
  [[ $status == 1 && $output == "5 passed, 2 failed, 1 skipped" ]] || { echo "$output"; return 1; }
}
