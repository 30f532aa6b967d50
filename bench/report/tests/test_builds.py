"""Comparing two builds, with claims programs that are made up."""
import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

from report import builds

PROGRAM = """#!/bin/sh
# --json FILE CLAIM; each call says the next of VALUES, round and round.
n=$(cat {folder}/{name}.calls 2>/dev/null || echo 0)
echo $((n + 1)) > {folder}/{name}.calls
set -- "$2" "$3" {values}
out=$1 claim=$2
shift 2
shift $((n % $#))
printf '[{{"name": "%s", "measured": %s, "unit": "ns", "comparison": "{comparison}"}}]' "$claim" "$1" > "$out"
exit {code}
"""


class BuildsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def program(self, name: str, *values: float, comparison: str = "<=", code: int = 0) -> Path:
        path = self.folder / name
        path.write_text(PROGRAM.format(folder=self.folder, name=name, values=" ".join(map(str, values)), comparison=comparison,
                                       code=code))
        path.chmod(0o755)
        return path

    def run_main(self, *arguments) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = builds.main([str(one) for one in arguments])
        return code, out.getvalue()

    def test_ratio_pair_by_pair(self):
        # The machine gets slower by 10 from pair to pair; within a pair the new one takes 1.1 times as long.
        [one] = builds.compare(self.program("old", 10, 100, 1000), self.program("new", 11, 110, 1100), ["chase"], 3)
        self.assertAlmostEqual(one.ratio.median, 1.1)
        self.assertAlmostEqual(one.ratio.high, 1.1)
        self.assertEqual(one.old.median, 100)

    def test_more_is_better_turns_the_ratio_round(self):
        [one] = builds.compare(self.program("old", 2, comparison=">="), self.program("new", 1, comparison=">="), ["two-threads"], 3)
        self.assertAlmostEqual(one.ratio.median, 2)

    def test_a_claim_that_is_named_twice_is_measured_once(self):
        code, text = self.run_main(self.program("old", 10), self.program("new", 10), "chase", "chase", "--pairs", 3)
        self.assertEqual((code, text.count("chase")), (0, 1))
        self.assertEqual((self.folder / "old.calls").read_text().strip(), "3")

    def test_exit_codes_and_json(self):
        old, same, worse = self.program("old", 10), self.program("same", 10), self.program("worse", 10.5)
        out = self.folder / "result.json"
        self.assertEqual(self.run_main(old, same, "chase", "--pairs", 3)[0], 0)
        code, text = self.run_main(old, worse, "chase", "begin-end", "--pairs", 3, "--json", out)
        self.assertEqual(code, 1)
        self.assertIn("above 1.03", text)
        self.assertEqual([row["holds"] for row in json.loads(out.read_text())], [False, False])
        self.assertEqual(self.run_main(old, worse, "chase", "--pairs", 3, "--bound", 1.1)[0], 0)

    def test_upper_end_decides(self):
        # The median is not worse, some pairs are.
        code, _ = self.run_main(self.program("old", 10), self.program("new", 10, 10, 12, 12, 9), "chase", "--pairs", 5)
        self.assertEqual(code, 1)

    def test_a_claim_that_does_not_hold_is_measured(self):
        self.assertEqual(self.run_main(self.program("old", 10, code=1), self.program("new", 10, code=1), "chase", "--pairs", 3)[0], 0)

    def test_a_program_that_fails_is_an_error(self):
        self.assertEqual(self.run_main(self.program("old", 10), self.program("new", 10, code=2), "chase", "--pairs", 3)[0], 2)

    def test_bad_usage(self):
        old = self.program("old", 10)
        for bad in ([old], [old, self.folder / "missing"], [old, old, "--pairs", 0], [old, old, "--bound", "nan"]):
            with self.subTest(bad=bad), self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(io.StringIO()):
                builds.main([str(one) for one in bad])
            self.assertEqual(caught.exception.code, 2)


if __name__ == "__main__":
    unittest.main()
