"""Why a peer's address does not work: asked of the system when ZeroMQ only says that it failed. Blocks for seconds."""

from __future__ import annotations

import os
import socket

from syncagent.transport.addresses import Address, resolve

TIMEOUT_SECONDS = 3.0
GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01"
"""What speakers of ZeroMQ say first, signature and version 3.1: enough to be told the other's mechanism."""
ANSWER_BYTES = 64


def why_unreachable(address: Address, is_handshake: bool) -> str:
    """Cause and remedy in a sentence; empty if the address seems to work by now.

    ``is_handshake``: the connection could be made, but came to nothing.
    """
    try:
        ip = resolve(address.host, address.port)[0]
    except OSError as error:
        return unresolved(address, error)
    try:
        with socket.create_connection((ip, address.port), TIMEOUT_SECONDS) as connection:
            return _why_not_greeted(connection, is_handshake)
    except ConnectionRefusedError:
        return "nothing listens there (connection refused): start the agent, or correct --peer"
    except TimeoutError:
        return "it does not answer: check the address, the firewall, and whether that machine is up"
    except OSError as error:
        return f"it cannot be reached ({_cause(error)}): check the network and the address"


def unresolved(address: Address, error: OSError) -> str:
    """The sentence for a name that leads nowhere."""
    return f"the name {address.host} cannot be resolved ({_cause(error)}): check its spelling and the name server"


def _why_not_greeted(connection: socket.socket, is_handshake: bool) -> str:
    answer = _greeting(connection)
    if not answer:
        return "it takes connections and does not answer: no agent runs behind it (yet), or it hangs"
    if answer[:1] != b"\xff" or answer[9:10] != b"\x7f":
        return "another program than an agent listens there: correct --peer"
    if answer[12:32].rstrip(b"\0") != b"CURVE":
        return "a program that speaks ZeroMQ without keys listens there, no agent: correct --peer"
    if not is_handshake:
        return ""
    return (
        "the agent there refused the connection: this agent's secret differs from the peer's (or one "
        "of them runs without one): compare --secret-file on both"
    )


def _greeting(connection: socket.socket) -> bytes:
    answer = b""
    try:
        connection.sendall(GREETING)
        while len(answer) < ANSWER_BYTES and (part := connection.recv(ANSWER_BYTES - len(answer))):
            answer += part
    except OSError:
        pass  # what came before is what there is to judge
    return answer


def _cause(error: OSError) -> str:
    return error.strerror or (os.strerror(error.errno) if error.errno else type(error).__name__)
