"""The agent: watches volumes, publishes what changed, applies what peers changed."""
