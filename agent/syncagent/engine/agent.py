"""The whole agent's engine: its volumes, the peers they share, and what ``syncctl`` may ask of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from syncagent.engine.commands import Commands
from syncagent.engine.context import Clock
from syncagent.engine.history_commands import HistoryCommands
from syncagent.engine.problems import rfc3339
from syncagent.engine.report import volume_status
from syncagent.engine.suspending import RETRY_SECONDS, Reopen, Suspended
from syncagent.engine.volume import Volume
from syncagent.ports import IndexFailed, PeerAddress, PeerDown, PeerEvent, PeerMessage, PeerTrouble, PeerUp
from syncagent.status import FORMAT, ProblemStatus, Status, VolumeStatus
from syncproto.messages import VolumeHello

log = logging.getLogger("syncagent.engine")

ANSWERED_KEY = "answered:"


class Agent:
    """Routes inputs to volumes. All methods run on the engine's thread."""

    def __init__(
        self,
        name: str,
        version: str,
        clock: Clock,
        addresses: Callable[[], Iterable[str]],
        release: Callable[[str, int], None],
    ) -> None:
        """``addresses`` gives the configured peers; ``release`` gives a peer its credit back."""
        self.name = name
        self.version = version
        self.clock = clock
        self.volumes: dict[str, Volume] = {}
        self.suspended: dict[str, Suspended] = {}
        """Volumes whose index has failed, by name."""
        self.commands = Commands(self)
        self.history_commands = HistoryCommands(self.commands)
        self._addresses = addresses
        self._release = release
        self._troubles: dict[str, str] = {}
        self._order: list[str] = []
        self._by_id: dict[bytes, Volume] = {}

    def add(self, volume: Volume, reopen: Reopen | None = None) -> None:
        """One more volume. ``reopen`` makes it anew after its index has failed; without it such a failure is raised."""
        name = volume.context.options.name
        self.volumes[name] = volume
        if name not in self._order:
            self._order.append(name)
        self._by_id[volume.context.id] = volume
        volume.expected = lambda: self.expected(volume)
        if reopen is not None:
            volume.ward.failed = lambda error: self._suspend(volume, reopen, error)

    def start(self) -> None:
        """Start all volumes."""
        for volume in list(self.volumes.values()):
            volume.ward.do(volume.start)

    def take_volumes(self) -> list[Volume]:
        """Give up all volumes: nothing reaches them any more."""
        volumes = list(self.volumes.values())
        self.volumes.clear()
        self.suspended.clear()
        self._by_id.clear()
        return volumes

    # -- failed indexes ---------------------------------------------------------------------------------

    def _suspend(self, volume: Volume, reopen: Reopen, error: IndexFailed) -> None:
        options = volume.context.options
        log.error("volume %s is halted until its index works again: %s", options.name, error)
        since, due = rfc3339(self.clock.wall_ns()), self.clock.monotonic() + RETRY_SECONDS
        try:
            last = self.volume_status(volume)
        except IndexFailed:
            last = None
        self.suspended[options.name] = Suspended(options, reopen, str(error), since, due, last)
        del self.volumes[options.name]
        del self._by_id[volume.context.id]
        volume.abandon()

    def _revive(self) -> None:
        """Try again to open the indexes that failed."""
        now = self.clock.monotonic()
        for name, suspended in list(self.suspended.items()):
            if now < suspended.due:
                continue
            suspended.due = now + RETRY_SECONDS
            try:
                volume = suspended.reopen()
            except IndexFailed as error:
                suspended.cause = str(error)
                continue
            log.info("volume %s: the index works again", name)
            del self.suspended[name]
            self.add(volume, suspended.reopen)
            volume.ward.do(volume.begin_anew)

    def hellos(self) -> tuple[VolumeHello, ...]:
        """What a ``Hello`` says of the volumes. Called from any thread: reads only what never changes by halves."""
        return tuple(
            VolumeHello(
                v.context.id,
                v.context.options.name,
                v.context.index.origin,
                v.context.index.starts,
                v.context.options.direction,
            )
            for v in self.volumes.values()
        )

    def on_event(self, event: PeerEvent) -> None:
        """Something came from the network."""
        match event:
            case PeerUp():
                self._peer_up(event)
            case PeerDown(peer=peer, reason=reason):
                log.debug("peer %s is gone: %s", peer, reason)
                for volume in list(self.volumes.values()):
                    volume.ward.do(partial(volume.peer_down, peer))
            case PeerMessage(message=message):
                addressed = self._by_id.get(message.volume)
                if addressed is not None:
                    addressed.ward.do(partial(addressed.on_message, event))
                if event.size:
                    self._release(event.peer, event.size)
            case PeerAddress(address=address, peer=peer):
                self._answered(address, peer)
            case PeerTrouble(address=address, reason=reason):
                if reason:
                    self._troubles[address] = reason
                else:
                    self._troubles.pop(address, None)

    def _answered(self, address: str, peer: str) -> None:
        """The address is no expected member any more: whoever is behind it is on the list."""
        self._troubles.pop(address, None)
        for volume in list(self.volumes.values()):
            volume.ward.do(partial(self._note_answer, volume, address, peer))

    def _note_answer(self, volume: Volume, address: str, peer: str) -> None:
        if peer in volume.context.views and not volume.context.index.get(ANSWERED_KEY + address):
            volume.context.index.set(ANSWERED_KEY + address, b"1")
            volume.context.is_changed = True

    def _peer_up(self, event: PeerUp) -> None:
        for hello in event.hello.volumes:
            mine = self._by_id.get(hello.volume)
            if mine is not None:
                mine.ward.do(partial(mine.peer_up, event, hello))

    def run(self) -> float:
        """Do all that is due; gives the time of the monotonic clock when it must be called again."""
        self._revive()
        for volume in list(self.volumes.values()):
            volume.ward.do(volume.run)
        times = [volume.next_due() for volume in self.volumes.values()]
        times += [suspended.due for suspended in self.suspended.values()]
        return min(times, default=self.clock.monotonic() + 1.0)

    def expected(self, volume: Volume) -> list[str]:
        """Configured addresses that have never answered for this volume."""
        index = volume.context.index
        return [address for address in self._addresses() if not index.get(ANSWERED_KEY + address)]

    def status(self) -> Status:
        """Everything that ``syncctl status`` shows."""
        return Status(
            format=FORMAT,
            agent=self.name,
            time=rfc3339(self.clock.wall_ns()),
            volumes=self._statuses(),
            version=self.version,
            troubles=[
                ProblemStatus(code="peer", text=f"{address}: {reason}", path=address)
                for address, reason in sorted(self._troubles.items())
            ],
        )

    def _statuses(self) -> list[VolumeStatus]:
        told = [volume.ward.do(partial(self.volume_status, volume)) for volume in list(self.volumes.values())]
        statuses = [status for status in told if status is not None]
        statuses += [suspended.status() for suspended in self.suspended.values()]
        return sorted(statuses, key=lambda status: self._order.index(status.name))

    def volume_status(self, volume: Volume) -> VolumeStatus:
        """The status of one volume."""
        return volume_status(volume, self.expected(volume))
