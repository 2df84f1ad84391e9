"""One volume's engine: wires the parts together, takes inputs, turns its loop, and halts when the root is in doubt."""

from __future__ import annotations

import logging
from collections.abc import Callable

from syncagent.core.brake import Brake
from syncagent.core.dirty import DirtySet
from syncagent.core.ignore import IGNORE_FILE
from syncagent.core.plan import StatKey
from syncagent.core.reconcile import Reconciler
from syncagent.engine.applying import Applier
from syncagent.engine.context import Context, PeerView, VolumeOptions
from syncagent.engine.fetching import Fetcher
from syncagent.engine.flushing import to_flush
from syncagent.engine.identity import Identity
from syncagent.engine.looking import Lookout
from syncagent.engine.membership import Membership
from syncagent.engine.nowhere import nowhere
from syncagent.engine.problems import Problems, printable
from syncagent.engine.publishing import Publisher
from syncagent.engine.recalling import Recaller
from syncagent.engine.receiving import Receiver
from syncagent.engine.rounds import Rounds
from syncagent.engine.routing import Router
from syncagent.engine.ruling import load_rules
from syncagent.engine.stating import Herald
from syncagent.engine.strangers import Strangers
from syncagent.engine.surroundings import Hints, Surroundings
from syncagent.engine.suspending import Ward, WardedWorkers
from syncagent.engine.tidying import Tidier
from syncagent.engine.waiting import Barriers
from syncagent.engine.walking import Walker
from syncagent.engine.watching import Watching
from syncagent.ports import DirtyPath, PeerMessage, PeerUp, Scanner, Tree, WatchLost
from syncproto import messages as m
from syncproto.model import Path
from syncproto.version import Dot, Vector

log = logging.getLogger("syncagent.engine")

ROOT_CHECK_SECONDS = 0.5
TURNS_MAX = 8


class Volume:
    """One volume. All methods run on the engine's thread."""

    def __init__(self, options: VolumeOptions, agent: str, around: Surroundings) -> None:
        try:
            scanner, tree = around.disk.open()
        except OSError as error:
            scanner, tree = nowhere(error)  # ``start`` will halt the volume
        self.ward = ward = Ward()
        self.context = context = Context(
            options=options,
            agent=agent,
            index=around.index,
            scanner=scanner,
            tree=tree,
            peers=around.peers,
            workers=WardedWorkers(around.workers, ward),
            clock=around.clock,
            reconciler=Reconciler(around.index),
            problems=Problems(),
        )
        context.residues.update(context.index.residues())
        self._disk = around.disk
        self.rehello = around.rehello
        self.hints = Hints(around.post, lambda hint: ward.do(lambda: self.on_hint(hint)))
        self.brake = Brake(options.brake)
        self.remote_brake = Brake(options.brake)
        self.walker = Walker(context, changed=self._path_changed, root_listed=self._root_listed)
        self.lookout = Lookout(
            context,
            self.brake,
            walk=self.walker.add,
            walk_changed=self.walker.add_changed,
            is_walking=self.walker.is_walking,
            changed=self._path_changed,
            root_is_sound=lambda: self.identity.check(),
        )
        self.walker.lookout = self.lookout
        context.history.look_again = self.lookout.look_again
        self.applier = Applier(
            context, self.remote_brake, want=lambda entry: self.fetcher.want(entry), look_again=self.lookout.look_again
        )
        self.applier.rules_changed = self._load_rules
        self.fetcher = Fetcher(context, self._staged)
        self.publisher = Publisher(context, look_again=self.lookout.look_again)
        self.receiver = Receiver(
            context,
            self.applier,
            self.fetcher,
            rolled_back=lambda why: self.identity.rolled_back(why, 0),
            look_again=self.lookout.look_again,
        )
        self.membership = Membership(context)
        self.herald = Herald(context, self.membership, self.is_held_back)
        self.barriers = Barriers(context, self.is_quiet)
        self.recaller = Recaller(self)
        self.identity = Identity(self)
        self.strangers = Strangers(self)
        self.lookout.lineage_of = self.identity.lineage_of
        self.rounds = Rounds(self)
        self._router = Router(self)
        self.watching = Watching(context, around.disk, self.hints.put)
        self.is_scanned = False
        self.is_ready = False
        self.expected: Callable[[], list[str]] = list
        """Configured addresses that have never answered; the agent, which knows them, puts the question here."""
        self._started = context.now
        self._next_root_check = float("inf")  # until it is started
        self._next_scan = 0.0
        self._tidier = Tidier(self)
        self._told: tuple[int, Vector, Vector] = (0, {}, {})
        self.lost_contents: dict[Path, float] = {}
        self.held_since: float | None = None

    # -- life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Check the root, watch it, then look at everything."""
        context, self._next_root_check = self.context, self.context.now
        context.index.is_counted = lambda path: not context.rules.ignores(path)
        self.identity.start()
        if not context.halt:
            self.resume()
        context.index.commit(durable=True)

    def begin_anew(self) -> None:
        """Start in a process that runs already, with sessions that know nothing of this volume."""
        self.start()
        self.rehello()

    def resume(self) -> None:
        """The root is sound: watch it from now on, then look at everything."""
        context = self.context
        try:
            context.scanner, context.tree = self._disk.open()
        except OSError as error:  # it was there a moment ago
            self.identity.halt(f"{printable(context.options.path)} cannot be opened: {error.strerror}")
            return
        self._load_rules()
        self.watching.begin()
        self.lookout.dirty = DirtySet()
        self.membership.enlist()
        context.history.recover()
        self.walker.start_full()
        self.is_scanned = False
        self._next_scan = context.now + context.options.scan_interval
        self.applier.release_up_to(self.membership.released)
        self.applier.wake_everything()
        self.finish()
        self.publisher.resumed()

    def reopen(self) -> tuple[Scanner, Tree]:
        """The root as its path leads to it now. Raises ``OSError``."""
        return self._disk.open()

    def halted(self) -> None:
        """Nothing is looked at, applied or answered any more."""
        self.lookout.reset()
        self.walker.reset()
        self.herald.soon()

    def restarted(self) -> None:
        """The index began anew: sessions too, so that peers learn the new incarnation."""
        for peer in list(self.context.views):
            self.peer_down(peer)
        self.is_scanned = False
        self.rehello()

    def stop(self) -> None:
        """End the watcher; what is staged stays for the next start."""
        self.watching.end()
        if self.context.halt or self._flush():
            self.context.index.commit(durable=True)
            self.context.is_changed = self.context.is_applied = False
            self.identity.mark_again(at_once=True)
            self.context.index.commit(durable=True)
        self.context.index.close()

    def abandon(self) -> None:
        """The index has failed: nothing is done any more, and peers learn that the volume is away."""
        self.watching.end()
        self.context.index.close()
        self.rehello()

    def on_hint(self, hint: DirtyPath | WatchLost) -> None:
        """Mark what a hint names."""
        context = self.context
        if context.halt:
            return
        if isinstance(hint, WatchLost):
            log.info("volume %s: scanning everything: %s", context.options.name, hint.reason)
            context.count("full_scans")
            self.watching.lost(hint.reason)
            self.walker.start_full()
            return
        if not hint.path:
            self.walker.add(b"")
        elif hint.is_closed:
            self.lookout.dirty.mark_closed(hint.path, context.now)
            if hint.is_written:
                self.lookout.races.written(hint.path)
        else:
            self.lookout.dirty.mark_growing(hint.path, context.now)
        if hint.is_tree and hint.path:
            self.walker.add(hint.path)

    # -- what the parts tell each other ------------------------------------------------------------------------

    def _staged(self, dots: set[Dot]) -> None:
        self.applier.wake_files(dots)

    def _path_changed(self, path: Path) -> None:
        self.applier.wake_path(path)
        self.applier.styler.later(path)
        self.walker.list_again(path)
        if path == IGNORE_FILE:
            self._load_rules()

    def _root_listed(self, stat: StatKey, has_children: bool) -> None:
        if self.membership.root.observed(stat, has_children=has_children):
            self.tell_members()

    def _load_rules(self) -> None:
        if load_rules(self.context):
            self.applier.wake_everything()
            if self.is_scanned:
                self.walker.start_full()

    # -- peers ---------------------------------------------------------------------------------------------------

    def peer_up(self, event: PeerUp, hello: m.VolumeHello) -> None:
        """Another agent that has this volume is connected."""
        context = self.context
        if not self.strangers.accepts(event, hello):
            return
        self.finish()  # what is told must be committed first
        view = PeerView(event.peer, event.hello.agent, hello.incarnation, hello)
        context.views[event.peer] = view
        self.membership.met(view)
        self.membership.replace_namesakes(view)
        self.tell_members()
        context.peers.send(event.peer, self.herald.message())
        self.receiver.peer_up(view)
        self.barriers.peer_up(view)

    def peer_down(self, peer: str) -> None:
        """The session is over."""
        view = self.context.views.pop(peer, None)
        self.strangers.gone(peer, view)
        if view is not None:
            self.membership.lost(view)
            self.fetcher.peer_gone(peer)
            self.receiver.peer_gone(peer)
            self.barriers.peer_gone(view)
            self.recaller.peer_gone(view)
            self.herald.soon()

    def on_message(self, event: PeerMessage) -> None:
        """A message of a connected peer about this volume."""
        if isinstance(event.message, m.Doubt):
            self.strangers.on_doubt(event.peer, event.message)
            return
        view = self.context.views.get(event.peer)
        if view is not None:
            self._router.route(view, event)

    def tell_members(self) -> None:
        """Send the member list to all."""
        for peer in self.context.views:
            self.context.peers.send(peer, self.membership.list_message())

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do all that is due."""
        context, now = self.context, self.context.now
        if now >= self._next_root_check:
            self._next_root_check = now + ROOT_CHECK_SECONDS
            self.rounds.go()
        if self.lookout.dirty.take_everything() and not context.halt:
            self.walker.start_full()
        for _ in range(TURNS_MAX):
            self.lookout.run()
            self.walker.run()
            if not self.applier.run():
                break
        self.fetcher.pump()
        self.receiver.run()
        self._scan_progress()
        context.history.run()
        self.finish()
        self.identity.mark_again()
        self.barriers.run()
        self.recaller.run()
        self.herald.run()
        self._tidier.run()
        if now >= self._next_scan and self.is_scanned and not context.halt:
            self._next_scan = now + self.watching.scan_interval()
            context.index.verify()
            self.walker.start_full()

    def next_due(self) -> float:
        """When ``run`` must be called again, if nothing comes in before."""
        context = self.context
        times: list[float | None] = [self._next_root_check, self._tidier.next_due(), self.herald.next_due()]
        if not context.halt:
            times += [self.lookout.next_due(), self.applier.next_due(), self.receiver.next_due()]
            times += [self.barriers.next_due(), self.recaller.next_due(), context.history.next_due()]
            if len(self.fetcher) and context.views:
                times.append(context.now + 0.1)
        return min(when for when in times if when is not None)

    def is_quiet(self) -> bool:
        """Whether all that was known to be dirty has been looked at; a halted volume has nothing to look at."""
        if self.context.halt:
            return True
        return self.is_scanned and self.lookout.is_quiet() and not self.walker.is_walking()

    def _scan_progress(self) -> None:
        context = self.context
        if context.halt or self.walker.is_walking() or self.lookout.jobs or self.lookout.departures:
            return
        if self.walker.is_full:
            self.walker.is_full = False
            self.identity.scanned()
            if not self.is_scanned:
                log.info("volume %s: scanned, %d entries", context.options.name, context.index.live_count)
                self.lookout.races.scanned()
            self.is_scanned = True
            self.watching.scanned(self.walker.directories)
            self._next_scan = min(self._next_scan, context.now + self.watching.scan_interval())
        if self.is_scanned and not self.is_ready:
            self.is_ready = self._has_what_others_had()

    def _has_what_others_had(self) -> bool:
        context = self.context
        if context.index.pending_count:
            return False
        if not all(view.is_pulled for view in context.views.values()):
            return False
        away = [m for m in self.membership.others() if not self.membership.is_connected(m.incarnation)]
        return not (away or self.expected()) or context.now - self._started > context.options.ready_wait

    def finish(self) -> None:
        """Acknowledge, make durable, commit once for all that was done, and tell."""
        context, index = self.context, self.context.index
        if not context.is_changed and not context.is_applied:
            return
        context.reconciler.acknowledge()
        if (context.is_applied or context.unflushed) and not self._flush():
            return
        # What is acknowledged or announced must outlast a power cut: a dot that a peer has seen is never pulled back.
        told = index.sequence, index.known, index.applied
        index.commit(durable=told != self._told)
        self._told = told
        if context.is_applied:
            self._tidier.applied()
        context.is_changed = context.is_applied = False
        self.publisher.push()
        context.moved.clear()
        self.herald.soon()
        if context.has_new_rules:
            self._load_rules()

    def _flush(self) -> bool:
        """Make durable what was applied and found. If that fails nothing of it counts: halt, then look again."""
        context = self.context
        seen, context.unflushed = to_flush(context.unflushed, context.index), set()
        try:
            context.tree.flush(seen)
        except OSError as error:
            context.index.rollback()
            context.residues.clear()
            context.residues.update(context.index.residues())
            context.moved.clear()
            context.is_changed = context.is_applied = False
            if self.identity.check():
                self.identity.halt(f"what is on the disk cannot be made durable: {error.strerror or error}")
            return False
        return True

    def is_held_back(self) -> bool:
        """Whether something here keeps replicas from being equal until a person acts, or a look is under way."""
        return bool(
            self.context.halt
            or self.lookout.departures.held
            or self.applier.holding.held
            or self.context.problems.is_blocking()
            or not self.is_scanned
        )
