"""Runs a function in a process of its own, with another user, without some system calls, or among private mounts.

The refusals are real ones, by the kernel: older kernels, container profiles and file systems refuse in the same way.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_IS_ARM = os.uname().machine == "aarch64"
OPENAT2 = 437
RENAMEAT2 = 276 if _IS_ARM else 316
SETXATTR = 5 if _IS_ARM else 188
LINKAT = 37 if _IS_ARM else 265
FCNTL = 25 if _IS_ARM else 72
F_SETLEASE = 1024
CAP_CHOWN, CAP_FOWNER, CAP_LEASE = 0, 3, 28

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x00020000, 0x4000, 0x40000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A system call that fails with this error, or only with this second argument."""

    call: int
    error: int
    second_argument: int | None = None


def run_isolated(
    function: Callable[[], None],
    *,
    uid: int | None = None,
    refuse: Sequence[Refusal] = (),
    without: Sequence[int] = (),
    private_mounts: bool = False,
) -> None:
    """Fork, arrange, run; what fails there fails here. ``without``: numbers of capabilities to do without."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            if private_mounts:
                _make_mounts_private()
            _drop_capabilities(without)
            _become(uid)
            _install(refuse)
            function()
            code = 0
        except BaseException:  # noqa: BLE001
            os.write(writing, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, report or f"the process ended with status {status}"


def mount(kind: str, target: bytes, options: str = "") -> None:
    """Mount a file system, or bind a directory to itself with kind 'bind'."""
    flags = 0x1000 if kind == "bind" else 0
    source = target if kind == "bind" else kind.encode()
    _checked(_libc.mount(source, target, kind.encode(), ctypes.c_ulong(flags), options.encode() or None))


def bind(source: bytes, target: bytes) -> None:
    """Let a directory or file show at another place too."""
    _checked(_libc.mount(source, target, None, ctypes.c_ulong(0x1000), None))


def remount_read_only(target: bytes) -> None:
    """Nothing can be written there any more."""
    _checked(_libc.mount(b"none", target, None, ctypes.c_ulong(0x20 | 0x1), None))


def _make_mounts_private() -> None:
    _checked(_libc.unshare(_CLONE_NEWNS))
    _checked(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))


def _become(uid: int | None) -> None:
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


def _drop_capabilities(numbers: Sequence[int]) -> None:
    if not numbers:
        return
    header = struct.pack("Ii", 0x20080522, 0)
    held = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, held))
    words = list(struct.unpack("6I", held.raw))
    for number in numbers:
        for kind in range(3):
            words[3 * (number // 32) + kind] &= ~(1 << number % 32)
    _checked(_libc.capset(header, struct.pack("6I", *words)))


def _install(refuse: Sequence[Refusal]) -> None:
    """A seccomp filter: each rule looks at the call's number, and at one argument if it names one."""
    if not refuse:
        return
    program: list[bytes] = []
    for rule in refuse:
        answer = struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | rule.error)
        load_call = struct.pack("HBBI", _LOAD, 0, 0, 0)
        if rule.second_argument is None:
            program += [load_call, struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 1, rule.call), answer]
            continue
        program += [
            load_call,
            struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 3, rule.call),
            struct.pack("HBBI", _LOAD, 0, 0, 16 + 8),
            struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 1, rule.second_argument),
            answer,
        ]
    program.append(struct.pack("HBBI", _RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({errno.errorcode.get(number)})")
