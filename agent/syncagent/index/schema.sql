-- The index of one volume. Paths are BLOBs and compare bytewise. Entries, attributes, vectors, members and manifests
-- are msgpack, as on the wire, with a checksum behind it; the other columns repeat what queries ask for. Indexes are partial where a query never
-- asks for the rest, and short, because a digest or hash of 8 bytes finds as well as a long one. A change of this file needs a new version in database.py and a migration from the last one.

-- One row: what belongs to the replica as a whole. It is written with every commit, in the same transaction.
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    is_clean INTEGER NOT NULL,           -- 1: the last use ended with close()
    flushes INTEGER NOT NULL,            -- counts durable commits: writing it is what makes a flush
    origin TEXT NOT NULL,
    counter INTEGER NOT NULL,
    counter_reserved INTEGER NOT NULL,   -- no dot above it was ever handed out; durable before it is passed
    sequence INTEGER NOT NULL,
    sequence_reserved INTEGER NOT NULL,  -- the same for sequence numbers, which are the peers' cursors
    floor INTEGER NOT NULL,
    known BLOB NOT NULL,
    applied BLOB NOT NULL,
    collected BLOB NOT NULL,
    starts BLOB NOT NULL,
    live_count INTEGER NOT NULL,         -- this and the next two: sums over the rows that have a mark
    live_bytes INTEGER NOT NULL,
    digest BLOB NOT NULL,
    pending_count INTEGER NOT NULL,
    pending_bytes INTEGER NOT NULL
) STRICT;

-- What the disk holds, tombstones too, and what the disk showed when it was last looked at.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL,                  -- unique: the program looks it up before it inserts
    parent INTEGER NOT NULL,             -- XXH3-64 of the parent's path, as a signed number: who finds, compares
    is_live INTEGER NOT NULL,
    is_copy INTEGER NOT NULL,            -- 1: a live conflict copy
    content BLOB,                        -- the digest of a live file, else NULL
    size INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    inode INTEGER,                       -- of a live row that has a stat; as a signed number
    mark BLOB,                           -- what the row adds to the volume's digest; NULL: it does not count
    entry BLOB NOT NULL,
    stat BLOB,
    attributes BLOB
) STRICT;
CREATE UNIQUE INDEX entries_by_path ON entries (path, is_live);  -- answers what is live below without the table
CREATE INDEX entries_copies ON entries (path) WHERE is_copy = 1;
CREATE INDEX entries_dead ON entries (path) WHERE is_live = 0;
CREATE INDEX entries_by_parent ON entries (parent);
CREATE INDEX entries_by_sequence ON entries (sequence);
CREATE INDEX entries_by_content ON entries (substr(content, 1, 8)) WHERE content IS NOT NULL;
CREATE INDEX entries_by_inode ON entries (inode) WHERE inode IS NOT NULL;

-- Entries that are known but whose content is not at hand.
CREATE TABLE pending (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    counter INTEGER NOT NULL,
    path BLOB NOT NULL,
    content BLOB,                        -- the digest of a file, else NULL
    size INTEGER NOT NULL,               -- of a file, else 0
    sequence INTEGER NOT NULL,
    entry BLOB NOT NULL,
    UNIQUE (origin, counter)
) STRICT;
CREATE INDEX pending_by_path ON pending (path);
CREATE INDEX pending_by_sequence ON pending (sequence);
CREATE INDEX pending_by_content ON pending (content, sequence) WHERE content IS NOT NULL;

-- What pending files speak for beyond their path.
CREATE TABLE pending_carried (
    origin TEXT NOT NULL,
    counter INTEGER NOT NULL,
    pending INTEGER NOT NULL,            -- pending.id
    PRIMARY KEY (origin, counter, pending)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_carried_by_pending ON pending_carried (pending);

CREATE TABLE manifests (
    digest BLOB PRIMARY KEY,
    manifest BLOB NOT NULL
) STRICT;

-- What is remembered of other replicas.
CREATE TABLE peers (
    incarnation TEXT PRIMARY KEY,
    epoch TEXT NOT NULL DEFAULT '',      -- with sequence: the last of theirs that was taken whole
    sequence INTEGER NOT NULL DEFAULT 0,
    applied BLOB,                        -- what they were heard to have applied
    start BLOB                           -- their last starts, and their own counter in the last of them
) STRICT;

CREATE TABLE members (
    incarnation TEXT PRIMARY KEY,
    member BLOB NOT NULL
) STRICT;

-- Deletes that the brake holds back.
CREATE TABLE held (path BLOB PRIMARY KEY) STRICT;

-- Directories that were deleted elsewhere and stay here for what they hold.
CREATE TABLE residue (path BLOB PRIMARY KEY) STRICT;

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;
