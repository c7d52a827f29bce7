#!/usr/bin/env python3
"""tally counts events by type, also across restarts: a role in Python without
any library. docs/protocol-programs.md says what is spoken."""

import json
import sys

DESCRIPTION = {
    "protocol": 1,
    "kind": "role",
    "version": "1.0",
    "description": "Counts the events of a type, and tells when it gets the order tally.",
    "needsStorage": True,
    "options": {
        "event": {"default": "", "description": "Type of the events to count; all if it is empty."},
    },
    "filters": [{"kind": "event", "type": "$event"}, "order:tally"],
    "publishes": ["event:tally"],
}


MOST = 1000  # types that are counted, since anybody can send new ones


def say(op, **members):
    print(json.dumps({"op": op, **members}), flush=True)


def main():
    hello = json.loads(sys.stdin.readline())
    # It acknowledges, so that Kōzō knows exactly what it has counted.
    say("hello", protocol=1, window=256, heartbeat=10)
    # Messages may come before the answer.
    say("get", id="stored")
    counts, loaded, asked = {}, False, False
    taken, changed = 0, False
    for line in sys.stdin:
        message = json.loads(line)
        op = message["op"]
        if op == "value":
            for kind, count in message.get("value", {}).items():
                counts[kind] = counts.get(kind, 0) + count
            loaded = True
        elif op == "event":
            kind = message["type"]
            if kind in counts or len(counts) < MOST:
                counts[kind] = counts.get(kind, 0) + 1
                changed = True
        elif op == "order":
            asked = True
        elif op == "ping":
            say("pong", n=message["n"])
        elif op == "error":
            print("kozo says:", message["text"], file=sys.stderr)
        if asked and loaded:
            say("event", type="tally", data=counts)
            asked = False
        if op in ("event", "order", "log"):
            taken += 1
            if taken % 64 == 0 or op == "order":
                say("ack", count=taken)
        # What a program says after the end of its input still counts. Storing at
        # every event would wear out an SD card.
        if op in ("ping", "stop"):
            say("ack", count=taken)
            if changed and loaded:
                say("set", value=counts)
                changed = False


if __name__ == "__main__":
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(DESCRIPTION))
    else:
        main()
