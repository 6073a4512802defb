"""The links of processes and services to the network, which their messages share.

Each process and each service has a link of its own, as if each were a machine, with the same
bandwidth in and out. A link carries one message at a time in each direction, in the order in which
they come to it. A message occupies the link of its sender, then that of its receiver. The network
between passes on what has come while the rest still comes, so a message that meets no other takes
its own time once. Messages without data wait for nobody.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from workbench.engine.clocks import TICKS, Journey

Ticks = int


class Message(NamedTuple):
    """A message, and what happens when it arrives."""

    sender: str
    receiver: str
    journey: Journey
    arrive: Callable[[], None]


class SharedLinks:
    """All links; ``at`` lets something happen at a time."""

    def __init__(self, at: Callable[[Ticks, Callable[[], None]], None]):
        self.at = at

        # By process or service: when it has sent, or received, all that came to its link.
        self.sent_at: dict[str, Ticks] = defaultdict(int)
        self.received_at: dict[str, Ticks] = defaultdict(int)

        self.sending: dict[str, Ticks] = defaultdict(int)
        self.receiving: dict[str, Ticks] = defaultdict(int)

    def carry(self, message: Message, ready: Ticks) -> None:
        """Let a message travel that is ready at this time."""
        transfer = round(message.journey.transfer * TICKS)
        latency = round(message.journey.latency * TICKS)
        if not transfer:
            self.at(ready + latency, message.arrive)
            return

        name = message.sender
        start = max(ready, self.sent_at[name])
        self.sent_at[name] = start + transfer
        self.sending[name] += transfer
        self.at(start, lambda: self._receive(message, start, transfer, latency))

    def _receive(self, message: Message, start: Ticks, transfer: Ticks, latency: Ticks) -> None:
        """Let a message go through the link of its receiver, of which the first byte comes now."""
        name = message.receiver
        end = max(start, self.received_at[name]) + transfer
        self.received_at[name] = end
        self.receiving[name] += transfer
        self.at(end + latency, message.arrive)

    def use(self, name: str) -> dict[str, Ticks]:
        """Return for how long a link was sending and receiving; nothing if it was not used."""
        if name not in self.sending and name not in self.receiving:
            return {}
        return {"sending": self.sending[name], "receiving": self.receiving[name]}
