"""Putting the agent together."""

import asyncio
import contextlib
import resource
import signal
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from pgpool_pooler.contract import LEFT_NOTHING
from pgpool_pooler.engines.pgbouncer import build as pgbouncer

from .drain import RealClock
from .enquiries import Enquiries
from .http import application
from .inputs import Inputs
from .settings import Settings
from .sockets import unconfirmed_ends
from .store import Store
from .supervisor import Supervisor
from .watch import watch

_LEFT_NOTHING = (
    f"{LEFT_NOTHING}: each connection to a server was closed between two transactions, "
    "and the server has confirmed it"
)

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    """Serve until SIGTERM, then drain and return."""
    _raise_file_limit()
    layout = settings.layout
    store = Store(layout.data, layout.run)
    inputs = Inputs(settings.identity, layout, store.accepted())
    built = pgbouncer.build(layout.run, settings.client_port, settings.engine_binary)
    clock = RealClock()
    enquiries = Enquiries(layout.run, settings.client_port, pgbouncer.clear_users, clock)
    unconfirmed = partial(unconfirmed_ends, frozenset({settings.client_port, settings.http_port}))
    supervisor = Supervisor(settings, store, inputs, built.engine, enquiries, clock, unconfirmed)
    built.connect(supervisor.server_failed, supervisor.wake)
    _on_signals(supervisor)
    runner = web.AppRunner(application(supervisor), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=settings.http_port).start()
    watcher = asyncio.create_task(watch(inputs.directories, supervisor.wake))
    try:
        left_nothing = await supervisor.run()
        log.info("drained", left_nothing=left_nothing)
        if left_nothing:
            _tell_the_kubelet(settings.termination_log)
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        await enquiries.stop()
        await runner.cleanup()


def _tell_the_kubelet(termination_log: Path) -> None:
    """Without this word the operator waits until the server has noticed; in session mode, for a person's word."""
    try:
        termination_log.write_text(_LEFT_NOTHING, encoding="utf-8")
    except OSError as error:
        log.warning("the end is not told", error=str(error))


def _on_signals(supervisor: Supervisor) -> None:
    """Hear them from now on, and what came while the image's entry point had them blocked; no child has them so."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))


def _raise_file_limit() -> None:
    """The engine inherits it; each client is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
