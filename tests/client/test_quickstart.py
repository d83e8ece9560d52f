"""quickstart - what deploy/quickstart.sh prints of a result, whatever version of jq prints it."""
import json
import os
import re
import subprocess
import unittest

from scratch import Scratch

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/quickstart.sh")

ROW = {"checkpoints": 1, "selection_loss": 0.25, "report_loss": 0.5, "report_accuracy": 0.875}
# as a sewad writes them: 0.419 and 0.007 have no shorter binary form
RESULT = """{"seeds": [{"seed": 1, "table": %s, "selected_steps": [10, 20], "verdict": "improved",
    "verdict_detail": "so", "model": "/m", "cost": {"evaluations": 4, "gradients": 2, "bytes_read": 5,
    "seconds": 0.41899999999999998, "evaluator_seconds": 0.0070000000000000001}}], "of": 1}"""


class Print(unittest.TestCase):
    def test_a_result(self):
        with open(SCRIPT, encoding="utf-8") as file:
            function = re.search(r"^print_one\(\) \{$.*?^\}$", file.read(), re.M | re.S).group()
        scratch = Scratch()
        self.addCleanup(scratch.close)
        table = [dict(ROW, method=m) for m in ("last", "sewa")]
        scratch.write("result.json", RESULT % json.dumps(table))
        shown = subprocess.run(
            ["bash", "-euc", 'directory=$1\n%s\nprint_one 0' % function, "bash", scratch.path],
            check=True, capture_output=True, text=True).stdout
        self.assertIn("cost: 4 evaluations, 2 of them with gradient; 0.419 s, 0.007 s of it in the "
                      "evaluator; 5 bytes read\n", shown)
        self.assertRegex(shown, r"\n  sewa +1 +0\.2500 +0\.5000 +87\.5%\n")


if __name__ == "__main__":
    unittest.main()
