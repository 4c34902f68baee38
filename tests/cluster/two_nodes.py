"""A Ray cluster of two nodes on this machine: `python two_nodes.py FOLDER PROCESSORS` starts it, says where,
ends with its stdin.

A line on stdin kills what a machine may lose: `node` a node whole, `raylet` the daemon of a node and not its workers.
Each is the node that was added last; another takes its place.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

ROOM = {"object_store_memory": 100 * 1024 * 1024}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _workers_of(raylet: int) -> list[int]:
    """The processes that a raylet has begun."""
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == raylet:
            pids.append(int(stat.parent.name))
    return pids


def _kill(node: Any, *, whole: bool) -> None:
    raylet = node.all_processes["raylet"][0].process.pid
    workers = _workers_of(raylet) if whole else []
    for pid in (raylet, *workers):
        os.kill(pid, signal.SIGKILL)


def main(folder: str, processors: int) -> None:
    """Starts, says where, obeys, ends."""
    # Ray notes there where the newest cluster is, and takes it for granted that the folder is there.
    Path("/tmp/ray").mkdir(exist_ok=True)
    client = _free_port()
    # Only the other node works: it is the one that may be lost.
    head = {
        **ROOM,
        "num_cpus": 0,
        "ray_client_server_port": client,
        "include_dashboard": True,
        "dashboard_port": _free_port(),
    }
    cluster = Cluster(initialize_head=True, head_node_args={**head, "temp_dir": folder})
    worker = {**ROOM, "num_cpus": processors}
    node = cluster.add_node(**worker)
    cluster.wait_for_nodes()
    print(
        json.dumps({"address": cluster.address, "client": f"ray://127.0.0.1:{client}", "ray": ray.__version__}),
        flush=True,
    )
    for line in sys.stdin:
        _kill(node, whole=line.strip() == "node")
        node = cluster.add_node(**worker)
        print(json.dumps({"done": line.strip()}), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
