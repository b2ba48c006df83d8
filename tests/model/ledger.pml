/*
The ledger protocol, for Spin: the sum of what PostgreSQL counts never exceeds B, in every interleaving.

What is modelled
    Pods: an agent with its engine and its disk (Pod). Ledgers: one per server, one reservation per pod. Operators:
    each step looks, decides and commits one rule; between two steps nothing is remembered, so a crash is possible
    anywhere and costs nothing (Operator). A second operator that looks, falls asleep and commits later (Sleeper);
    the compare-and-swap lets it only if nobody has written since. The world: ghosts end, nodes fall silent, ends
    are proven, people release pods, ledgers are lost or come back from a backup.

Which part stands for which code
    adopt, take_in_annotation, count_what_is_reported   Book.adopt, _taken_in, Book._count_what_is_reported
    conceals, grant_what_is_there                       _conceals, Book._grant_what_is_there
    accounted_for                                       Book._accounted_for, Book.awaited
    settle, has_left                                    Book.settle, _has_given_back, _has_left         (R2)
    bury, write off                                     Book.bury, Book._written_off                    (R3, R3b)
    shrink, grow, renew                                 Book.shrink, Book.grow, Book.renew              (R1, R5)
    send                                                reconcile: PATCH with the pod's resourceVersion (R5)
    take in a grant                                     agent: grants.judge, Store.keep_grant           (R4, R5)
    put in force, NOTHING_LINGERS                       agent: plan.decide, Lives.holding               (R6)
    acknowledge                                         agent: plan.settled, Acknowledgement            (R2)

More than the code does, so that more is proven
    Targets are arbitrary, and so is which server a pod is placed on, anew in each step: allocation and placement are
    no part of the proof. Any grant that was ever written reaches the pod at any time, again, or never. With two
    servers an operator may know nothing of the other ledger and of the newest annotation (may_lag).

Left out, and why
    Time: holds are "the ghosts have ended", which is what they are chosen for. How death is proven (death.py): here
    nothing but the process' real end proves it. Shares of databases, pause, addresses: inside one pod's cap. A change
    of B: it only lowers targets.

Assumed
    A person who releases a pod by name speaks the truth: its backends are gone. The file with the grant never shows
    an older one than it has shown (the kubelet's projection), and an agent without its disk waits for its ghosts like
    any other that starts. Grants that were decided, but not sent, when a ledger was lost are not sent any more. A
    backup of a ledger is restored alone, when ghosts have ended: each pod has the annotation that was sent last, or
    none, as somebody took it off a pod that was Ready with it, before that. (Were annotations restored with it, a pod
    that nobody hears would have something that nothing tells of.) The object of a dead pod, with its annotation, is
    there until an operator has looked at what was lost or restored.

Sizes: N pods, S servers, B connections on each, LAST generations for a pod. What a configuration has:
    LIFE       processes end, nodes fall silent, people release
    RESTART    containers restart
    DISK_LOSS  ... and may have lost their emptyDir
    SLEEPER    the second operator
    LOSS       ledgers are lost or rolled back
A mutant, M_..., leaves one rule out. GOAL_... asserts that something never happens that shall be possible.
*/

#ifndef N
#define N 2
#endif
#ifndef S
#define S 1
#endif
#ifndef B
#define B 2
#endif
#ifndef LAST
#define LAST 3
#endif

#define NOBODY 255
#define ALIVE 0
#define UNKNOWN 1
#define DEAD 2

#define W (LAST + 3)                          /* what recovers may need two generations more than everybody else */
#define OF(s, p) ((s) * N + (p))
#define ORDER(s, p, g) order[OF(s, p) * W + (g)]

/* The API server: the ledgers, and the annotation on each pod */
byte cap[S * N], reserved[S * N], gen[S * N]; /* gen 0: no reservation */
byte order[S * N * W];                        /* 1 + cap of each grant that was committed; 0: none, or no more of use */
byte annotation[N];                           /* generation of the grant on the pod */
bool recovering[S];

/* The truth about a pod */
bool ended[N];                                /* its process */
byte held[N];                                 /* the persisted grant; after a loss, what the grant file has shown */
byte in_force[N];                             /* 0: no engine runs */
byte acknowledged[N];
byte open[N];                                 /* of the engine; all on the server of the grant in force */
byte ghosts[S * N];

/* What operators know of its life */
byte verdict[N];
#ifdef LIFE
bool released[N];                             /* a person named it */
#endif
#ifdef DISK_LOSS
bool forgot[N];                               /* the agent has no persisted grant any more */
#define FORGOT(p) forgot[p]
#else
#define FORGOT(p) false
#endif
#ifdef M_LOST_DISK_DOES_NOT_WAIT
bool hasty[N];
#endif
#ifdef LOSS
bool faulted;
bool refused[N];                              /* the grant on it is not newer than held, nor the same */
#endif

/* Scratch; each step sets what it reads */
hidden byte each, grant, wanted, total, on_server, new_cap, new_reserved, counted, next_number, known_number;
hidden byte got_there, lagging, is_news, trusted, all_told, heard[N];

/* ---------------------------------------------------------------- grants and their numbers */

#ifdef M_GENERATION_PER_LEDGER
/* Each ledger counts by itself (odd and even here), and numbers of two ledgers cannot be compared. */
#define SERVER(p, g) (((g) + 1) % 2)
#define NEWER(p, a, b) ((b) == 0 || ((a) + (b)) % 2 == 1 || (a) > (b))
#else
#if S == 1
#define SERVER(p, g) 0
#else
#define SERVER(p, g) (ORDER(1, p, g) > 0 -> 1 : 0)
#endif
#define NEWER(p, a, b) ((a) > (b))
#endif

#define CAP_AT(s, p, g) (ORDER(s, p, g) > 0 -> ORDER(s, p, g) - 1 : 0)
#define GRANTED(p, g) (CAP_AT(SERVER(p, g), p, g))

/* GET /v1/state, as far as the ledger is concerned */
#define HEARD_GENERATION(p) (FORGOT(p) -> 0 : held[p])
#define FORCE(s, p) (in_force[p] > 0 && SERVER(p, in_force[p]) == s -> in_force[p] : HEARD_GENERATION(p))
#define CAP_HERE(s, p) (CAP_AT(s, p, FORCE(s, p)))
#define OPEN_HERE(s, p) (SERVER(p, in_force[p]) == s -> open[p] : 0)

#if S == 1
#define ELSEWHERE(s, p) 0
#define ALL_GHOSTS(p) ghosts[p]
#else
#define ELSEWHERE(s, p) gen[OF(1 - (s), p)]
#define ALL_GHOSTS(p) (ghosts[OF(0, p)] + ghosts[OF(1, p)])
#endif
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

/* ---------------------------------------------------------------- the promise */

inline count_backends(s) {
	total = 0; each = 0;
	do
	:: each < N -> total = total + OPEN_HERE(s, each) + ghosts[OF(s, each)]; each++
	:: else -> break
	od;
	skip
}

inline count_reserved(s, except) {
	total = 0; each = 0;
	do
	:: each < N -> if :: each != except -> total = total + reserved[OF(s, each)] :: else fi; each++
	:: else -> break
	od;
	skip
}

/* ---------------------------------------------------------------- what shall be possible */

#if defined(GOAL_FULL)
/* all of the budget is used, by more than one */
#define REACHED(p) (total == B && open[0] > 0 && open[1] > 0)
#elif defined(GOAL_MOVED)
/* who had connections on one server has some on the other, and nothing is reserved for it where it was */
bool was_on_first[N];
#define REACHED(p) (was_on_first[p] && OPEN_HERE(1, p) > 0 && gen[OF(0, p)] == 0)
#elif defined(GOAL_SWAPPED)
/* each of two pods has all of the server that was full with the other */
bool both_full;
#define REACHED(p) (both_full && OPEN_HERE(1, 0) == B && OPEN_HERE(0, 1) == B)
#elif defined(GOAL_RECOVERED)
/* after a loss: the ledger is sound, has grown again, and all of the budget is used */
#define REACHED(p) (faulted && !recovering[0] && gen[p] > 1 && cap[p] > 1 && total == B && annotation[1 - p] > 0)
#elif defined(GOAL_RELEASED)
/* what a released pod held is used by another */
#define REACHED(p) (released[1 - p] && verdict[1 - p] == UNKNOWN && annotation[1 - p] > 0 && total == B)
#else
#define REACHED(p) false
#endif

inline check_goals() {
#ifdef GOAL_MOVED
	was_on_first[p] = was_on_first[p] || on_server == 0;
#endif
#ifdef GOAL_SWAPPED
	both_full = both_full || (OPEN_HERE(0, 0) == B && OPEN_HERE(1, 1) == B);
#endif
	got_there = REACHED(p);
	assert(!got_there)
}

/* ---------------------------------------------------------------- the rules of the ledger */

#ifdef SLEEPER
#define NOTHING 0
#define SETTLE 1
#define BURY 2
#define GROW 3
byte plan, planned_pod, planned_cap;

inline outdate_sleeper(s) {
#ifndef M_NOCAS
	plan = NOTHING; planned_pod = 0; planned_cap = 0
#else
	skip
#endif
}
#else
inline outdate_sleeper(s) { skip }
#endif

#ifdef LOSS
#define TOLD_GENERATION(p) (heard[p] -> HEARD_GENERATION(p) : 0)
/* Which grant a number stands for: of the numbers up to held, only what held was is kept. */
#define UNUSED(p, number) ((number) > held[p])
#define IS_HELD(p, number) ((number) == held[p] && (!faulted || (gen[p] == held[p] && cap[p] == CAP_AT(0, p, held[p]))))
#else
#define TOLD_GENERATION(p) HEARD_GENERATION(p)
#define UNUSED(p, number) true
#define IS_HELD(p, number) true
#endif

/* Above all that the pod was or will be granted by anybody (R5) */
inline choose_next(s, p) {
#ifdef M_GENERATION_PER_LEDGER
	next_number = (gen[OF(s, p)] == 0 -> 1 + s : gen[OF(s, p)] + 2)
#else
	known_number = (lagging -> 0 : MAX(MAX(annotation[p], ELSEWHERE(s, p)), TOLD_GENERATION(p)));
	next_number = MAX(gen[OF(s, p)], known_number) + 1
#endif
}

/* Reserve before sending (R1): from here on the grant may reach the pod whenever it likes. */
inline commit(s, p) {
	assert(next_number < W);
	cap[OF(s, p)] = new_cap; reserved[OF(s, p)] = new_reserved; gen[OF(s, p)] = next_number;
	/* not newer than the annotation: it will never be written; not newer than what the pod has: it is refused */
	if
	:: NEWER(p, next_number, annotation[p]) && UNUSED(p, next_number) -> ORDER(s, p, next_number) = 1 + new_cap
	:: else
	fi;
	outdate_sleeper(s)
}

inline strike(s, p) {
	cap[OF(s, p)] = 0; reserved[OF(s, p)] = 0; gen[OF(s, p)] = 0;
	outdate_sleeper(s)
}

inline free(s, p) {
	strike(s, p);
#if defined(LOSS) && defined(LIFE)
	freed[p] = true
#endif
}

#define HAS_LEFT(s, p) (gen[OF(s, p)] > 0 && _HAS_LEFT(s, p))
#ifdef M_LEAVES_AT_ONCE
#define _HAS_LEFT(s, p) (held[p] > gen[OF(s, p)])
#else
#ifdef M_LEAVES_WITH_A_GRANT_ON_ITS_WAY
#define _HAS_LEFT(s, p) (acknowledged[p] > 0 && CAP_HERE(s, p) == 0 && OPEN_HERE(s, p) == 0)
#else
#define _HAS_LEFT(s, p) (acknowledged[p] > 0 && NEWER(p, acknowledged[p], gen[OF(s, p)]) \
	&& CAP_HERE(s, p) == 0 && OPEN_HERE(s, p) == 0)
#endif
#endif

#ifdef M_OLD_ACKNOWLEDGEMENT
#define SETTLES(s, p) (acknowledged[p] > 0)
#else
#ifdef M_A_NUMBER_TELLS_THE_GRANT
#define SETTLES(s, p) (acknowledged[p] == gen[OF(s, p)])
#else
#define SETTLES(s, p) (acknowledged[p] == gen[OF(s, p)] && CAP_HERE(s, p) <= cap[OF(s, p)])
#endif
#endif

#ifdef M_DEAD_IS_DRAINED
#define DRAINED(s, p) (verdict[p] == DEAD)
#else
#define DRAINED(s, p) (verdict[p] == DEAD && ghosts[OF(s, p)] == 0)
#endif

#ifdef LIFE
#ifdef M_RELEASE_OF_THE_LIVING
#define WRITTEN_OFF(p) released[p]
#else
#define WRITTEN_OFF(p) (released[p] && verdict[p] == UNKNOWN)
#endif
#else
#define WRITTEN_OFF(p) false
#endif

/* One grant at a time: who has not acknowledged the last one does not grow. */
#define SETTLED(s, p) (gen[OF(s, p)] == 0 || (heard[p] && acknowledged[p] >= gen[OF(s, p)]))

#ifdef LOSS
byte old_cap[N], old_reserved[N], old_gen[N]; bool backed_up;
#ifdef LIFE
bool freed[N], old_freed[N];                  /* gave back all when it was dead or written off */
#endif

#define ANNOTATED_HERE(s, p) (annotation[p] > 0 && !refused[p] && ORDER(s, p, annotation[p]) > 0 -> annotation[p] : 0)

/* The grant on the pod is newer than the ledger, or not what the ledger says: it counts. */
inline take_in_annotation(s, p) {
	is_news = false;
	grant = ANNOTATED_HERE(s, p);
	if
	:: grant > 0 && grant >= gen[OF(s, p)] && (grant != gen[OF(s, p)] || CAP_AT(s, p, grant) != cap[OF(s, p)]) ->
		is_news = true; cap[OF(s, p)] = CAP_AT(s, p, grant);
		reserved[OF(s, p)] = MAX(cap[OF(s, p)], reserved[OF(s, p)]); gen[OF(s, p)] = grant
	:: else
	fi
}

#ifdef M_UNKNOWN_GENERATION_IS_NO_NEWS
#define MAY_BE_NEWS(s, p) false
#else
#define MAY_BE_NEWS(s, p) (gen[OF(s, p)] > 0 || MAX(annotation[p], ELSEWHERE(s, p)) == 0)
#endif

/* What is only reported is counted, but not granted. */
inline take_in_report(s, p) {
	counted = MAX(CAP_HERE(s, p), OPEN_HERE(s, p));
	if
	:: counted > reserved[OF(s, p)] || (MAY_BE_NEWS(s, p) && HEARD_GENERATION(p) >
			MAX(gen[OF(s, p)], MAX(annotation[p], ELSEWHERE(s, p)))) ->
		is_news = true; lagging = false; choose_next(s, p);
		new_cap = MIN(cap[OF(s, p)], CAP_HERE(s, p)); new_reserved = MAX(counted, reserved[OF(s, p)]);
		commit(s, p)
	:: else
	fi
}

#ifdef M_THE_DEAD_WERE_FREED
#define FREED(s, p) (verdict[p] == DEAD && gen[OF(s, p)] == 0 && trusted)
#else
#ifdef LIFE
#define FREED(s, p) (verdict[p] == DEAD && gen[OF(s, p)] == 0 && freed[p] && trusted)
#else
#define FREED(s, p) false
#endif
#endif

/* It had a grant, as it was Ready once, and neither it nor its object tells of it. */
#ifdef M_WHO_WAS_READY_CONCEALS_NOTHING
#define CONCEALS(p) false
#else
#define CONCEALS(p) (verdict[p] != DEAD && !heard[p] && annotation[p] == 0 && held[p] > 0)
#endif

#ifdef M_WITHOUT_A_GRANT_IS_NEVER_STARTED
#define NEVER_STARTED(p) true
#else
#define NEVER_STARTED(p) (held[p] == 0)
#endif

#ifdef M_SOUND_AT_THE_FIRST_WORD
#define ACCOUNTED_FOR(s, p) (heard[p] || verdict[p] == DEAD || held[p] == 0)
#else
#define ACCOUNTED_FOR(s, p) (verdict[p] != ALIVE -> (WRITTEN_OFF(p) || DRAINED(s, p)) : \
	(heard[p] -> acknowledged[p] >= MAX(HEARD_GENERATION(p), annotation[p]) \
	: annotation[p] == 0 && ELSEWHERE(s, p) == 0 && NEVER_STARTED(p)))
#endif

/* No pod is granted more than it has: the rest may never have been reserved, or have been given to another since. */
inline grant_what_is_there(s, p) {
	counted = MAX((refused[p] -> cap[OF(s, p)] : CAP_AT(s, p, ANNOTATED_HERE(s, p))), (heard[p] -> CAP_HERE(s, p) : 0));
	if
	:: counted < cap[OF(s, p)] ->
		lagging = false; choose_next(s, p);
		new_cap = counted; new_reserved = reserved[OF(s, p)];
		commit(s, p)
	:: else
	fi
}

inline count_what_is_reported(s) {
	wanted = 0; all_told = true;
	do
	:: wanted < N ->
#ifndef M_ONLY_ANNOTATIONS_COUNT
		if
		:: gen[OF(s, wanted)] > 0 && heard[wanted] && acknowledged[wanted] < gen[OF(s, wanted)] ->
			reserved[OF(s, wanted)] = MAX(reserved[OF(s, wanted)], MAX(CAP_HERE(s, wanted), OPEN_HERE(s, wanted)))
		:: else
		fi;
#endif
#ifndef M_RECOVERING_GRANTS_WHAT_IT_SAYS
		if :: gen[OF(s, wanted)] > 0 -> grant_what_is_there(s, wanted) :: else fi;
#endif
		if :: !ACCOUNTED_FOR(s, wanted) -> all_told = false :: else fi;
		wanted++
	:: else -> break
	od
}

/* Take in what pods hold and the ledger does not know. Then see whether anybody is still awaited. */
inline adopt(s) {
	trusted = !recovering[s]; wanted = 0;
	do
	:: wanted < N ->
		if
		:: !FREED(s, wanted) && !WRITTEN_OFF(wanted) ->
			take_in_annotation(s, wanted);
#ifndef M_ONLY_ANNOTATIONS_COUNT
			if :: !is_news && heard[wanted] -> take_in_report(s, wanted) :: else fi;
#endif
			if :: is_news -> assert(faulted) :: else fi;
			if :: is_news || CONCEALS(wanted) -> recovering[s] = true :: else fi
		:: else
		fi;
		wanted++
	:: else -> break
	od;
	if
	:: recovering[s] -> count_what_is_reported(s); recovering[s] = !all_told
	:: else
	fi
}

#define HEARABLE(p) (!ended[p] && verdict[p] == ALIVE)

/* Which agents answer in time is chance; only a recovering ledger minds. */
inline look(s) {
	d_step {
		each = 0;
		do
		:: each < N -> heard[each] = HEARABLE(each); each++
		:: else -> break
		od;
		skip
	};
	if
	:: faulted ->
		if :: annotation[0] > 0 || held[0] > 0 -> heard[0] = false :: skip fi;
		if :: annotation[1] > 0 || held[1] > 0 -> heard[1] = false :: skip fi
	:: else
	fi;
#ifndef M_LOSS_GOES_UNNOTICED
	d_step { adopt(s); skip }
#else
	skip
#endif
}
#define FREE_TO_GROW(s) (!recovering[s])
#ifdef M_RECOVERING_GROWS
#undef FREE_TO_GROW
#define FREE_TO_GROW(s) true
#endif
#define BURIES(s) (!recovering[s])
#else
#define BURIES(s) true
#define FREE_TO_GROW(s) true
inline look(s) { heard[p] = !ended[p] }
#endif

/* With two servers: the operator knows neither the other ledger nor the newest grant on the pod. */
inline may_lag() {
#if S == 1
	lagging = false
#else
	if :: lagging = false :: lagging = true fi
#endif
}

inline any_cap(least) {
	if
	:: least <= 0 -> wanted = 0
	:: least <= 1 -> wanted = 1
#if B >= 2
	:: wanted = 2
#endif
#if B >= 3
	:: wanted = 3
#endif
	fi
}

inline grow(s, p) {
	may_lag();
	any_cap(1);
	d_step {
	count_reserved(s, p);
	choose_next(s, p);
	if
	:: wanted > cap[OF(s, p)] && total + MAX(wanted, reserved[OF(s, p)]) <= B && next_number <= LAST && FREE_TO_GROW(s) && SETTLED(s, p) ->
		new_cap = wanted; new_reserved = MAX(wanted, reserved[OF(s, p)]);
		commit(s, p);
		count_reserved(s, NOBODY);
		assert(total <= B)
	:: else
	fi
	}
}

inline shrink(s, p) {
	may_lag();
	any_cap(0);
	d_step {
	choose_next(s, p);
	if
	:: wanted < cap[OF(s, p)] && next_number <= LAST ->
#ifdef M_RELEASE_EARLY
		new_cap = wanted; new_reserved = wanted;
#else
		new_cap = wanted; new_reserved = reserved[OF(s, p)];
#endif
		commit(s, p)
	:: else
	fi
	}
}

/* A new number for the same cap, where the one here is not above all others */
inline renew(s, p) {
	may_lag();
	d_step {
	choose_next(s, p);
	if
	:: next_number <= LAST -> new_cap = cap[OF(s, p)]; new_reserved = reserved[OF(s, p)]; commit(s, p)
	:: else
	fi
	}
}

inline settle(s, p) {
	if
	:: HAS_LEFT(s, p) -> strike(s, p)
	:: gen[OF(s, p)] > 0 && SETTLES(s, p) -> reserved[OF(s, p)] = cap[OF(s, p)]; outdate_sleeper(s)
	:: else
	fi;
	skip
}

/* ---------------------------------------------------------------- the second operator */

#ifdef SLEEPER
inline forget_plan() { plan = NOTHING; planned_pod = 0; planned_cap = 0 }

active [N] proctype Sleeper() {
	byte p = _pid;
	do
	:: d_step { plan == NOTHING && !ended[p] && gen[p] > 0 && SETTLES(0, p) && reserved[p] > cap[p] ->
		plan = SETTLE; planned_pod = p }
	:: d_step { plan == NOTHING && gen[p] > 0 && DRAINED(0, p) -> plan = BURY; planned_pod = p }
	:: atomic { plan == NOTHING && verdict[p] == ALIVE ->
		any_cap(1);
		d_step {
		count_reserved(0, p); heard[p] = true;
		if
		:: wanted > cap[p] && total + MAX(wanted, reserved[p]) <= B && SETTLED(0, p) ->
			plan = GROW; planned_pod = p; planned_cap = wanted
		:: else
		fi } }
	:: d_step { plan == SETTLE && planned_pod == p -> reserved[p] = cap[p]; forget_plan() }
	:: d_step { plan == BURY && planned_pod == p -> strike(0, p); forget_plan() }
	:: d_step { plan == GROW && planned_pod == p ->
		wanted = planned_cap; lagging = false; choose_next(0, p);
		forget_plan();
		if
		:: next_number <= LAST ->
			new_cap = wanted; new_reserved = MAX(wanted, reserved[p]);
			commit(0, p);
			count_reserved(0, NOBODY);
			assert(total <= B)
		:: else
		fi }
	od
}
#define SLEEPERS N
#else
#define SLEEPERS 0
#endif

/* ---------------------------------------------------------------- an operator, for one pod on one server */

inline drop_order(p, number) {
	ORDER(0, p, number) = 0;
#if S == 2
	ORDER(1, p, number) = 0;
#endif
}

/* The annotation is one register: who writes it has seen what is there (resourceVersion), and overwrites only with
more. What it skips is never written again. */
inline send(s, p, number) {
#ifndef M_GENERATION_PER_LEDGER
	grant = annotation[p] + 1;
	do
	:: grant < number ->
		if :: grant != held[p] && grant != in_force[p] -> drop_order(p, grant) :: else fi;
		grant++
	:: else -> break
	od;
#if S == 2
	ORDER(1 - (s), p, number) = 0;
#endif
#endif
	annotation[p] = number;
#ifdef LOSS
	refused[p] = false
#endif
}

#define SENDABLE(s, p, number) (number < W && ORDER(s, p, number) > 0 && NEWER(p, number, annotation[p]) \
	&& number != annotation[p] && (UNUSED(p, number) || IS_HELD(p, number)))

/* The pod has a grant of that number, or a newer one, from a ledger that is no more. */
#define WILL_BE_REFUSED(p) (faulted && gen[p] > annotation[p] && gen[p] <= held[p] && !IS_HELD(p, gen[p]))

active [S * N] proctype Operator() {
	byte p = (_pid - SLEEPERS) % N, s = (_pid - SLEEPERS) / N;
	do
	:: d_step { SENDABLE(s, p, 1) -> send(s, p, 1) }
	:: d_step { SENDABLE(s, p, 2) -> send(s, p, 2) }
	:: d_step { SENDABLE(s, p, 3) -> send(s, p, 3) }
	:: d_step { SENDABLE(s, p, 4) -> send(s, p, 4) }
#if LAST >= 3
	:: d_step { SENDABLE(s, p, 5) -> send(s, p, 5) }
#endif
#ifdef LOSS
	:: atomic { recovering[s] || faulted ->
		look(s);
		if
		:: d_step { WILL_BE_REFUSED(p) -> annotation[p] = gen[p]; refused[p] = true }
		:: skip
		fi }
#endif
	:: atomic { gen[OF(s, p)] > 0 && !ended[p] && (HAS_LEFT(s, p) || SETTLES(s, p)) ->
		look(s);
		d_step { if :: heard[p] -> settle(s, p) :: else fi } }
	:: atomic { gen[OF(s, p)] > 0 && (DRAINED(s, p) || WRITTEN_OFF(p)) ->
		look(s);
		if
		:: WRITTEN_OFF(p) || BURIES(s) -> free(s, p)
		:: else
		fi }
	:: atomic { verdict[p] == ALIVE && gen[OF(s, p)] > 0 && cap[OF(s, p)] > 0 -> look(s); shrink(s, p) }
	:: atomic { verdict[p] == ALIVE -> look(s); grow(s, p) }
#if S == 2
	:: atomic { verdict[p] == ALIVE && gen[OF(s, p)] > 0 && MAX(annotation[p], ELSEWHERE(s, p)) >= gen[OF(s, p)] ->
		look(s); renew(s, p) }
#endif
	od
}

/* ---------------------------------------------------------------- a pod */

#define TAKES(p, g) ((g) <= annotation[p] && (ORDER(0, p, g) > 0 || (S == 2 && ORDER((S - 1), p, g) > 0)) && _TAKES(p, g))
#ifdef M_NOFENCE
#define _TAKES(p, g) ((g) != held[p])
#else
#ifdef M_LOST_DISK_TAKES_OLDER
#define _TAKES(p, g) (FORGOT(p) || (g) > held[p])
#else
#define _TAKES(p, g) (NEWER(p, g, held[p]) && (g) != held[p] || (FORGOT(p) && (g) == held[p]))
#endif
#endif
#if defined(M_NOFENCE) || defined(M_FORGET) || defined(M_LOST_DISK_TAKES_OLDER) || defined(M_GENERATION_PER_LEDGER)
#define OLD_GRANTS_MATTER
#endif

/* A grant that the pod refuses for ever is as good as none. */
inline drop_refused(p) {
#ifdef OLD_GRANTS_MATTER
	skip
#else
	grant = 1;
	do
	:: grant < held[p] && grant != in_force[p] -> drop_order(p, grant); grant++
	:: grant < held[p] && grant == in_force[p] -> grant++
	:: else -> break
	od
#endif
	; skip
}

inline take_in(p, number) {
	held[p] = number;
#ifdef DISK_LOSS
	forgot[p] = false;
#endif
	drop_refused(p)
}

#ifdef M_NOGATE
#define NOTHING_LINGERS(p) true
#else
#ifdef M_LOST_DISK_DOES_NOT_WAIT
#define NOTHING_LINGERS(p) (hasty[p] || ALL_GHOSTS(p) == 0)
#else
#define NOTHING_LINGERS(p) (ALL_GHOSTS(p) == 0)
#endif
#endif
#ifdef M_MOVE_COEXISTS
#define MAY_MOVE(p) true
#else
#define MAY_MOVE(p) (open[p] == 0)
#endif
#ifdef M_ACK_CONFIG
#define IS_DRAINED(p) true
#else
#define IS_DRAINED(p) (open[p] <= GRANTED(p, in_force[p]))
#endif

/* The engine is gone; PostgreSQL has not noticed. */
inline leave_ghosts(p) {
	if
	:: in_force[p] > 0 ->
		ghosts[OF(SERVER(p, in_force[p]), p)] = ghosts[OF(SERVER(p, in_force[p]), p)] + open[p]
	:: else
	fi;
	open[p] = 0; in_force[p] = 0; acknowledged[p] = 0;
	drop_refused(p)
}

active [N] proctype Pod() {
	byte p = _pid - SLEEPERS - S * N;
	do
	:: d_step { !ended[p] && TAKES(p, 1) -> take_in(p, 1) }
	:: d_step { !ended[p] && TAKES(p, 2) -> take_in(p, 2) }
	:: d_step { !ended[p] && TAKES(p, 3) -> take_in(p, 3) }
	:: d_step { !ended[p] && TAKES(p, 4) -> take_in(p, 4) }
#if LAST >= 3
	:: d_step { !ended[p] && TAKES(p, 5) -> take_in(p, 5) }
#endif
	/* first start, or after a restart: only when nothing of its own lingers (R4, R6) */
	:: d_step { !ended[p] && held[p] > 0 && !FORGOT(p) && in_force[p] == 0 && NOTHING_LINGERS(p) ->
		in_force[p] = held[p];
#ifdef M_LOST_DISK_DOES_NOT_WAIT
		hasty[p] = false
#endif
		}
	:: d_step { in_force[p] > 0 && in_force[p] != held[p] && SERVER(p, in_force[p]) == SERVER(p, held[p]) ->
		in_force[p] = held[p]; drop_refused(p) }
#if S == 2
	/* a move: nothing is open on the old server when the first connection opens on the new one */
	:: d_step { in_force[p] > 0 && SERVER(p, in_force[p]) != SERVER(p, held[p]) && MAY_MOVE(p) ->
		ghosts[OF(SERVER(p, in_force[p]), p)] = ghosts[OF(SERVER(p, in_force[p]), p)] + open[p]; open[p] = 0;
		in_force[p] = held[p]; drop_refused(p) }
#endif
	:: d_step { in_force[p] > 0 && in_force[p] == held[p] && acknowledged[p] != held[p] && IS_DRAINED(p) ->
		acknowledged[p] = held[p] }
	:: d_step { in_force[p] > 0 && open[p] < GRANTED(p, in_force[p]) ->
		open[p]++;
		on_server = SERVER(p, in_force[p]);
		count_backends(on_server);
		assert(total <= B);
		check_goals() }
	:: d_step { open[p] > 0 -> open[p]-- }
#ifdef M_ABORT
	:: d_step { open[p] > 0 -> open[p]--; ghosts[OF(SERVER(p, in_force[p]), p)]++ }
#endif
	:: d_step { ghosts[p] > 0 -> ghosts[p]-- }
#if S == 2
	:: d_step { ghosts[N + p] > 0 -> ghosts[N + p]-- }
#endif
#ifdef RESTART
	:: d_step { in_force[p] > 0 ->
		leave_ghosts(p);
#ifdef M_FORGET
		held[p] = 0
#endif
		}
#endif
#ifdef DISK_LOSS
	:: d_step { held[p] > 0 && !ended[p] && !forgot[p] ->
		leave_ghosts(p); forgot[p] = true;
#ifdef M_LOST_DISK_DOES_NOT_WAIT
		hasty[p] = true
#endif
		}
#endif
#ifdef LIFE
	:: d_step { !ended[p] -> leave_ghosts(p); ended[p] = true; held[p] = 0 }
	/* R3: nothing but its end proves it */
#ifdef M_OBJGONE
	:: d_step { verdict[p] != DEAD -> verdict[p] = DEAD }
#else
	:: d_step { verdict[p] != DEAD && ended[p] -> verdict[p] = DEAD }
#endif
	:: d_step { verdict[p] == ALIVE -> verdict[p] = UNKNOWN }
	:: d_step { verdict[p] == UNKNOWN && !ended[p] -> verdict[p] = ALIVE }
	/* A person's word, which is true */
#ifdef M_RELEASE_IS_FALSE
	:: d_step { verdict[p] == UNKNOWN && !released[p] -> released[p] = true }
#else
#ifdef M_RELEASE_OF_THE_LIVING
	:: d_step { !released[p] -> released[p] = true }
#else
	:: d_step { verdict[p] == UNKNOWN && ended[p] && ALL_GHOSTS(p) == 0 && !released[p] -> released[p] = true }
#endif
#endif
#endif
#if defined(LOSS) && !defined(LIFE)
	/* somebody takes the annotation off a pod that is or was Ready with it */
	:: d_step { annotation[p] > 0 && annotation[p] == held[p] && in_force[p] == held[p] && !faulted -> annotation[p] = 0 }
#endif
	od
}

/* ---------------------------------------------------------------- faults of the API server's storage */

#ifdef LOSS
inline drop_unsent() {
	each = 0;
	do
	:: each < N ->
		grant = 1;
		do
		:: grant < W ->
			if :: grant > annotation[each] && grant > held[each] -> drop_order(each, grant) :: else fi;
			grant++
		:: else -> break
		od;
		each++
	:: else -> break
	od;
	skip
}

inline clear_backup() {
	each = 0;
	do
	:: each < N ->
		old_cap[each] = 0; old_reserved[each] = 0; old_gen[each] = 0;
#ifdef LIFE
		old_freed[each] = false;
#endif
		each++
	:: else -> break
	od;
	backed_up = false;
	skip
}

inline nobody_is_out_of_sight() {
	each = 0; is_news = true;
	do
	:: each < N -> if :: ALL_GHOSTS(each) > 0 -> is_news = false :: else fi; each++
	:: else -> break
	od
}

active proctype Storage() {
	do
	:: d_step { !faulted ->
		faulted = true; recovering[0] = true;
		each = 0;
		do
		:: each < N ->
			cap[each] = 0; reserved[each] = 0; gen[each] = 0;
#ifdef LIFE
			freed[each] = false;
#endif
			each++
		:: else -> break
		od;
		drop_unsent(); clear_backup() }
	:: d_step { !faulted && !backed_up ->
		backed_up = true; each = 0;
		do
		:: each < N ->
			old_cap[each] = cap[each]; old_reserved[each] = reserved[each]; old_gen[each] = gen[each];
#ifdef LIFE
			old_freed[each] = freed[each];
#endif
			each++
		:: else -> break
		od;
		skip }
	:: d_step { !faulted && backed_up ->
		nobody_is_out_of_sight();
		if
		:: is_news ->
			faulted = true; each = 0;
			do
			:: each < N ->
				cap[each] = old_cap[each]; reserved[each] = old_reserved[each]; gen[each] = old_gen[each];
#ifdef LIFE
				freed[each] = old_freed[each];
#endif
				each++
			:: else -> break
			od;
			drop_unsent(); clear_backup()
		:: else
		fi;
		skip }
	od
}
#endif

