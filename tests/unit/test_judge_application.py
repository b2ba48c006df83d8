"""What an application remembers of its transactions."""

import pytest

from e2e.judge.application import Record


@pytest.mark.parametrize(
    ("times", "silence"),
    [
        ([], 10.0),
        ([103.0], 7.0),
        ([108.0], 8.0),
        ([99.0, 103.0, 106.0, 111.0], 4.0),
    ],
)
def test_a_silence_is_the_longest_part_of_a_time_without_an_acknowledgement(
    times: list[float], silence: float
) -> None:
    assert Record(acknowledged_at=times).silence(100.0, 110.0) == silence
