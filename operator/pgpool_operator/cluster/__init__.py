"""I/O with the API server: requests, the observed store, the keyed queue, leadership, events."""
