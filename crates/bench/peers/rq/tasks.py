"""The task of RQ, which wants it in a module of its own."""

import time

import peer


def noop(task):
    peer.record(task)
    if peer.TASK_S:
        time.sleep(peer.TASK_S)
