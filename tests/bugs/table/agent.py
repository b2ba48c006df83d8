"""A pod stays within its grant, and takes none that is old or altered."""

from tests.bugs.table.bug import (
    AGENT,
    PGBOUNCER,
    TEST_AGENT_PLAN,
    TEST_BROKEN,
    TEST_CLOSINGS,
    TEST_ENDING,
    TEST_PGBOUNCER,
    TEST_RUNNER,
    TEST_SUPERVISOR,
    TEST_TIMING,
    Bug,
)
from tests.bugs.table.guard import Guard

_TEST_SHEDDING = "tests/unit/pooler/test_shedding.py"

AGENTS = (
    Bug(
        name="raised-before-others-are-drained",
        guards=Guard.SHRINKS_FIRST,
        promise="inside a pod too, shares are lowered first, and others raised only by what has drained",
        file=f"{AGENT}/limits.py",
        right="raised = min(wanted, own.get(name, 0) + max(free, 0))",
        wrong="raised = wanted",
        caught_by=(
            "tests/unit/pooler/test_limits.py::"
            "test_a_larger_share_waits_for_the_connections_that_another_database_still_holds",
        ),
    ),
    Bug(
        name="opened-while-postgresql-ends-the-old-ones",
        guards=Guard.BUDGET_HOLDS,
        promise="a database that closes connections keeps a place free for what PostgreSQL has not ended yet",
        file=f"{AGENT}/shedding.py",
        right="closing | (lately.closing & names) - giving",
        wrong="closing",
        caught_by=(
            f"{_TEST_SHEDDING}::"
            "test_after_closing_without_a_hurry_one_place_is_held_back_until_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="opened-while-closing-in-a-hurry",
        guards=Guard.BUDGET_HOLDS,
        promise="a database that closes faster than PostgreSQL ends backends opens nothing meanwhile",
        file=f"{AGENT}/shedding.py",
        right="for name in hurried | calming}",
        wrong="for name in hurried & calming}",
        caught_by=(
            f"{_TEST_SHEDDING}::"
            "test_what_hurries_opens_nothing_nor_does_it_before_the_server_has_ended_what_closed",
        ),
    ),
    Bug(
        name="opened-for-who-starves-before-the-old-one-has-ended",
        guards=Guard.BUDGET_HOLDS,
        promise="whoever has no connection gets a freed place only when PostgreSQL has ended what was there",
        file=f"{AGENT}/shedding.py",
        right="max(status.open_of(name), lately.open.get(name, 0)) <",
        wrong="status.open_of(name) <",
        caught_by=(
            f"{_TEST_SHEDDING}::test_who_has_none_gets_the_place_that_was_freed_once_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="no-place-for-who-starves",
        guards=Guard.CLIENTS_SURVIVE,
        promise="a user without a connection does not wait for a long transaction of who has more than his part",
        file=f"{AGENT}/shedding.py",
        right="closing = above | overdrawn - giving",
        wrong="closing = above | overdrawn",
        caught_by=(
            f"{_TEST_SHEDDING}::test_who_has_none_gets_the_place_that_was_freed_once_the_server_has_ended_it",
        ),
    ),
    Bug(
        name="no-cancel-while-above-the-limit",
        guards=Guard.CLIENTS_SURVIVE,
        promise="clients can cancel their queries while connections have to close",
        file=f"{PGBOUNCER}/config.py",
        right="return max(setup.pool_size(name), enough_to_cancel)",
        wrong="return setup.pool_size(name)",
        caught_by=(
            "tests/unit/pooler/test_pgbouncer_config.py::test_whoever_has_more_than_he_may_can_still_cancel",
        ),
    ),
    Bug(
        name="acknowledged-while-above-the-limit",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="a pod acknowledges only when every database is at or below its share",
        file=f"{AGENT}/plan.py",
        right=" and not over_limit(view)",
        wrong="",
        caught_by=(f"{TEST_AGENT_PLAN}::test_a_grant_is_settled_when_every_database_is_at_its_share",),
    ),
    Bug(
        name="acknowledged-at-first-sight",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="a pod acknowledges only when it has been drained for a while: a login may be under way",
        file=f"{AGENT}/acknowledge.py",
        right="elif now - self._since >= SETTLED_SECONDS:",
        wrong="else:",
        caught_by=(f"{TEST_TIMING}::test_a_generation_is_acknowledged_when_it_has_been_settled_long_enough",),
    ),
    Bug(
        name="acknowledged-before-the-server-noticed",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what was closed while the network was cut counts until PostgreSQL must have noticed",
        file=f"{AGENT}/closings.py",
        right="return self.all_confirmed(peers) and not",
        wrong="return not",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_a_shrink_is_not_acknowledged_while_the_server_has_not_noticed_what_was_closed",
        ),
    ),
    Bug(
        name="started-before-the-server-noticed",
        guards=Guard.WAITS_FOR_ITS_OWN,
        promise="no engine starts while PostgreSQL may not have noticed the end of the one before",
        file=f"{AGENT}/supervisor.py",
        right="return self._runner.in_force is None and not self._closings.all_confirmed(material.peers)",
        wrong="return False",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_no_engine_starts_while_the_server_has_not_noticed_the_end_of_the_earlier_one",
        ),
    ),
    Bug(
        name="left-before-the-server-noticed",
        guards=Guard.DEAD_IS_NOT_DRAINED,
        promise="a pod that leaves stays until PostgreSQL has noticed what it closed, as long as its grace period",
        file=f"{AGENT}/supervisor.py",
        right="return accepted is None or self._closings.all_confirmed(accepted.peers)",
        wrong="return True",
        caught_by=(
            f"{TEST_CLOSINGS}::test_a_pod_that_leaves_stays_while_the_server_has_not_noticed_what_was_closed",
        ),
    ),
    Bug(
        name="a-step-does-not-start-the-time-anew",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="a pod acknowledges only when it has been drained for a while without a break",
        file=f"{AGENT}/supervisor.py",
        right="            if not settled:\n",
        wrong="            if not settled and self._leaving:\n",
        caught_by=(
            f"{TEST_SUPERVISOR}::"
            "test_a_grant_that_was_left_by_a_step_is_acknowledged_only_after_the_whole_time_again",
        ),
    ),
    Bug(
        name="moved-with-connections-open",
        guards=Guard.MOVES,
        promise="a pod opens nothing on a new server while something is open on the old one",
        file=f"{AGENT}/plan.py",
        right="    if view.status.open > 0:\n        return AbortBusy()",
        wrong="    if view.status.open > 10**6:\n        return AbortBusy()",
        caught_by=(f"{TEST_AGENT_PLAN}::test_a_move_pauses_then_waits_then_goes",),
    ),
    Bug(
        name="started-without-a-grant",
        guards=Guard.FAIL_CLOSED,
        promise="fail closed: a pod without a grant starts no engine",
        file=f"{AGENT}/supervisor.py",
        right="        if grant is None:\n            return TICK_SECONDS\n",
        wrong="        if material is not None and not self._engine.running:\n"
        '            await self._engine.start(plan.Setup(material, 1, "localhost", 5432, 1, {}))\n'
        "        if grant is None:\n            return TICK_SECONDS\n",
        caught_by=(f"{TEST_SUPERVISOR}::test_a_pod_without_a_grant_starts_no_engine",),
    ),
    Bug(
        name="started-with-nothing-granted",
        guards=Guard.FAIL_CLOSED,
        promise="fail closed: 0 connections start no engine, to which 0 is unlimited",
        file=f"{AGENT}/plan.py",
        right="if view.server.cap == 0 or not shares(view):",
        wrong="if view.server.cap < 0:",
        caught_by=(
            f"{TEST_AGENT_PLAN}::test_no_engine_starts_without_connections_because_0_means_unlimited_to_it",
        ),
    ),
    Bug(
        name="ready-without-a-grant",
        guards=Guard.FAIL_CLOSED,
        promise="fail closed: a pod is Ready only when it is granted",
        file=f"{AGENT}/report.py",
        right='return "no grant yet: waiting for the operator"',
        wrong='return ""',
        caught_by=("tests/unit/pooler/test_http.py::test_readiness_says_what_is_missing",),
    ),
    Bug(
        name="ready-before-it-listens",
        guards=Guard.FAIL_CLOSED,
        promise="fail closed: a pod is Ready only when its engine listens",
        file=f"{AGENT}/report.py",
        right="    if not facts.running:\n        return (\n",
        wrong="    if not facts.running and not facts.warm:\n        return (\n",
        caught_by=(
            f"{TEST_SUPERVISOR}::test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant",
        ),
    ),
    Bug(
        name="an-older-grant-is-followed",
        guards=Guard.GRANT_REFUSED,
        promise="generations only rise: an older grant is refused",
        file=f"{AGENT}/grants.py",
        right="held is None or offered.generation > held.generation",
        wrong="held is None or offered.generation != held.generation",
        caught_by=("tests/unit/pooler/test_grants.py",),
    ),
    Bug(
        name="an-altered-grant-is-followed",
        guards=Guard.GRANT_REFUSED,
        promise="generations only rise: a grant that was altered is refused",
        file=f"{AGENT}/grants.py",
        right='    if offered != held:\n        return Refused(f"generation {held.generation} was altered',
        wrong="    if offered != held:\n        return Accepted(offered)\n"
        '    if offered != held:\n        return Refused(f"generation {held.generation} was altered',
        caught_by=("tests/unit/pooler/test_grants.py",),
    ),
    Bug(
        name="applied-but-not-persisted",
        guards=Guard.GENERATIONS_RISE,
        promise="a grant is persisted before it is applied",
        file=f"{AGENT}/granted.py",
        right="            self._store.keep_grant(verdict.grant, takes_away=takes_away)\n",
        wrong="            pass\n",
        caught_by=(f"{TEST_SUPERVISOR}::test_the_grant_is_on_the_disk_before_the_engine_hears_of_it",),
    ),
    Bug(
        name="persisted-but-not-on-the-disk",
        guards=Guard.GENERATIONS_RISE,
        promise="what is persisted is on the disk: it survives a crash of the node",
        file="pooler/pgpool_pooler/files.py",
        right="        os.fsync(file.fileno())\n",
        wrong="",
        caught_by=(
            "tests/unit/pooler/test_files.py::test_content_is_on_the_disk_before_it_has_its_name_and_then_so_is_the_name",
        ),
    ),
    Bug(
        name="no-wait-for-its-own-ghosts",
        guards=Guard.WAITS_FOR_ITS_OWN,
        promise="after a restart the agent waits until its own old backends are gone",
        file=f"{AGENT}/hold.py",
        right="        if lived_before:\n",
        wrong="        if lived_before and self.crashes:\n",
        caught_by=(f"{TEST_TIMING}::test_a_new_pod_does_not_wait_and_a_restarted_one_does",),
    ),
    Bug(
        name="the-last-grant-is-forgotten",
        guards=Guard.WITHOUT_CONTROL_PLANE,
        promise="without operator and API server, a restarted container serves on its persisted grant",
        file=f"{AGENT}/granted.py",
        right="self.grant = store.grant()",
        wrong="self.grant: Grant | None = None",
        caught_by=(
            f"{TEST_SUPERVISOR}::test_a_restarted_container_waits_for_its_backends_and_comes_back_on_its_last_grant",
        ),
    ),
    Bug(
        name="more-than-its-share",
        guards=Guard.BUDGET_HOLDS,
        promise="a pod opens no more connections than its grant allows, whatever its clients want",
        file="pooler/pgpool_pooler/engines/base.py",
        right="        limit = self.limits[name]\n",
        wrong="        limit = self.limits[name] + 1\n",
        caught_by=(f"{TEST_PGBOUNCER}::test_new_limits_are_written_before_the_reload",),
    ),
    Bug(
        name="a-lost-disk-is-a-first-life",
        guards=Guard.DISK_LOST,
        promise="a pod that lost its volume waits for the backends of its earlier life all the same",
        file=f"{AGENT}/store.py",
        right="return self._mark.exists() or (self._directory / _GRANT).exists()",
        wrong="return (self._directory / _GRANT).exists()",
        caught_by=(
            f"{TEST_BROKEN}::test_a_pod_that_lost_what_it_knew_waits_for_the_backends_of_its_earlier_life",
        ),
    ),
    Bug(
        name="who-remembers-nothing-has-not-lived",
        guards=Guard.DISK_LOST,
        promise="a pod that lost all it knew waits if its grant is not the first: somebody may have followed that",
        file=f"{AGENT}/granted.py",
        right="if self.grant is None and grants.may_have_been_followed(verdict.grant):",
        wrong="if self.grant is None and self._lives.crashes:",
        caught_by=(f"{TEST_BROKEN}::test_who_has_no_memory_at_all_waits_if_it_is_not_the_pods_first_grant",),
    ),
    Bug(
        name="ghosts-are-ended-by-address",
        guards=Guard.OWN_GHOSTS,
        promise="an agent ends no backend: by its address it could not tell its own from another pod's",
        file=f"{AGENT}/sql.py",
        right="       pg_is_in_recovery() AS in_recovery,\n",
        wrong="       pg_is_in_recovery() AS in_recovery,\n"
        "       (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity\n"
        "         WHERE client_addr = inet_client_addr() AND pid != pg_backend_pid()) AS ended,\n",
        caught_by=(f"{TEST_BROKEN}::test_nothing_in_a_pod_ends_a_backend_of_the_server",),
    ),
    Bug(
        name="started-again-at-once",
        guards=Guard.CRASH_LOOP,
        promise="an engine that crashes is not started again at once",
        file=f"{AGENT}/hold.py",
        right="self._wait(now + backoff_seconds(self.crashes) *",
        wrong="self._wait(now + 0 *",
        caught_by=(f"{TEST_TIMING}::test_crashes_in_a_row_back_off_and_a_stable_engine_is_forgiven",),
    ),
    Bug(
        name="the-pause-does-not-grow",
        guards=Guard.CRASH_LOOP,
        promise="an engine that crashes again and again is started ever more seldom",
        file=f"{AGENT}/hold.py",
        right="min(_BACKOFF_SECONDS * 2 ** min(crashes - 1, 10), _LONGEST_BACKOFF_SECONDS)",
        wrong="_BACKOFF_SECONDS",
        caught_by=(f"{TEST_TIMING}::test_the_wait_after_a_crash_doubles_up_to_half_a_minute",),
    ),
    Bug(
        name="given-back-before-the-earlier-engines-backends-end",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="a pod without an engine gives nothing back while backends of its earlier one may be there",
        file=f"{AGENT}/hold.py",
        right=" or now < self._ending_until",
        wrong="",
        caught_by=(
            f"{TEST_BROKEN}::"
            "test_a_pod_whose_engine_is_refused_at_every_start_gives_back_when_its_backends_are_gone",
        ),
    ),
    Bug(
        name="who-died-while-it-drained-has-drained",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what an engine had that died while it was drained is given back only when its backends are gone",
        file=f"{AGENT}/supervisor.py",
        right="if view.in_force is not None and not self._engine.running:",
        wrong="if view.in_force is None and self._engine.running:",
        caught_by=(
            f"{TEST_ENDING}::"
            "test_what_an_engine_had_that_died_while_it_was_drained_is_given_back_after_the_hold",
        ),
    ),
    Bug(
        name="cut-off-and-moved-away",
        guards=Guard.MOVES,
        promise="a move is not acknowledged while queries that it cut off may still run on the old server",
        file=f"{AGENT}/runner.py",
        right="self._lives.cut_off(self._clock.now(), detects_dead_clients=detects)",
        wrong="pass",
        caught_by=(
            f"{TEST_RUNNER}::test_a_move_that_cut_queries_off_is_not_acknowledged_while_they_may_run",
        ),
    ),
    Bug(
        name="given-up-and-given-back",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what the kernel gave up telling a server of that does not look is not given back",
        file=f"{AGENT}/hold.py",
        right="self._kept.add(server)",
        wrong="pass",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_what_the_kernel_gave_up_telling_is_given_back_only_where_the_server_ends_it_by_itself",
        ),
    ),
    Bug(
        name="forgotten-by-moving-away-and-back",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what a server was not told of is not given back there, also after a move away and back",
        file=f"{AGENT}/hold.py",
        right='        """Another server is used from now on."""\n',
        wrong='        """Another server is used from now on."""\n        self._kept = set()\n',
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_what_a_server_was_not_told_of_is_not_given_back_there_after_a_move_away_and_back",
        ),
    ),
    Bug(
        name="given-up-before-the-grant-that-gives-back",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what the kernel gave up telling is not given back, also where nothing was to be given back then",
        file=f"{AGENT}/supervisor.py",
        right="if self._closings.unconfirmed or ending or not self._materials.server_gives_up:",
        wrong="if self._closings.unconfirmed or ending:",
        caught_by=(
            f"{TEST_CLOSINGS}::"
            "test_what_the_kernel_gives_up_telling_while_a_grant_is_obeyed_is_not_given_back_by_the_next",
        ),
    ),
    Bug(
        name="what-was-read-of-another-server-or-mode",
        guards=Guard.WAITS_FOR_ITS_OWN,
        promise="a wait is short only where this server, in this mode, was read to notice dead clients",
        file=f"{AGENT}/materials.py",
        right="self.detects_dead_clients and now is not None and now.place == place,",
        wrong="self.detects_dead_clients,",
        caught_by=(
            f"{TEST_RUNNER}::test_what_was_read_in_another_mode_or_of_another_server_makes_no_wait_short",
        ),
    ),
    Bug(
        name="sessions-are-forgotten-with-their-mode",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="what sessions have reset is not taken for what the engine has set, when session mode was left too",
        file=f"{AGENT}/plan.py",
        right="setup = replace(setup, had_sessions=True)",
        wrong="pass",
        caught_by=(
            f"{TEST_CLOSINGS}::test_what_was_closed_after_session_mode_was_left"
            "_is_given_back_only_where_the_role_has_the_settings",
        ),
    ),
    Bug(
        name="told-of-sessions-without-an-answer",
        guards=Guard.RELEASED_WHEN_DRAINED,
        promise="an engine that may have been in session mode is judged as one that was",
        file=f"{AGENT}/runner.py",
        right="had_sessions = now.had_sessions or setup.pool_mode is PoolMode.SESSION",
        wrong="had_sessions = now.had_sessions",
        caught_by=(
            f"{TEST_BROKEN}::test_an_engine_that_may_have_gone_to_session_mode_counts_as_having_had_sessions",
        ),
    ),
    Bug(
        name="one-backend-speaks-for-all",
        guards=Guard.FREED_BY_THE_SERVER,
        promise="a server notices dead clients only if each of its backends says so that was asked",
        file=f"{AGENT}/sql.py",
        right="answer.detects_dead_clients and found.get(server, answer).detects_dead_clients",
        wrong="answer.detects_dead_clients",
        caught_by=(
            "tests/unit/pooler/test_sql.py::"
            "test_a_server_of_which_one_backend_lost_its_settings_does_not_count",
        ),
    ),
    Bug(
        name="a-secret-is-kept-before-it-is-written",
        guards=Guard.WITHOUT_CONTROL_PLANE,
        promise="a restarted container has every password that worked, also one that could not be kept at first",
        file=f"{AGENT}/inputs.py",
        right="        if not self._unkept:\n            return ()\n",
        wrong="        if not self._unkept:\n            return ()\n        self._unkept = False\n",
        caught_by=(f"{TEST_BROKEN}::test_a_secret_that_cannot_be_kept_is_used_is_told_and_is_kept_later",),
    ),
)
