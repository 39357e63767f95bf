"""Celery over Redis: the message is acknowledged after the task, and given back when its process
dies. Results are off, as the documentation advises where nobody reads them."""

import sys
import time

import peer
from celery import Celery

app = Celery("program", broker=peer.REDIS_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(task):
    peer.record(task)
    if peer.TASK_S:
        time.sleep(peer.TASK_S)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        concurrency = sys.argv[2]
        # The usual pool is of processes; a hundred of them are what its threads are for.
        pool = "threads" if int(concurrency) > 16 else "prefork"
        peer.become(
            "celery", "-A", "program", "worker", "--loglevel", "ERROR", "--pool", pool,
            "--concurrency", concurrency,
        )

    from program import noop as imported

    def many(tasks):
        # It has no call for several; one producer and its connection for all is the nearest.
        with app.producer_pool.acquire(block=True) as producer:
            for task in tasks:
                imported.apply_async((task,), producer=producer)

    peer.serve(lambda task: imported.delay(task), many)
