"""The links of processes and services to the network, which their messages share.

Each process and each service has a link of its own, as if each were a machine, with the same
bandwidth in and out. A link carries one message at a time in each direction, in the order in which
they come to it. A message occupies the link of its sender, then that of its receiver. The network
between passes on what has come while the rest still comes, so a message that meets no other takes
its own time once. Messages without data wait for nobody.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from workbench.engine.clocks import Journey

Ticks = int


@dataclass(slots=True, eq=False)
class Link:
    """The link of one process or service, and for how long it has been in use."""

    sent_at: Ticks = 0  # when it has sent all that came to it
    received_at: Ticks = 0  # when it has received all that came to it
    sending: Ticks = 0
    receiving: Ticks = 0


class SharedLinks:
    """All links; ``at`` lets something happen at a time."""

    def __init__(self, at: Callable[[Ticks, Callable[[], None]], None]):
        self.at = at

        self.links: dict[str, Link] = defaultdict(Link)  # by process or service

    def carry(
        self, sender: str, receiver: str, journey: Journey, ready: Ticks, arrive: Callable[[], None]
    ) -> None:
        """Let a message with data travel that is ready then; ``arrive`` happens at its end."""
        transfer, latency = journey
        link = self.links[sender]
        start = max(ready, link.sent_at)
        link.sent_at = start + transfer
        link.sending += transfer
        self.at(start, partial(self._receive, receiver, start, transfer, latency, arrive))

    def _receive(
        self,
        receiver: str,
        start: Ticks,
        transfer: Ticks,
        latency: Ticks,
        arrive: Callable[[], None],
    ) -> None:
        """Let a message go through the link of its receiver, of which the first byte comes now."""
        link = self.links[receiver]
        end = max(start, link.received_at) + transfer
        link.received_at = end
        link.receiving += transfer
        self.at(end + latency, arrive)

    def use(self, name: str) -> dict[str, Ticks]:
        """Return for how long a link was sending and receiving; nothing if it was not used."""
        if name not in self.links:
            return {}
        link = self.links[name]
        return {"sending": link.sending, "receiving": link.receiving}
