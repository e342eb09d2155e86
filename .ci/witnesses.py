"""Say which outside witnesses ran; where the reference folder and Node are here, a skipped witness is a failure."""

import re
import shutil
import sys
from pathlib import Path

# The parser's own corpus is published in its repository only, not in the npm package; marimo is no outside witness.
NEVER_HERE = ("the npm package has no corpus", "marimo is in no extra")

skipped = re.findall(r"^SKIPPED \[\d+\] (.*)$", Path(sys.argv[1]).read_text(encoding="utf-8"), flags=re.MULTILINE)
unexpected = [line for line in skipped if not any(reason in line for reason in NEVER_HERE)]
present = {"reference folder": Path(sys.argv[2]).is_dir(), "node": shutil.which("node") is not None}
print("; ".join(f"{name}: {'here' if here else 'absent'}" for name, here in present.items()))
print("skipped:", *(skipped or ["nothing"]), sep="\n  ")
sys.exit(bool(unexpected) and all(present.values()))
