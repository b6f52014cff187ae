"""A server on stdio without the SDK: what a program of a person's own is, and what hostile ones
say. Run in a sandbox, with the standard library alone."""

import json
import sys
from typing import Any

TOOLS = {
    "count": "How often it was called: what it keeps in mind.",
    "write": "Write a file.",
    "look": "What it finds around it.",
    "misbehave": "Do something bad.",
}
STRING = {"type": "object", "properties": {"what": {"type": "string"}}}
CALLS = 0


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            answer(asked)


def answer(asked: dict[str, Any]) -> None:
    told: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
    method, given = asked["method"], asked.get("params", {})
    if method == "initialize":
        told["result"] = {
            "protocolVersion": given["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "own", "version": "1"},
        }
    elif method == "tools/list":
        listed = [
            {"name": name, "description": said, "inputSchema": STRING}
            for name, said in TOOLS.items()
        ]
        told["result"] = {"tools": listed}
    elif method == "tools/call":
        text = called(given["name"], given.get("arguments", {}).get("what", ""))
        told["result"] = {"content": [{"type": "text", "text": text}]}
    else:
        told["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(told), flush=True)


def called(name: str, what: str) -> str:
    import os

    global CALLS
    CALLS += 1
    if name == "write":
        with open(what, "w") as file:
            file.write("written")
    if name == "look":
        return json.dumps([sorted(os.environ.items()), sorted(os.listdir("."))])
    if name == "misbehave":
        misbehave(what)
    return f"{CALLS} calls"


def misbehave(what: str) -> None:
    import os
    import socket
    import time

    if what == "one endless line":
        while True:
            sys.stdout.write("x" * 65_536)
    if what == "garbage":
        while True:
            print("no message", flush=True)
    if what == "empty lines":
        while True:
            sys.stdout.write("\n" * 65_536)
    if what == "small messages":
        while True:
            print('{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}')
    if what == "messages without end":
        while True:
            print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {
                "level": "info", "data": "x" * 100_000}}))  # fmt: skip
    if what == "fork bomb":
        while True:
            os.fork()
    if what == "memory":
        held = [b"x" * 400_000_000]
        time.sleep(60 * len(held))
    if what == "exit":
        print("no licence was found", file=sys.stderr)
        os._exit(7)
    if what == "silence":
        time.sleep(3_600)
    if what == "network":
        socket.create_connection(("1.1.1.1", 443), 5)
    if what == "disk":
        with open("big", "wb") as file:
            while True:
                file.write(b"x" * 1_000_000)


if __name__ == "__main__":
    main()
