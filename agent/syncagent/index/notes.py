"""Small local facts: held deletes, residue directories, manifests, settings."""

from __future__ import annotations

from syncagent.index.rows import decode_manifest, encode
from syncagent.index.tables import Tables
from syncproto.model import Manifest, Path


class Notes(Tables):
    """Reads and writes them, in the transaction of everything else."""

    # -- held deletes --------------------------------------------------------------------------

    def held(self) -> list[Path]:
        return [row[0] for row in self._database.rows("SELECT path FROM held ORDER BY path")]

    def hold(self, path: Path) -> None:
        self._database.change("INSERT OR IGNORE INTO held VALUES (?)", path)

    def unhold(self, path: Path) -> None:
        self._database.change("DELETE FROM held WHERE path = ?", path)

    # -- residue -------------------------------------------------------------------------------

    def residues(self) -> list[Path]:
        return [row[0] for row in self._database.rows("SELECT path FROM residue ORDER BY path")]

    def is_residue(self, path: Path) -> bool:
        return self._database.row("SELECT 1 FROM residue WHERE path = ?", path) is not None

    def add_residue(self, path: Path) -> None:
        self._database.change("INSERT OR IGNORE INTO residue VALUES (?)", path)

    def drop_residue(self, path: Path) -> None:
        self._database.change("DELETE FROM residue WHERE path = ?", path)

    # -- manifests -----------------------------------------------------------------------------

    def manifest(self, digest: bytes) -> Manifest | None:
        found = self._database.row("SELECT manifest FROM manifests WHERE digest = ?", digest)
        return self._decoded(decode_manifest, found[0]) if found else None

    def put_manifest(self, manifest: Manifest) -> None:
        self._database.change(
            "INSERT INTO manifests VALUES (?1, ?2) ON CONFLICT DO UPDATE SET manifest = ?2",
            manifest.digest,
            encode(manifest),
        )

    def prune_manifests(self) -> None:
        self._database.change(
            """DELETE FROM manifests WHERE
            NOT EXISTS (SELECT 1 FROM pending WHERE pending.content = manifests.digest) AND
            NOT EXISTS (SELECT 1 FROM entries WHERE substr(entries.content, 1, 8) = substr(manifests.digest, 1, 8)
                        AND entries.content = manifests.digest) AND
            NOT EXISTS (SELECT 1 FROM history WHERE substr(history.content, 1, 8) = substr(manifests.digest, 1, 8)
                        AND history.content = manifests.digest)"""
        )

    # -- settings ------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        found = self._database.row("SELECT value FROM settings WHERE key = ?", key)
        return found[0] if found else None

    def set(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._database.change("DELETE FROM settings WHERE key = ?", key)
        else:
            self._database.change(
                "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2", key, value
            )
