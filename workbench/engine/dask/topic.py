"""The topic on which the rows of a cluster's runs come, by Dask's scheduler."""

import queue
import uuid
from collections.abc import Mapping, Sequence

from distributed import Client, get_worker

from workbench.storage.files import Json

Rows = Sequence[Mapping[str, Json]]


class RowTopic:
    """One topic for all runs of a cluster, one after the other.

    A topic for each would never be forgotten: neither by the scheduler, which keeps its last
    events, nor by the client, which keeps what handles them after it has unsubscribed.
    """

    def __init__(self, client: Client):
        self.client = client
        self.name = f"workbench-rows-{uuid.uuid4().hex}"
        self.subscribed = False
        # Replaced as one: events are handled in another thread.
        self.current: tuple[str, queue.SimpleQueue[Rows]] = ("", queue.SimpleQueue())

    def receive(self, run: str) -> "queue.SimpleQueue[Rows]":
        """Return the queue into which the rows of ``run`` come; those of other runs are left out.

        So what an earlier run has sent, and what arrives late, is nobody's.
        """
        self.current = run, queue.SimpleQueue()
        if not self.subscribed:
            self.client.subscribe_topic(self.name, self._handle)
            self.subscribed = True
        return self.current[1]

    def close(self) -> None:
        """Receive nothing more, until the next run."""
        self.current = "", queue.SimpleQueue()

    def _handle(self, event: tuple[float, tuple[str, Rows]]) -> None:
        """Keep rows of the current run."""
        run, rows = event[1]
        current, arrived = self.current
        if run == current:
            arrived.put(rows)


def send_rows(topic: str, run: str, rows: Rows) -> None:
    """Send rows from a worker to the process that drives the run."""
    get_worker().log_event(topic, (run, rows))
