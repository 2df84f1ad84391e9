"""``/metrics`` in Prometheus' text format, made from the status at the moment of asking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from syncagent.status import ProblemStatus, ReplicaStatus, Status, VolumeStatus

__all__ = ["CONTENT_TYPE", "exposition"]

VOLUME_GAUGES = {
    "in_sync": "1 if every member is connected and has the same content, with nothing held or blocked.",
    "ready": "1 if what the others had has arrived once since the agent started.",
    "entries": "Files, directories and symlinks of the volume.",
    "bytes": "Content of the volume in bytes.",
    "pending": "Entries that are known and whose content is not here yet.",
    "conflicts": "Conflict copies in the volume.",
    "problems": "Problems that need a person or are retried.",
    "held": "Deletes kept back by the brake.",
}
REPLICA_GAUGES = {
    "connected": "1 if this agent has a session with the replica's agent.",
    "in_sync": "1 if the replica has applied everything this agent knows.",
    "entries_behind": "Entries the replica has yet to apply.",
    "bytes_behind": "Bytes of content the replica has yet to apply.",
    "lag_seconds": "Age of the oldest change the replica has yet to apply.",
}


def exposition(status: Status, counters: dict[str, float]) -> bytes:
    """All metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(status, counters))
    return generate_latest(registry)


class _Collector:
    def __init__(self, status: Status, counters: dict[str, float]) -> None:
        self._status = status
        self._counters = counters

    def collect(self) -> Iterable[Metric]:
        yield _info(self._status)
        yield from _volumes(self._status.volumes)
        yield _troubles(self._status.troubles)
        yield from _replicas(self._status.volumes)
        for name, value in sorted(self._counters.items()):
            yield _counter(name, value)


def _info(status: Status) -> Metric:
    family = GaugeMetricFamily("syncagent_info", "The agent: its name and version.", labels=["agent", "version"])
    family.add_metric([status.agent, status.version], 1)
    return family


def _volumes(volumes: list[VolumeStatus]) -> Iterator[Metric]:
    for field, meaning in VOLUME_GAUGES.items():
        family = GaugeMetricFamily(f"syncagent_volume_{field}", meaning, labels=["volume"])
        for volume in volumes:
            family.add_metric([volume.name], float(getattr(volume, field)))
        yield family
    halted = GaugeMetricFamily("syncagent_volume_halted", "1 if the volume is halted.", labels=["volume"])
    for volume in volumes:
        halted.add_metric([volume.name], float(volume.state == "halted"))
    yield halted
    problems = GaugeMetricFamily(
        "syncagent_problems", "What is wrong now, by code, notes included.", labels=["volume", "code"]
    )
    for volume in volumes:
        for code, count in volume.problem_codes.items():
            problems.add_metric([volume.name, code], float(count))
    yield problems


def _troubles(troubles: list[ProblemStatus]) -> Metric:
    family = GaugeMetricFamily("syncagent_peer_trouble", "1 if a peer's address does not work.", labels=["address"])
    for trouble in troubles:
        family.add_metric([trouble.path or trouble.text], 1.0)
    return family


def _replicas(volumes: list[VolumeStatus]) -> Iterator[Metric]:
    """What is unknown has no sample."""
    for field, meaning in REPLICA_GAUGES.items():
        family = GaugeMetricFamily(f"syncagent_replica_{field}", meaning, labels=["volume", "replica"])
        for name, replica in _pairs(volumes):
            value = getattr(replica, field)
            if value is not None:
                family.add_metric([name, replica.name], float(value))
        yield family


def _pairs(volumes: list[VolumeStatus]) -> Iterator[tuple[str, ReplicaStatus]]:
    return ((volume.name, replica) for volume in volumes for replica in volume.replicas)


def _counter(name: str, value: float) -> Metric:
    meaning = "Counted since the agent started." if name.endswith("_total") else "As of now."
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(name, meaning, value=value)
