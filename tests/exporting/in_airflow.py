"""Run by an Airflow's own Python: what its parser makes of a folder of DAGs, and how the tasks there end.

    python in_airflow.py FOLDER CODE…

The program that the DAGs call ends with each of the codes in turn; of `never` the task is stopped. One JSON document is
printed last.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import airflow

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag


def told(dag: Any) -> dict[str, Any]:
    (task,) = dag.tasks
    return {
        # What it is called in Airflow 2 and 3.
        "timetable": getattr(dag.timetable, "summary", None) or dag.timetable.expression,
        "timezone": str(dag.timezone),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "retries": task.retries,
        "pauses": [task.retry_delay.total_seconds(), task.max_retry_delay.total_seconds()],
        "backoff": bool(task.retry_exponential_backoff),
        "timeout": task.execution_timeout.total_seconds(),
        "given": list(task.op_args),
    }


def ending(dag: Any, code: str) -> str:
    """The exception with which the task ends, by Airflow's name for it; empty where it ends well."""
    (task,) = dag.tasks
    Path("code").write_text(code)
    if code == "never":
        # Its parser has a handler of its own, until here.
        signal.signal(signal.SIGALRM, stop)
        signal.alarm(2)
    try:
        task.python_callable(*task.op_args)
    except Exception as error:  # noqa: BLE001 - which one is the question
        return f"{type(error).__name__}: {error}"
    return ""


def stop(*_: object) -> None:
    raise TimeoutError


bag = DagBag(sys.argv[1])
dags = sorted(bag.dags.items())
said = {
    "version": airflow.__version__,
    "errors": list(bag.import_errors.values()),
    "warnings": [str(each) for each in bag.captured_warnings.values()],
    "dags": {name: told(dag) for name, dag in dags},
    "endings": {code: ending(dags[0][1], code) for code in sys.argv[2:]},
}
print(json.dumps(said))
