"""Taps for tests: programs that speak Singer's protocol, written in nothing but Python."""

from __future__ import annotations

TAP = """
import argparse, json, os, sys, time

parser = argparse.ArgumentParser()
for option in ("--config", "--catalog", "--state"):
    parser.add_argument(option)
parser.add_argument("--discover", action="store_true")
asked = parser.parse_args()
config = json.load(open(asked.config))
ORDERS = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "amount": {"type": ["null", "number"]},
        "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    },
}
PEOPLE = {"type": "object", "properties": {
    "id": {"type": "integer"}, "full name": {"type": ["null", "string"]},
    "address": {"type": "object", "properties": {"town": {"type": "string"}}},
    "tags": {"type": "array", "items": {"type": "string"}},
}}
EVENTS = {"type": "object", "properties": {"what": {"type": "string"}}}
STREAMS = [
    {"tap_stream_id": "orders", "stream": "orders", "schema": ORDERS, "key_properties": ["id"],
     "metadata": [{"breadcrumb": [], "metadata": {"forced-replication-method": "INCREMENTAL"}}]},
    {"tap_stream_id": "people", "stream": "people", "schema": PEOPLE, "key_properties": ["id"],
     "replication_method": "FULL_TABLE", "metadata": []},
    {"tap_stream_id": "events", "stream": "events", "schema": EVENTS, "key_properties": [],
     "metadata": [{"breadcrumb": [], "metadata": {"replication-method": "INCREMENTAL", "replication-key": "n"}}]},
]
fault = os.environ.get("FAULT", "")
if asked.discover:
    if fault == "no discovery":
        sys.exit("unknown option --discover")
    print(json.dumps({"streams": STREAMS}))
    sys.exit()


def say(type, **said):
    print(json.dumps({"type": type, **said}), flush=True)


if asked.catalog:
    chosen = [each["stream"] for each in json.load(open(asked.catalog))["streams"] if each["selected"]]
else:
    chosen = ["orders", "people", "events"]
state = json.load(open(asked.state)) if asked.state else {"bookmarks": {}}
after = {name: state["bookmarks"].get(name, {}).get("n", 0) for name in chosen}
if asked.catalog:
    for each in json.load(open(asked.catalog))["streams"]:
        if each.get("replication_method") == "FULL_TABLE" and each["stream"] in chosen:
            after[each["stream"]] = 0
print("a line for people")
print(json.dumps(["no", "message"]))
for each in STREAMS:
    if each["stream"] in chosen:
        say("SCHEMA", stream=each["stream"], schema=each["schema"], key_properties=each["key_properties"])
last = int(os.environ.get("ROWS", 5))
for n in range(1, last + 1):
    if n > after.get("orders", last):
        amount = "of no number" if fault == "odd" and n == 2 else n * 1.5
        at = config.get("at", "2024-01-01T00:00:00Z")
        say("RECORD", stream="orders", record={"id": n, "amount": amount, "at": at})
    if "people" in chosen:
        say("RECORD", stream="people",
            record={"id": n, "full name": None, "address": {"town": "Ulm"}, "tags": ["a", "b"]})
    if n > after.get("events", last):
        say("RECORD", stream="events", record={"what": f"event {n}"})
    if n % 2 == 0:
        say("STATE", value={"bookmarks": {name: {"n": n} for name in chosen}})
    if fault == f"crash at {n}":
        print(f"refused: {config.get('token')}", file=sys.stderr, flush=True)
        time.sleep(0.2)  # what it says on stdout after that comes after it for who reads both
        print("a last line for people")
        sys.exit(1)
say("STATE", value={"bookmarks": {name: {"n": max(last, after.get(name, 0))} for name in chosen}})
"""
