"""What the programs of all Python peers share: the record of each start, and the conversation
with the bench. It knows no library.

A program is started as `program.py submit` or `program.py worker CONCURRENCY`, with REDIS_URL, LOG
(the file of starts) and TASK_MS (how long a task takes) in its environment.
"""

import json
import os
import struct
import sys
import time

REDIS_URL = os.environ["REDIS_URL"]
TASK_S = int(os.environ.get("TASK_MS", "0")) / 1000
_RECORD = struct.Struct("<QQQ")
_log = None


def record(task):
    """Writes down that `task` has started: its number, when it was due, and now."""
    global _log
    if _log is None:
        _log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_log, _RECORD.pack(task["n"], task["at"], time.monotonic_ns()))


def task(n, at, pad):
    return {"n": n, "at": at, "pad": pad}


def answer(**members):
    print(json.dumps(members), flush=True)


def serve(one, many):
    """Does what the bench says, line by line; `one(task)` submits a task, `many(tasks)` several
    the way the library's documentation does it."""
    answer(ready=True)
    for line in sys.stdin:
        said = json.loads(line)
        first, pad = said["first"], said["pad"]
        waits = []
        if "offsets_ns" in said:
            start = time.monotonic_ns()
            for i, offset in enumerate(said["offsets_ns"]):
                at = start + offset
                rest = at - time.monotonic_ns()
                if rest > 0:
                    time.sleep(rest / 1e9)
                one(task(first + i, at, pad))
            answer(took_ns=time.monotonic_ns() - start, waits_ns=waits)
            continue
        count, size = said["count"], said["size"]
        start = time.monotonic_ns()
        for at in range(0, count, size):
            since = time.monotonic_ns()
            some = [task(first + n, since, pad) for n in range(at, min(at + size, count))]
            if size == 1:
                one(some[0])
            else:
                many(some)
            waits.append(time.monotonic_ns() - since)
        answer(took_ns=time.monotonic_ns() - start, waits_ns=waits)


async def serve_async(one, many):
    """As `serve`, for libraries on asyncio."""
    import asyncio

    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    answer(ready=True)
    while line := await lines.readline():
        said = json.loads(line)
        first, pad = said["first"], said["pad"]
        waits = []
        if "offsets_ns" in said:
            start = time.monotonic_ns()
            for i, offset in enumerate(said["offsets_ns"]):
                at = start + offset
                rest = at - time.monotonic_ns()
                if rest > 0:
                    # Timers of asyncio count in milliseconds.
                    time.sleep(rest / 1e9)
                await one(task(first + i, at, pad))
            answer(took_ns=time.monotonic_ns() - start, waits_ns=waits)
            continue
        count, size = said["count"], said["size"]
        start = time.monotonic_ns()
        for at in range(0, count, size):
            since = time.monotonic_ns()
            some = [task(first + n, since, pad) for n in range(at, min(at + size, count))]
            if size == 1:
                await one(some[0])
            else:
                await many(some)
            waits.append(time.monotonic_ns() - since)
        answer(took_ns=time.monotonic_ns() - start, waits_ns=waits)


def become(program, *args):
    """Becomes a program of the same virtual environment, also where that was moved since."""
    path = os.path.join(os.path.dirname(sys.executable), program)
    os.execv(sys.executable, [sys.executable, path, *args])
