"""One source of a project synced again and again in one process: `in_process.py PROJECT SOURCE TIMES`.

Prints the seconds of one sync: the median of all but the first, whose imports are not counted.
"""

import os
import statistics
import sys
import time
from pathlib import Path

from dango import Project
from dango.runner import Request, plan
from dango.secrets import project_mask
from dango.workers.supervision import prepare, surroundings

root, source, times = sys.argv[1:]
project = Project.at(Path(root))
prepare(project)
os.environ.update(surroundings(project))
os.chdir(root)

from dango.workers import worker  # noqa: E402 - dlt reads its surroundings when it is imported

seconds = []
for _ in range(int(times) + 1):
    job = plan(project, [source], Request())[0]
    results: list[object] = []
    started = time.perf_counter()
    worker.load((job, project_mask(project, os.environ)), results.append)
    seconds.append(time.perf_counter() - started)
    if (status := getattr(results[-1], "status", None)) != "ok":
        sys.exit(f"it ended {status}: {results[-1]}")
print(statistics.median(seconds[1:]))
