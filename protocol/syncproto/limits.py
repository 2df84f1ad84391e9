"""Every limit of the wire, by name. All are enforced on receipt; see SPEC.md, section Limits."""

from __future__ import annotations

PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1

PATH_BYTES_MAX = 4000
"""Below PATH_MAX (4096) by the room that a staging name needs."""
NAME_BYTES_MAX = 255
TARGET_BYTES_MAX = 4095
REPLICA_NAME_CHARS_MAX = 64
ORIGIN_CHARS_MAX = 80
VECTOR_ORIGINS_MAX = 4096
COUNTER_MAX = 2**62
STAMP_MAX = 2**62
FILE_SIZE_MAX = 2**46
XATTRS_MAX = 128
XATTR_BYTES_MAX = 65536
"""Names and values of all user extended attributes of one file together."""
MEMBERS_MAX = 256
VOLUMES_MAX = 256
STARTS_MAX = 16

SESSION_ID_BYTES = 8
HEADER_BYTES_MAX = 4 * 1024 * 1024
FRAME_BYTES_MAX = 1024 * 1024 + 4096
FRAMES_MAX = 1100
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
DELTA_ENTRIES_MAX = 1000
DELTA_ENTRY_BYTES_MAX = 1024 * 1024
"""A sender fills a part of a unit with at most this much of encoded entries, or with a single one."""
INLINE_FILE_BYTES_MAX = 16 * 1024
INLINE_BYTES_MAX = 256 * 1024
RANGES_MAX = 256
RANGE_BYTES_MAX = 1024 * 1024
"""A request asks for at most this much in one range; the reply packs ranges into frames of at most this size."""
REQUEST_BYTES_MAX = 1024 * 1024
CHUNKS_PER_MESSAGE_MAX = 50_000
CHUNKS_MAX = 4_000_000

CHUNK_BYTES_MIN = 16 * 1024
CHUNK_BYTES_AVERAGE = 64 * 1024
CHUNK_BYTES_MAX = 256 * 1024
CHUNKER_ID = "fastcdc-16-64-256-nc2"
DIGEST_BYTES = 32
CHUNK_ID_BYTES = 16

CREDIT_BYTES = 16 * 1024 * 1024
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
"""Bulk that waits for one peer's credit; what is more is dropped, but for answers to a Pull."""
HEARTBEAT_SECONDS = 2.0
SILENCE_SECONDS = 10.0
HELLO_RETRY_SECONDS = 1.0
