"""What `test_storm` stands on: pooler pods that no node runs, and the operator as a program of this machine."""
