"""End-to-end tests and the ground they stand on: a real Kubernetes cluster on this machine."""
