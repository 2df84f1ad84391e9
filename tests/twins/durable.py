"""What a power cut would leave of a disk in memory.

Names and bytes reach the disk when somebody flushes them, or by themselves, in any order that a real file system may
choose: changes of one directory one after the other, a rename whole or not at all, bytes page by page and not before
or after the name they are under. ``cut`` chooses by seed one of all that may be left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from twins.inode import Node, Style

SMALL_PAGE = 16
"""Files of a few bytes are torn as well: no program may count on the size of a page."""
PAGE = 4096
CHANCES = (0.0, 0.5, 0.9, 1.0)


@dataclass(slots=True)
class _Change:
    """Names that change in one step, with the inodes as they were at that moment: a rename carries its inode along."""

    names: list[tuple[Node, bytes, Node | None]] = field(default_factory=list)
    nodes: dict[int, Node] = field(default_factory=dict)
    styles: list[tuple[Node, Style]] = field(default_factory=list)
    number: int = 0
    moves_directory: bool = False

    def is_after(self, lost: set[Node], *, is_tree_lost: bool) -> bool:
        """Whether something it builds on is lost."""
        return self.moves_directory and is_tree_lost or any(directory in lost for directory, _, _ in self.names)


class Durable:
    """The durable side of one volume's inodes and names."""

    def __init__(self) -> None:
        self._names: dict[Node, dict[bytes, Node]] = {}
        self._pending: list[_Change] = []
        self._open: _Change | None = None
        self._numbers = 0
        self._kept: dict[Node, int] = {}
        """As of which change or flush the attributes of an inode are durable."""

    # -- what happens ----------------------------------------------------------------------------------

    @contextmanager
    def together(self) -> Iterator[None]:
        """All names that change in this block change in one step."""
        if self._open is not None:
            yield
            return
        change = self._open = _Change()
        try:
            yield
        finally:
            self._open = None
            if change.names:
                change.styles = [(node, node.style) for node in change.nodes.values()]
                self._numbers += 1
                change.number = self._numbers
                self._pending.append(change)

    def name_changed(self, directory: Node, name: bytes, node: Node, *, is_gone: bool = False) -> None:
        """A name in a directory stands for this node now, or no longer."""
        with self.together():
            assert self._open is not None
            self._open.names.append((directory, name, None if is_gone else node))
            self._open.nodes |= {id(directory): directory, id(node): node}
            self._open.moves_directory |= node.is_directory

    # -- flushes ---------------------------------------------------------------------------------------

    def sync(self, node: Node) -> None:
        """Make an inode durable: bytes and attributes of a file; of a directory, its names and what they build on."""
        node.safe_data = node.data
        self.sync_style(node)
        if not node.is_directory:
            return
        wanted, is_tree_wanted, chosen = {node}, False, set()
        for number in range(len(self._pending) - 1, -1, -1):
            change = self._pending[number]
            if change.is_after(wanted, is_tree_lost=is_tree_wanted):
                chosen.add(number)
                wanted.update(directory for directory, _, _ in change.names)
                is_tree_wanted |= change.moves_directory
        for number in sorted(chosen):
            self._settle(self._pending[number])
        self._pending = [change for number, change in enumerate(self._pending) if number not in chosen]

    def sync_data(self, node: Node) -> None:
        """Make the bytes of a file durable, not its attributes."""
        node.safe_data = node.data

    def sync_style(self, node: Node) -> None:
        """Make an inode's attributes durable."""
        self._numbers += 1
        self._keep_style(node, node.style, self._numbers)

    def sync_all(self, root: Node) -> None:
        """Make everything durable, as ``syncfs`` does."""
        for change in self._pending:
            self._settle(change)
        self._pending.clear()
        self.sync(root)
        for _, node in nodes_below(root):
            self.sync(node)

    def adopt(self, root: Node) -> None:
        """All that is there now is durable."""
        for node in [root, *(node for _, node in nodes_below(root))]:
            node.safe_data, node.safe_style = node.data, node.style
            if node.is_directory:
                self._names[node] = dict(node.children)

    def _settle(self, change: _Change) -> None:
        for directory, name, node in change.names:
            names = self._names.setdefault(directory, {})
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node
        for node, style in change.styles:
            self._keep_style(node, style, change.number)

    def _keep_style(self, node: Node, style: Style, number: int) -> None:
        """An inode that was flushed since knows better than a change of before."""
        if number >= self._kept.get(node, 0):
            node.safe_style, self._kept[node] = style, number

    # -- what is left ----------------------------------------------------------------------------------

    def find(self, root: Node, path: bytes) -> Node | None:
        """What stands at a path if nothing more reaches the disk; None for nothing."""
        node: Node | None = root
        for part in path.split(b"/") if path else []:
            node = self._names.get(node, {}).get(part) if node is not None else None
        return node

    def cut(self, root: Node, random: Random) -> None:
        """The power fails: the tree becomes one of those that may be left, and all that is left is durable."""
        self._choose_changes(random)
        self._restore_names(root)
        seen: set[Node] = set()
        for node in [root, *(node for _, node in nodes_below(root))]:
            if node not in seen:
                seen.add(node)
                cut_inode(node, random)
                node.links = 0
        for _, node in nodes_below(root):
            node.links += 1
        self._names = {node: dict(node.children) for node in seen if node.is_directory}
        self._kept.clear()

    def _choose_changes(self, random: Random) -> None:
        chance, lost, is_tree_lost = random.choice(CHANCES), set[Node](), False
        for change in self._pending:
            if not change.is_after(lost, is_tree_lost=is_tree_lost) and random.random() < chance:
                self._settle(change)
            else:
                lost.update(directory for directory, _, _ in change.names)
                is_tree_lost |= change.moves_directory
        self._pending.clear()

    def _restore_names(self, directory: Node) -> None:
        directory.children = dict(sorted(self._names.get(directory, {}).items()))
        for node in directory.children.values():
            if node.is_directory:
                self._restore_names(node)


def nodes_below(directory: Node) -> Iterator[tuple[bytes, Node]]:
    """(name, node) of everything below a directory, in order."""
    for name, node in sorted(directory.children.items()):
        yield name, node
        if node.is_directory:
            yield from nodes_below(node)


def cut_inode(node: Node, random: Random) -> None:
    """Leave one of the states that an inode may be left in."""
    old, new = node.safe_data, node.data
    node.writers = 0
    node.data = old if node.is_directory or old == new else torn(old, new, random)
    # Bytes of a file reach the disk after its times: the other order is a change that no stat shows.
    is_old = node.data == old and random.random() < 0.5
    if is_old and node.safe_style is not None:
        node.style = node.safe_style
    node.safe_data, node.safe_style = node.data, node.style


def torn(old: bytes, new: bytes, random: Random) -> bytes:
    """What a file may hold whose new bytes were on their way: the old, the new, or some pages of each."""
    kind = random.randrange(3)
    if kind < 2:
        return (old, new)[kind]
    size = len(random.choice([old, new]))
    page = SMALL_PAGE if size <= PAGE else PAGE
    pieces = []
    for start in range(0, size, page):
        end = min(start + page, size)
        piece = (old, new)[random.randrange(2)][start:end]
        pieces.append(piece.ljust(end - start, b"\0"))
    return b"".join(pieces)
