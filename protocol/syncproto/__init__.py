"""The language that replicas speak: entries, vectors, messages, codec, session. See SPEC.md."""
