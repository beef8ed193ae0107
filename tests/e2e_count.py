"""End-to-end tests may not fall silent: those that ran, against the number that is checked in.

pytest writes a report (`--e2e-report FILE`, in `conftest.py`); `python -m tests.e2e_count FILE`
compares it with `e2e_count.txt` beside this file, and fails when one was skipped or fewer ran.
"""

import json
import sys
from pathlib import Path

CHECKED_IN = Path(__file__).with_name("e2e_count.txt")


def main() -> None:
    """Say how many ran; end with a sentence when that is not enough."""
    wanted = int(CHECKED_IN.read_text())
    try:
        report = json.loads(Path(sys.argv[1]).read_text())
    except ValueError:
        sys.exit("end-to-end tests: pytest wrote no report")
    ran, skipped = report["ran"], report["skipped"]
    print(f"end-to-end tests: {ran} ran, {len(skipped)} skipped, {wanted} wanted")
    if skipped:
        sys.exit("skipped: " + ", ".join(skipped))
    if ran < wanted:
        sys.exit(f"only {ran} ran of the {wanted} that {CHECKED_IN.name} asks for")


if __name__ == "__main__":
    main()
