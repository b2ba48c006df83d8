"""The engine's process, with a shell in its place."""

from pgpool_pooler.engines.process import Process

SAYS = ["sh", "-c", "echo one >&2; echo two >&2; printf three >&2; exit 3"]


async def test_each_line_is_told_and_then_the_end() -> None:
    told: list[str | int] = []
    process = Process(told.append, told.append)
    await process.start(SAYS)
    await process.wait()
    assert told == ["one", "two", "three", 3]
    assert (process.pid, process.status) == (None, 3)


async def test_who_fails_over_a_line_is_told_the_next_ones_and_the_end_all_the_same() -> None:
    told: list[str | int] = []

    def fail(line: str) -> None:
        told.append(line)
        raise ValueError(line)

    process = Process(fail, told.append)
    await process.start(SAYS)
    await process.wait()
    assert told == ["one", "two", "three", 3]
