"""taskiq over Redis streams, the broker of taskiq-redis that acknowledges."""

import asyncio
import sys

import peer
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(peer.REDIS_URL)


@broker.task(task_name="noop")
async def noop(task: dict) -> None:
    peer.record(task)
    if peer.TASK_S:
        await asyncio.sleep(peer.TASK_S)


async def main():
    # Makes the group of consumers, without which what is submitted before the first worker is lost.
    await broker.startup()

    async def one(task):
        await noop.kiq(task)

    async def many(tasks):
        # It has no call for several; a hundred at a time share its pool of connections.
        for at in range(0, len(tasks), 100):
            await asyncio.gather(*(one(task) for task in tasks[at : at + 100]))

    await peer.serve_async(one, many)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        peer.become(
            "taskiq", "worker", "program:broker", "--workers", "1", "--max-async-tasks",
            sys.argv[2], "--log-level", "ERROR",
        )
    asyncio.run(main())
