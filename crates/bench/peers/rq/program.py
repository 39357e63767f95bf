"""RQ: a worker does one task at a time, so that concurrency is a pool of workers. With `Retry`, a
task whose worker died is tried again when the registry of started ones is cleaned."""

import os
import sys

import peer
from redis import Redis
from rq import Queue, Retry
from tasks import noop

if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), os.environ["PYTHONPATH"]])
        # SimpleWorker does not fork for each task: the quicker of its two ways.
        common = ["--url", peer.REDIS_URL, "--quiet", "--worker-class", "rq.worker.SimpleWorker"]
        if sys.argv[2] == "1":
            peer.become("rq", "worker", *common, "bench")
        peer.become("rq", "worker-pool", *common, "--num-workers", sys.argv[2], "bench")

    queue = Queue("bench", connection=Redis.from_url(peer.REDIS_URL))
    retry = Retry(max=3)

    def one(task):
        queue.enqueue(noop, task, retry=retry)

    def many(tasks):
        queue.enqueue_many([Queue.prepare_data(noop, (task,), retry=retry) for task in tasks])

    peer.serve(one, many)
