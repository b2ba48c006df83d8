"""What runs in a pooler pod: the agent and the engines it drives."""
