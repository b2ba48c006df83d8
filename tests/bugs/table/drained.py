"""Dead is not drained: backends outlive the pod that opened them."""

from tests.bugs.table.bug import (
    AGENT,
    BOOK_PY,
    DEATH_PY,
    OPERATOR,
    PGBOUNCER,
    TEST_DEATH,
    TEST_PGBOUNCER,
    TEST_PLAN,
    TEST_SUPERVISOR,
    Bug,
)

DRAINED = (
    Bug(
        name="noticed-in-another-mode",
        promise="what the server does about dead clients in one pool mode is not taken for the other",
        file=f"{AGENT}/enquiries.py",
        right='self.identity.model_copy(update={"detects_dead_clients": False})',
        wrong="self.identity",
        caught_by=("tests/unit/pooler/test_identity.py",),
    ),
    Bug(
        name="dead-is-drained",
        promise="dead is not drained: a reservation is held until the backends must have ended",
        file=BOOK_PY,
        right="return hold is not None and pod.dead_for >= hold",
        wrong="return hold is not None",
        caught_by=(f"{TEST_PLAN}::test_what_the_dead_held_is_freed_when_their_backends_must_have_ended",),
    ),
    Bug(
        name="freed-by-a-count-from-before-death",
        promise="dead is not drained: only a count of its backends that is younger than its death frees it",
        file=f"{OPERATOR}/reconcile/counts.py",
        right="if newest is None or not newest.age < dead_for:",
        wrong="if newest is None:",
        caught_by=(
            "tests/unit/reconcile/test_counts.py::test_a_count_from_before_the_proof_of_death_says_nothing",
        ),
    ),
    Bug(
        name="once-noticed-always-noticed",
        promise="dead is not drained: a pod that came to session mode is not freed by what it said before",
        file=BOOK_PY,
        right="            detects_dead_clients=said,",
        wrong="            detects_dead_clients=said or entry.detects_dead_clients,",
        caught_by=(
            f"{TEST_PLAN}::test_a_pods_newest_word_on_whether_the_server_notices_dead_clients_is_the_one_that_holds",
        ),
    ),
    Bug(
        name="who-was-cut-off-has-ended",
        promise="dead is not drained: a pod that cut a query off at its end does not say that it left nothing",
        file=f"{AGENT}/supervisor.py",
        right="        if error is None and drain.result():\n",
        wrong="        if error is None:\n",
        caught_by=(f"{TEST_SUPERVISOR}::test_a_pod_that_cut_a_query_off_may_have_left_something",),
    ),
    Bug(
        name="a-crash-leaves-nothing",
        promise="dead is not drained: a pod whose engine crashed does not say that it left nothing",
        file=f"{AGENT}/hold.py",
        right="now + hold if detects_dead_clients else math.inf)",
        wrong="now + hold)",
        caught_by=(f"{TEST_SUPERVISOR}::test_a_clean_end_says_nothing_of_an_engine_that_crashed_before",),
    ),
    Bug(
        name="cut-off-unseen",
        promise="dead is not drained: an engine that closes a connection in a query does not end clean",
        file=f"{PGBOUNCER}/log.py",
        right='        self._cut_off += not closed["reason"].startswith(_IN_ORDER)\n',
        wrong="",
        caught_by=(
            f"{TEST_PGBOUNCER}::test_it_ends_clean_if_no_connection_was_closed_that_a_query_may_have_run_on",
        ),
    ),
    Bug(
        name="a-hurried-end-is-clean",
        promise="dead is not drained: an engine that was hurried out does not end clean",
        file=f"{PGBOUNCER}/log.py",
        right="return self._exits and not self._cut_off",
        wrong="return not self._cut_off",
        caught_by=(f"{TEST_PGBOUNCER}::test_it_ends_clean_only_if_it_waited_until_it_could_exit",),
    ),
    Bug(
        name="given-up-is-confirmed",
        promise="dead is not drained: what the kernel may have given up telling the server was not confirmed",
        file=f"{AGENT}/supervisor.py",
        right="return self._lives.left_nothing(self._clock.now()) and not self._given_up",
        wrong="return self._lives.left_nothing(self._clock.now())",
        caught_by=(
            f"{TEST_SUPERVISOR}::test_what_a_pod_closed_and_the_kernel_may_have_given_up_telling_may_be_there",
        ),
    ),
    Bug(
        name="the-last-word-of-an-earlier-life",
        promise="dead is not drained: what a container said at an earlier end says nothing of its last one",
        file=f"{OPERATOR}/reconcile/pods.py",
        right='container.get("state", {}).get("terminated", {}).get("message", "")',
        wrong='container.get("lastState", {}).get("terminated", {}).get("message", "")',
        caught_by=(
            "tests/unit/reconcile/test_pods.py::"
            "test_a_pod_has_left_nothing_if_its_agent_says_so_with_its_last_end",
        ),
    ),
    Bug(
        name="freed-where-nobody-notices-dead-clients",
        promise="dead is not drained: where the server does not look for dead clients, only a person frees",
        file=DEATH_PY,
        right="    if not detects_dead_clients:\n        return None\n",
        wrong="",
        caught_by=(TEST_DEATH,),
    ),
)
