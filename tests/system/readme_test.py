"""The commands of README.md, run as they stand there, and what it says they print."""

import re
import subprocess

from bank_server import BINARY, ROOT

STEP = re.compile(r"^<!-- run -->\n```sh\n(?P<commands>.*?)^```\n"
                  r"(?P<claims>(?:<!-- prints: .*? -->\n)*)", re.M | re.S)
CLAIM = re.compile(r"<!-- prints: (.*?) -->")


def test_five_minutes(start_bank, tmp_path):
    server = start_bank()
    text = (ROOT / "README.md").read_text()
    steps = list(STEP.finditer(text))
    assert len(steps) >= 5
    script, marks = "set -eu\n", []
    for number, step in enumerate(steps):
        script += step["commands"] + f"echo; echo '--- end of step {number}'\n"
        marks.append(CLAIM.findall(step["claims"]))
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
    script = script.replace("build/release/bin/bank", str(BINARY))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60,
                          cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    printed = re.split(r"--- end of step \d+\n", done.stdout)
    for number, claims in enumerate(marks):
        for claim in claims:
            assert claim in printed[number], f"{claim}\nis not in\n{printed[number]}"
