"""The named scenarios."""

from pgpool_operator.api import WriteAutoscaling

from .scenario import Database, Load, Scenario, Silence, Work

_ROOMY = Database(cpus=16)
_SMALL = Database(cpus=4, connections_per_cpu=6)
_POOLER_HEAVY = Work(cpu=0.1, pooler=0.02)
_PLAIN = Work(cpu=0.1, pooler=0.005)
_TWO_PODS = WriteAutoscaling(min_replicas=2, max_replicas=2)


def _ramp(highest: int, step: int, seconds: float, work: Work) -> tuple[Load, ...]:
    """Up and down again, a step at a time."""
    rates = [*range(step, highest + 1, step), *range(highest - step, 0, -step)]
    return tuple(Load(at=number * seconds, rate=float(rate), work=work) for number, rate in enumerate(rates))


SCENARIOS: dict[str, Scenario] = {
    "pooler-bound": Scenario(
        about="Clients keep the poolers' CPU busy, later no more: pods come and go.",
        seconds=1200,
        database=_ROOMY,
        loads=(
            Load(0, clients=20, work=_POOLER_HEAVY),
            Load(60, clients=150, work=_POOLER_HEAVY),
            Load(500, clients=20, work=_POOLER_HEAVY),
        ),
    ),
    "database-bound": Scenario(
        about="The database's CPUs are what is short: no pod is added.",
        database=_SMALL,
        loads=(Load(0, clients=20, work=_PLAIN), Load(60, clients=150, work=_PLAIN)),
    ),
    "disk-bound": Scenario(
        about="The database's disk is what is short: no pod is added.",
        database=_SMALL,
        loads=(Load(0, clients=10, work=_PLAIN), Load(60, clients=150, work=Work(cpu=0.02, io=0.05))),
    ),
    "lock-storm": Scenario(
        about="For two minutes, nearly every transaction needs the same lock.",
        database=_SMALL,
        loads=(
            Load(0, clients=60, think=3.0, work=_PLAIN),
            Load(120, clients=60, think=3.0, work=Work(cpu=0.1, pooler=0.005, locked=0.9)),
            Load(240, clients=60, think=3.0, work=_PLAIN),
        ),
    ),
    "held-transactions": Scenario(
        about="Clients keep transactions open and ask nothing of their backends.",
        database=_SMALL,
        loads=(Load(0, clients=30, work=_PLAIN), Load(120, clients=60, work=Work(cpu=0.02, hold=2.0))),
    ),
    "small-budget": Scenario(
        about="The poolers could do with more pods than the budget can feed; later the load is gone.",
        seconds=1500,
        database=Database(cpus=4, connections_per_cpu=2),
        autoscaling=WriteAutoscaling(max_replicas=10),
        loads=(
            Load(0, clients=80, think=0.2, work=Work(cpu=0.02, pooler=0.1)),
            Load(400, clients=2, think=2.0, work=_PLAIN),
        ),
    ),
    "turning-skew": Scenario(
        about="Most clients sit on one pod, then on the other, then on both: the budget follows.",
        seconds=540,
        database=_SMALL,
        autoscaling=_TWO_PODS,
        loads=(
            Load(0, clients=50, work=_PLAIN, weights=(9, 1)),
            Load(180, clients=50, work=_PLAIN, weights=(1, 9)),
            Load(360, clients=50, work=_PLAIN),
        ),
    ),
    "open-ramp": Scenario(
        about="Transactions arrive at a rate that rises and falls a step a minute.",
        seconds=1500,
        database=_ROOMY,
        loads=_ramp(highest=120, step=12, seconds=60, work=_POOLER_HEAVY),
    ),
    "slow-queries": Scenario(
        about="One transaction in fifty takes 20 s of a CPU.",
        database=_SMALL,
        loads=(
            Load(0, clients=30, work=_PLAIN),
            Load(120, clients=30, work=Work(cpu=0.1, pooler=0.005, slow=0.02, slow_cpu=20.0)),
            Load(360, clients=30, work=_PLAIN),
        ),
    ),
    "silent-pod": Scenario(
        about="One pod is not heard for a minute, under a load that needs all of them.",
        database=_ROOMY,
        loads=(Load(0, clients=100, work=_POOLER_HEAVY),),
        silences=(Silence(pod=1, at=200, seconds=60),),
    ),
}
