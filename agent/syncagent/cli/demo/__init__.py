"""``syncctl demo``: three real agents, a real tree, real edits and faults, and a proof that does not ask the agents.

``trees`` and ``ledger`` look at the disk by means of their own and import nothing of the agent's.
"""
