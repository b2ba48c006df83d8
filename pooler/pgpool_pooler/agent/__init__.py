"""The agent: process 1 of a pooler pod. It runs the engine within what the pod's grant allows."""
