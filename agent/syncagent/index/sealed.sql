-- To version 4: each msgpack value has a checksum behind it, which the function "sealed" puts there.
UPDATE entries SET entry = sealed(entry);
UPDATE entries SET attributes = sealed(attributes) WHERE attributes IS NOT NULL;
UPDATE pending SET entry = sealed(entry);
UPDATE history SET before = sealed(before) WHERE before IS NOT NULL;
UPDATE manifests SET manifest = sealed(manifest);
UPDATE peers SET applied = sealed(applied) WHERE applied IS NOT NULL;
UPDATE peers SET start = sealed(start) WHERE start IS NOT NULL;
UPDATE lineage SET entry = sealed(entry);
UPDATE members SET member = sealed(member);
UPDATE state SET known = sealed(known), applied = sealed(applied), collected = sealed(collected), starts = sealed(starts);
