-- Added by version 2. Per change, made or applied here: what stood at the path before it, and where that is kept.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,              -- grows with each change, and is the order of this replica
    path BLOB NOT NULL,
    before BLOB,                         -- the entry, msgpack; NULL: nothing stood there
    content BLOB,                        -- the digest of a kept file, else NULL
    kind INTEGER NOT NULL,               -- what stood there after the change
    origin TEXT NOT NULL,                -- with counter: the change
    counter INTEGER NOT NULL,
    stamp INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    kept BLOB,                           -- its name in the store, NULL: not kept
    kept_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX history_by_path ON history (path);
CREATE INDEX history_by_stamp ON history (stamp);
CREATE INDEX history_kept ON history (id, kept_bytes) WHERE kept IS NOT NULL;
CREATE INDEX history_by_content ON history (substr(content, 1, 8)) WHERE content IS NOT NULL;
