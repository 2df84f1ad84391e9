-- Added by version 3. What stood at paths in the former incarnation, until a scan of the new one has seen everything.
CREATE TABLE lineage (
    path BLOB PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT, WITHOUT ROWID;
UPDATE state SET starts = x'90';
UPDATE peers SET start = NULL;
