"""``syncctl``: the commands that people and scripts use to ask and to tell an agent."""
