"""Deliberate bugs, at least one for every promise, each shown to be caught by a test.

`table` lists them; `copied` breaks a copy of the project with one, whose tests `forked` runs; `test_bugs` shows
that unit and property tests catch it, and `python -m tests.bugs` that the end-to-end tests on the cluster do.
"""
