"""Breaking things on purpose while clients work, with PostgreSQL as the judge of the budget.

`make faults` plays every fault, `make faults FAULT=pod/evict` one, `make chaos SEEDS=7` one seeded mixture again.
"""
