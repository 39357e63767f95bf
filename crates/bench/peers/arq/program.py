"""arq: at least once as it comes; what a worker had begun is found again when its claim is over.
A result is kept for as long as its own default says."""

import asyncio
import os
import sys

import peer
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import func


async def noop(_ctx, task):
    peer.record(task)
    if peer.TASK_S:
        await asyncio.sleep(peer.TASK_S)


class WorkerSettings:
    functions = [func(noop, name="noop")]
    redis_settings = RedisSettings.from_dsn(peer.REDIS_URL)
    max_jobs = int(os.environ.get("CONCURRENCY", "10"))


async def main():
    redis = await create_pool(RedisSettings.from_dsn(peer.REDIS_URL))

    async def one(task):
        await redis.enqueue_job("noop", task)

    async def many(tasks):
        # It has no call for several; a hundred at a time share its pool of connections.
        for at in range(0, len(tasks), 100):
            await asyncio.gather(*(one(task) for task in tasks[at : at + 100]))

    await peer.serve_async(one, many)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        os.environ["CONCURRENCY"] = sys.argv[2]
        os.environ["PYTHONPATH"] = os.pathsep.join([os.getcwd(), os.environ["PYTHONPATH"]])
        peer.become("arq", "program.WorkerSettings")
    asyncio.run(main())
