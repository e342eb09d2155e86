"""Fail when ``import sfframe`` takes longer than so many seconds: the best of five fresh processes."""

import subprocess
import sys

CODE = "import time; start = time.perf_counter(); import sfframe; print(time.perf_counter() - start)"
best = min(
    float(subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True).stdout)
    for _ in range(5)
)
print(f"import sfframe: {best:.3f} s, limit {sys.argv[1]} s")
sys.exit(best > float(sys.argv[1]))
