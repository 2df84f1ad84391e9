"""``syncagent run``: start in order, wait for a signal, drain, stop in order."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from syncagent import rendezvous
from syncagent.config import Config, ConfigError, VolumeConfig, read_secret, reload
from syncagent.core.brake import BrakeLimit
from syncagent.engine import Agent, VolumeOptions
from syncagent.engine.identity import new_origin
from syncagent.engine.surroundings import Surroundings
from syncagent.engine.volume import Volume
from syncagent.http import HttpServer, ListenError
from syncagent.index import Index, IndexLocked
from syncagent.log import set_level
from syncagent.ports import IndexFailed, PeerEvent
from syncagent.service.control import EngineControl
from syncagent.service.disk import RealDisk, VolumeBusy
from syncagent.service.drain import drain
from syncagent.service.line import Line
from syncagent.service.loop import Loop, Pool, SystemClock
from syncagent.service.signals import Signals
from syncagent.transport import TransportFailed

log = logging.getLogger("syncagent.service")

OPEN_FILES = 65_536


class StartFailed(Exception):
    """The agent cannot start; the text says what is wrong and what to do."""


REFUSALS = (StartFailed, ConfigError, TransportFailed, ListenError, VolumeBusy, IndexFailed)
"""Each is a sentence for the person who started the agent."""


def run(config: Config) -> int:
    """Run the agent until it is told to stop; gives the exit code."""
    signals = Signals()
    signals.install()
    service = Service(config, signals)
    try:
        service.start()
    except (*REFUSALS, OSError) as error:
        sys.stderr.write(f"syncagent: {error}\n")
        service.stop(is_clean=False)
        return 1
    return service.serve()


class Service:
    """All parts of one agent."""

    def __init__(self, config: Config, signals: Signals) -> None:
        self._config = config
        self._signals = signals
        self._loop = Loop()
        self._pool = Pool(self._loop)
        self._clock = SystemClock()
        self._addresses = [peer.tcp for peer in config.peers]
        self._agent = Agent(config.name, _version(), self._clock, lambda: self._addresses, self._consumed)
        listen = [config.listen.tcp] if config.listen else []
        self._line = Line(config.name, config.cluster, listen, self._agent.hellos, self._heard)
        self._http: HttpServer | None = None
        self._note: Path | None = None
        self._disks: list[RealDisk] = []
        self._lock: int | None = None
        self._has_loop = False

    # -- start ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Raises what says why the agent cannot start; ``stop`` then undoes what was begun."""
        config = self._config
        state = Path(config.state_dir)
        allow_many_open_files()
        self._lock_state(state)
        for volume in config.volumes:
            self._add_volume(volume, state)
        self._has_loop = True
        self._loop.start(self._agent.run, self._agent.start)
        self._line.open(_secret(config), self._addresses)
        control = EngineControl(self._agent, self._loop, lambda: dict(self._line.counters))
        token = read_secret(config.http_token_file) if config.http_token_file else None
        address = str(config.http) if config.http else None
        socket_path = state / rendezvous.SOCKET_NAME
        self._http = HttpServer(control, socket_path, address, token)
        self._http.start()
        try:
            self._note = rendezvous.register(config.name, socket_path, os.environ)
        except (rendezvous.RunDirectoryRefused, OSError) as error:
            log.warning("syncctl must be told where this agent is (--agent unix:%s): %s", socket_path, error)
        log.info(
            "agent %s runs: %d volumes, listens on %s, %d peers",
            config.name,
            len(config.volumes),
            ", ".join(self._line.listening) or "nothing",
            len(self._addresses),
        )

    def _heard(self, event: PeerEvent) -> None:
        self._loop.post(lambda: self._agent.on_event(event))

    def _lock_state(self, state: Path) -> None:
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartFailed(
                f"the state directory {state} cannot be used: {error.strerror}; make it writable for this user, "
                "or choose another --state-dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartFailed(
                f"another agent already uses the state directory {state}: stop it, or give this one another --state-dir"
            ) from error

    def _add_volume(self, config: VolumeConfig, state: Path) -> None:
        disk = RealDisk(config)
        self._disks.append(disk)

        def opened() -> Volume:
            index = Index.open(
                state / f"{config.name}.index", new_origin=lambda: new_origin(self._config.name, os.urandom(16))
            )
            around = Surroundings(
                index=index,
                disk=disk,
                peers=self._line,
                workers=self._pool,
                clock=self._clock,
                post=self._loop.post,
                rehello=self._line.reset,
            )
            return Volume(_options(self._config, config), self._config.name, around)

        try:
            self._agent.add(opened(), opened)
        except IndexLocked as error:
            raise StartFailed(str(error)) from error

    def _consumed(self, peer: str, size: int) -> None:
        self._line.consumed(peer, size)

    # -- run -----------------------------------------------------------------------------------------------

    def serve(self) -> int:
        """Wait for signals; gives the exit code."""
        while True:
            received = self._signals.wait(1.0)
            if self._loop.failure is not None or not self._line.is_alive:
                log.error("a part of the agent has failed: it ends, and a restart picks up where it was")
                self.stop(is_clean=False)
                return 1
            if received is None:
                continue
            if received == signal.SIGHUP:
                self._reload()
                continue
            log.info("stopping")
            is_clean = drain(self._agent, self._loop, self._config.drain, self._is_told_again)
            self.stop(is_clean=is_clean)
            return 130 if received == signal.SIGINT else 0

    def _is_told_again(self, seconds: float) -> bool:
        return self._signals.wait(seconds) in (signal.SIGTERM, signal.SIGINT)

    def _reload(self) -> None:
        try:
            config, refused = reload(self._config)
        except ConfigError as error:
            for problem in error.problems:
                log.error("the configuration was not taken over: %s", problem)
            return
        self._config = config
        set_level(config.log_level)
        self._addresses = [peer.tcp for peer in config.peers]
        try:
            self._line.renew(_secret(config), self._addresses)
        except (TransportFailed, ConfigError) as error:
            log.error("the peers and keys were not taken over: %s", error)
        limits = {volume.name: _brake(volume) for volume in config.volumes}
        self._loop.post(lambda: self._set_brakes(limits))
        for option in refused:
            log.warning("%s takes effect at the next start only", option)
        log.info("configuration re-read: %d peers", len(self._addresses))

    def _set_brakes(self, limits: dict[str, BrakeLimit]) -> None:
        for name, limit in limits.items():
            if (volume := self._agent.volumes.get(name)) is not None:
                volume.brake.limit = volume.remote_brake.limit = limit

    # -- stop ----------------------------------------------------------------------------------------------

    def stop(self, *, is_clean: bool) -> None:
        """End everything that was begun, in the order in which nothing is lost."""
        if self._note is not None:
            with suppress(OSError):
                rendezvous.unregister(self._note)
        if self._http is not None:
            self._http.stop()
        self._line.close(1.0 if is_clean else 0.0)
        if self._has_loop and self._loop.failure is None:
            with suppress(Exception):
                self._loop.ask(self._stop_volumes)
        self._loop.stop()
        self._pool.stop()
        for disk in self._disks:
            disk.close()
        if self._lock is not None:
            os.close(self._lock)

    def _stop_volumes(self) -> None:
        for volume in self._agent.take_volumes():
            try:
                volume.stop()
            except IndexFailed as error:
                log.error("volume %s: %s", volume.context.options.name, error)
        self._loop.end()


def allow_many_open_files() -> None:
    """Raise the soft limit: what opens many at once does so up to what the administrator allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _secret(config: Config) -> bytes | None:
    return read_secret(config.secret_file) if config.secret_file else None


def _options(config: Config, volume: VolumeConfig) -> VolumeOptions:
    return VolumeOptions(
        name=volume.name,
        path=volume.path,
        cluster=config.cluster,
        direction=volume.direction,
        on_empty=volume.on_empty,
        brake=_brake(volume),
        release_after=volume.release_after,
        scan_interval=volume.scan_interval,
        forget_after=config.forget_after,
        history_age=volume.history_age,
        history_size=volume.history_size,
    )


def _brake(volume: VolumeConfig) -> BrakeLimit:
    if volume.brake is None:
        return BrakeLimit(is_off=True)
    return BrakeLimit(volume.brake.entries, volume.brake.percent)


def _version() -> str:
    try:
        return version("syncagent")
    except PackageNotFoundError:
        return "unknown"
