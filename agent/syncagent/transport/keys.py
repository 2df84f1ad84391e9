"""The CURVE keys of a cluster, all made from its one secret.

Everybody who has the secret has the same key pair, and uses it as the key of its servers and of its clients: to be let
in, and to be believed, is to know the secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import blake3
import zmq
from zmq.utils import z85

from syncagent.transport.errors import TransportFailed

CONTEXT = "syncagent 2026 curve key"
NO_SECRET = b"no secret"
"""What stands in for a secret on loopback. Everybody knows it: it protects nothing, it only keeps agents with a secret
and agents without one from talking to each other."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in Z85, as ZeroMQ wants it."""

    public: bytes
    secret: bytes = field(repr=False)


def derive(secret: bytes | None) -> KeyPair:
    """The key pair of a secret; white space at its ends does not count.

    Raises ``TransportFailed`` if nothing is left.
    """
    material = NO_SECRET if secret is None else secret.strip()
    if not material:
        raise TransportFailed("the cluster's secret is empty: make one with `syncctl keygen`")
    key = z85.encode(blake3.blake3(material, derive_key_context=CONTEXT).digest())
    return KeyPair(zmq.curve_public(key), key)
