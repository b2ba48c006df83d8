"""What an application remembers of its transactions."""

import asyncio
import struct

import pytest

from e2e.judge.application import Application, Record, is_of_an_end


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


def fatal(text: str) -> bytes:
    """PgBouncer's error of the SQLSTATE that it gives most of them."""
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + text.encode() + b"\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


async def goodbyes(text: str) -> list[str]:
    """What an application keeps of a pooler that lets clients in, and answers BEGIN with this and closes."""

    said = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        await reader.readexactly(length - 4)
        writer.write(b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!I", 5) + b"I")
        await writer.drain()
        await reader.read(100)
        writer.write(fatal(text) if text else b"")
        writer.close()
        said.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    conninfo = f"host=127.0.0.1 port={port} user=u dbname=d sslmode=disable gssencmode=disable"
    async with server, Application(lambda: conninfo, workers=1) as record:
        await said.wait()
    assert record.failures == []
    return record.goodbyes


@pytest.mark.parametrize("text", ["client_idle_timeout", "server shutting down", ""])
async def test_a_pooler_that_ends_is_known_by_its_last_words_or_by_none(text: str) -> None:
    said = await goodbyes(text)
    assert said
    assert all(is_of_an_end(each) for each in said), said


@pytest.mark.parametrize(
    "text",
    [
        "query_wait_timeout",
        "server login has been failing, cached error: connect failed (server_login_retry)",
        "server conn crashed?",
        "admin forced disconnect",
    ],
)
async def test_a_client_that_waited_in_vain_is_told_otherwise(text: str) -> None:
    said = await goodbyes(text)
    assert said[0] == text
    assert not any(is_of_an_end(each) for each in said)
