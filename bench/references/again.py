"""Syncs a project so many times: `again.py TIMES`."""

import subprocess
import sys

for _ in range(int(sys.argv[1])):
    subprocess.run([sys.executable, "-m", "dango", "sync"], check=True, stdout=subprocess.DEVNULL)
