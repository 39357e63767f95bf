"""Dramatiq over Redis: at least once as it comes, a message is acknowledged after its actor."""

import os
import sys
import time

import dramatiq
import peer
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=peer.REDIS_URL))


@dramatiq.actor
def noop(task):
    peer.record(task)
    if peer.TASK_S:
        time.sleep(peer.TASK_S)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), os.environ["PYTHONPATH"]])
        peer.become("dramatiq", "program", "--processes", "1", "--threads", sys.argv[2])

    def many(tasks):
        # It has no call for several.
        for task in tasks:
            noop.send(task)

    peer.serve(noop.send, many)
