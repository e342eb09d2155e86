"""Print the README's shell commands, one a line: the first two ``console`` lines that begin with a dollar sign."""

import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text(encoding="utf-8")
commands = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line.startswith("$ ")
]
print("\n".join(commands[:2]))
