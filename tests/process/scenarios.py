"""Agents whose connections can be cut: users go on on both sides, and what they did meets when the lines are mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from contract.proxy import Proxy
from process.cluster import Cluster, Node, eventually, tree_of
from process.degraded import fetch

Tree = dict[bytes, tuple[object, ...]]
_WRITER = re.compile(r"last changed by (\S+) \(change (\d+)\)")


class Apart(Cluster):
    """A cluster in which every pair is connected by one line that can be cut and mended. Use it in a ``with`` block."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        super().__init__(root, names, [])
        self.lines: dict[str, Proxy] = {}
        for number, dialler in enumerate(names):
            for listener in names[number + 1 :]:
                line = self.lines[dialler + listener] = Proxy(self[listener].address)
                self[dialler].peers.append(line.address)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Apart:
        for line in self.lines.values():
            self._stack.enter_context(line)
        try:
            super().__enter__()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *reason: Any) -> None:
        with self._stack:
            super().__exit__(*reason)

    @contextlib.contextmanager
    def cut(self, *pairs: str) -> Iterator[None]:
        """No word between these, by default between any, as long as the block lasts."""
        lines = [self.lines[pair] for pair in pairs or self.lines]
        for line in lines:
            line.cut()
        try:
            yield
        finally:
            for line in lines:
                line.mend()

    def folder(self, name: str) -> list[Path]:
        """A directory of the volume, made on one side, on all sides."""
        (self.volumes()[0] / name).mkdir()
        self.converge()
        return [volume / name for volume in self.volumes()]

    def writer(self, name: str, path: str) -> tuple[str, int]:
        """The dot of the content at a path, as an agent knows it: the incarnation, and its counter."""
        (told,) = [line for line in why(self[name], path)["details"] if line.startswith(("a file", "a symlink"))]
        found = _WRITER.search(told)
        assert found is not None, told
        incarnations = {replica["name"]: replica["incarnation"] for replica in volume_status(self[name])["replicas"]}
        return incarnations[found[1]], int(found[2])

    def copy_of(self, name: str, path: str) -> str:
        """The name that the conflict copy of what an agent has at the path now must get, if it loses."""
        label = "~{}-{}".format(*self.writer(name, path))
        directory, slash, last = path.rpartition("/")
        stem, dot, extension = last.rpartition(".")
        return directory + slash + (f"{stem}{label}{dot}{extension}" if dot else last + label)


def volume_status(node: Node) -> dict[str, Any]:
    volume = json.loads(fetch(node, "/v1/status?volume=data"))["volumes"][0]
    assert isinstance(volume, dict)
    return volume


def why(node: Node, path: str) -> dict[str, Any]:
    told = json.loads(fetch(node, f"/v1/why?volume=data&path={quote(os.fsencode(path))}"))
    assert isinstance(told, dict)
    return told


def problems(node: Node) -> list[dict[str, Any]]:
    found = json.loads(fetch(node, "/v1/problems?volume=data"))["problems"]
    assert isinstance(found, list)
    return found


def counters(node: Node) -> dict[str, float]:
    """What an agent counted since it was started."""
    lines = [line.split() for line in fetch(node, "/metrics").decode().splitlines() if not line.startswith("#")]
    return {
        name.removeprefix("syncagent_").removesuffix("_total"): float(value)
        for name, value in lines
        if name.endswith("_total")
    }


def notices(node: Node, path: str, *, is_gone: bool = False) -> None:
    """Wait until an agent has recorded what its own user did at a path."""
    if is_gone:
        eventually(lambda: why(node, path)["state"] in ("deleted", "unknown"), 60)
    else:
        eventually(lambda: any(f"last changed by {node.name} " in line for line in why(node, path)["details"]), 60)


def below(tree: Tree, folder: str) -> set[str]:
    """What a tree has in a directory, by names from there."""
    prefix = os.fsencode(folder) + b"/"
    return {os.fsdecode(path.removeprefix(prefix)) for path in tree if path.startswith(prefix)}


def texts(folder: Path) -> dict[str, bytes]:
    """The contents of the files of one directory by their names, whatever is deeper left out."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()}


def later() -> None:
    """Let the clock go on, so that what follows is the younger one on any machine."""
    time.sleep(0.05)


def identities(volume: Path) -> dict[bytes, tuple[int, int]]:
    """What changes when anything at all is done to a path."""
    root = os.fsencode(volume)
    found = {path: os.lstat(os.path.join(root, path)) for path in tree_of(volume)}
    return {path: (st.st_ino, st.st_ctime_ns) for path, st in found.items()}


def is_at_rest(cluster: Cluster) -> None:
    """Started anew, all look at everything and exchange everything: and nothing at all is recorded, sent or touched."""
    tree = cluster.converge()
    before = [identities(volume) for volume in cluster.volumes()]
    for node in cluster.nodes.values():
        assert node.stop() == 0
    for node in cluster.nodes.values():
        node.launch()
    for node in cluster.nodes.values():
        node.await_answer()
    assert cluster.converge() == tree
    assert [identities(volume) for volume in cluster.volumes()] == before
    for node in cluster.nodes.values():
        counted = counters(node)
        told = {name: counted.get(name, 0) for name in ("local_changes", "bytes_fetched", "bulk_bytes_out")}
        assert not any(told.values()), f"{node.name}: {told}"
