"""The engines: what an agent runs in front of the database."""
