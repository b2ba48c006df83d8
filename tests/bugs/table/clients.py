"""Clients survive what is done to their poolers."""

from tests.bugs.table.bug import (
    AGENT,
    OPERATOR,
    PGBOUNCER,
    TEST_AGENT_PLAN,
    TEST_BROKEN,
    TEST_PGBOUNCER,
    TEST_SUPERVISOR,
    TEST_TIMING,
    Bug,
)
from tests.bugs.table.guard import Guard

CLIENTS = (
    Bug(
        name="the-old-servers-silence-is-the-new-ones",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a switchover to a server that answers is not taken for an outage",
        file=f"{AGENT}/enquiries.py",
        right='        self._cancel("probe")\n',
        wrong="",
        caught_by=(
            "tests/unit/pooler/test_identity.py::"
            "test_what_an_old_server_answers_to_a_probe_is_not_said_of_the_new_one",
        ),
    ),
    Bug(
        name="no-pause-in-an-outage",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: while the server takes no connections they wait instead of being rejected",
        file=f"{AGENT}/plan.py",
        right="return view.grant.mode is Mode.PAUSE or view.outage or",
        wrong="return view.grant.mode is Mode.PAUSE or",
        caught_by=(f"{TEST_AGENT_PLAN}::test_an_outage_pauses_and_its_end_resumes",),
    ),
    Bug(
        name="ended-without-a-drain",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a pod that ends lets clients finish their transactions first",
        file=f"{AGENT}/drain.py",
        right="        await _heard(engine.stop_accepting())\n",
        wrong="        await engine.kill()\n        await _heard(engine.stop_accepting())\n",
        caught_by=(
            f"{TEST_TIMING}::test_a_drain_hangs_up_first_and_finishes_as_soon_as_the_clients_are_gone",
        ),
    ),
    Bug(
        name="ended-while-still-ready",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a pod that ends is out of its Service before it stops listening",
        file=f"{AGENT}/supervisor.py",
        right="self._begin_drain(unready_seconds=UNREADY_SECONDS)",
        wrong="self._begin_drain(unready_seconds=0.0)",
        caught_by=(f"{TEST_SUPERVISOR}::test_a_pod_that_leaves_fails_readiness_first_and_then_drains",),
    ),
    Bug(
        name="sigterm-is-not-heard",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: SIGTERM, the kubelet's word, starts the drain",
        file=f"{AGENT}/run.py",
        right="for number in (signal.SIGTERM, signal.SIGINT):",
        wrong="for number in (signal.SIGINT,):",
        caught_by=("tests/unit/pooler/test_run.py::test_sigterm_drains_the_pod_instead_of_killing_it",),
    ),
    Bug(
        name="the-kubelet-does-not-wait-for-the-drain",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: the kubelet gives a pod time to leave its Service and to drain",
        file=f"{OPERATOR}/desired/deployment.py",
        right="pool.spec.timeouts.drain_seconds + _STOP_MARGIN_SECONDS",
        wrong="pool.spec.timeouts.drain_seconds",
        caught_by=("tests/unit/desired/test_children.py::test_the_kubelet_ends_no_pod_that_still_drains",),
    ),
    Bug(
        name="drained-for-half-the-time",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a transaction that runs when its pod ends has all of drainSeconds",
        file=f"{AGENT}/drain.py",
        right="await _until(engine, start + seconds, clock, clients_too=False)",
        wrong="await _until(engine, start + seconds / 2, clock, clients_too=False)",
        caught_by=(f"{TEST_TIMING}::test_a_transaction_that_does_not_end_is_cut_off_in_the_end",),
    ),
    Bug(
        name="told-to-stop-at-once",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: the signal that stops an engine from listening ends no transaction",
        file=f"{PGBOUNCER}/engine.py",
        right="self._process.send(signal.SIGTERM)",
        wrong="self._process.send(signal.SIGQUIT)",
        caught_by=(
            f"{TEST_PGBOUNCER}::"
            "test_leaving_stops_listening_and_hangs_up_between_transactions_also_after_a_reload",
        ),
    ),
    Bug(
        name="finished-by-a-second-signal",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: an engine that finishes lets the transactions end that run",
        file=f"{PGBOUNCER}/engine.py",
        right='await self._console.run("SHUTDOWN WAIT_FOR_SERVERS")',
        wrong="self._process.send(signal.SIGTERM)",
        caught_by=(f"{TEST_PGBOUNCER}::test_finishing_sends_no_second_signal_and_leaves_no_console_open",),
    ),
    Bug(
        name="a-database-is-cut-off-to-retire-it",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a database that is no longer granted lets its transactions end",
        file=f"{PGBOUNCER}/engine.py",
        right='f"PAUSE {identifier(database)}"',
        wrong='f"KILL {identifier(database)}"',
        caught_by=(f"{TEST_PGBOUNCER}::test_a_retired_database_takes_no_client_and_opens_nothing",),
    ),
    Bug(
        name="restarted-in-the-middle-of-transactions",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: an engine that has to start anew drains first",
        file=f"{AGENT}/supervisor.py",
        right="            case plan.Restart():\n                self._begin_drain(unready_seconds=0.0)",
        wrong="            case plan.Restart():\n                await self._engine.kill()",
        caught_by=(
            f"{TEST_SUPERVISOR}::test_a_parameter_of_the_start_restarts_the_engine_gently_and_after_the_hold",
        ),
    ),
    Bug(
        name="moved-without-patience",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: transactions on a server that the pod leaves have switchoverSeconds",
        file=f"{AGENT}/plan.py",
        right=' if view.move_overdue else Idle("waiting for transactions on the old server")',
        wrong="",
        caught_by=(f"{TEST_AGENT_PLAN}::test_a_move_pauses_then_waits_then_goes",),
    ),
    Bug(
        name="turned-away-at-login-during-a-pause",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: who logs in during a pause waits as long as a query may",
        file=f"{PGBOUNCER}/engine.py",
        right='"already suspended/paused")\n        await self._set_login_timeout()\n',
        wrong='"already suspended/paused")\n',
        caught_by=(f"{TEST_PGBOUNCER}::test_clients_that_log_in_during_a_pause_wait_as_long_as_a_query_may",),
    ),
    Bug(
        name="the-agent-dies-of-its-own-failure",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a failure of the agent does not end process 1 and the engine with it",
        file=f"{AGENT}/supervisor.py",
        right='            self._agent_error = f"the agent failed: {type(error).__name__}: {error}"\n',
        wrong="            raise\n",
        caught_by=(
            f"{TEST_SUPERVISOR}::test_a_failure_of_the_agent_itself_is_told_and_does_not_end_process_1",
        ),
        because="RuntimeError: unforeseen",
    ),
    Bug(
        name="a-look-without-an-answer-ends-the-patience",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a look at the engine that is not answered takes no time from a drain's clients",
        file=f"{AGENT}/drain.py",
        right="return (await engine.observe()).clients == 0\n    except EngineError:\n        return False\n",
        wrong="return (await engine.observe()).clients == 0\n    except EngineError:\n        return True\n",
        caught_by=(f"{TEST_TIMING}::test_a_look_without_an_answer_takes_no_time_from_the_clients",),
    ),
    Bug(
        name="told-once-to-finish",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: an engine that did not hear that it is to finish is told again",
        file=f"{AGENT}/drain.py",
        right="    while engine.running and not await _heard(engine.finish()) and clock.now() < deadline:\n"
        "        await clock.sleep(_POLL_SECONDS)\n",
        wrong="    if engine.running:\n        await _heard(engine.finish())\n",
        caught_by=(f"{TEST_TIMING}::test_an_engine_that_did_not_hear_that_it_is_to_finish_is_told_again",),
    ),
    Bug(
        name="the-console-is-closed-under-a-drain",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a drain goes on where another command's timeout has closed the console",
        file=f"{PGBOUNCER}/console.py",
        right="cursor = await connection.execute(command.encode())",
        wrong="cursor = await self._connection.execute(command.encode())",
        caught_by=(
            "tests/unit/pooler/test_pgbouncer_console.py::"
            "test_a_command_under_which_another_ones_timeout_closes_the_connection_has_no_answer",
        ),
        because="AttributeError",
    ),
    Bug(
        name="heard-before-anybody-listens",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a SIGTERM that came while the agent started is kept until it is listened for",
        file=f"{AGENT}/run.py",
        right="    loop = asyncio.get_running_loop()\n",
        wrong="    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))\n"
        "    loop = asyncio.get_running_loop()\n",
        caught_by=(
            "tests/unit/pooler/test_run.py::"
            "test_sigterm_that_comes_before_anything_is_loaded_drains_the_pod_all_the_same",
        ),
    ),
    Bug(
        name="not-heard-at-the-start",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: the kubelet sends SIGTERM once, perhaps before the agent can listen for it",
        file="pooler/Dockerfile",
        right='"--block-signal=TERM,INT"',
        wrong='"--block-signal=INT"',
        caught_by=(
            "tests/unit/pooler/test_run.py::"
            "test_sigterm_that_comes_before_anything_is_loaded_drains_the_pod_all_the_same",
        ),
    ),
    Bug(
        name="an-old-servers-outage-is-the-new-ones",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: they are not paused on a new server for what the old one did",
        file=f"{AGENT}/supervisor.py",
        right="if server == self._reached:",
        wrong="if self._reached is not None:",
        caught_by=(
            f"{TEST_SUPERVISOR}::"
            "test_an_engine_that_starts_on_another_server_knows_nothing_of_that_ones_outage",
        ),
    ),
    Bug(
        name="refused-at-full-speed",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients survive: a step that the engine does not take leaves them the pod's CPU",
        file=f"{AGENT}/supervisor.py",
        right="return BUSY_TICK_SECONDS if not done or isinstance(step, plan.AbortBusy) else 0.0",
        wrong="return 0.0",
        caught_by=(
            f"{TEST_BROKEN}::test_a_step_that_the_engine_does_not_take_is_not_repeated_without_a_pause",
        ),
    ),
)
