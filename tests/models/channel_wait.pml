/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sleeping and waking of lib/wait.c and lib/channel_wait.c, for spin: writers whose
 * messages readers wait for, one who closes, and up to DEATHS of writers and readers
 * between any two steps, in every interleaving of their loads, stores and atomic
 * operations.
 *
 * Stores are seen late: each process has a store buffer of one entry, which empties at
 * any time, before its next store, at a fence, at an atomic operation of its own, and at
 * a membarrier() of somebody. Loads do not wait for it. That is what the fences are for:
 * that a writer's look at the word does not come before its message. Other weak orders
 * (loads before loads) are not in the model, nor are the other direction, room for
 * writers, which is the same code; polling; the doorbell; signals and deadlines.
 *
 * A ring is an array here, long enough for all: a place is taken by an atomic operation
 * and made ready by a plain store; a writer that dies between the two holds up all that
 * follows until somebody who waits drops its place, and wakes the others (the nudge). A
 * writer goes fenceless when it likes (lib/channel.c: after many messages without a
 * sleeper), and fences again once it has seen one. A sleep has an end only if somebody
 * has died, which is found at that; else nothing but a wake-up ends it, so that one that
 * is missed is found. With BARRIER_FAILS, membarrier() may do so; the sleep is short then.
 *
 * Asserted, when nothing moves any more: nobody sleeps where there is a message, or at a
 * channel that is closed, or whose writers are all dead; no message is left behind by
 * readers who were told that there are no more.
 *
 * Variants that must fail: NO_FENCE, no fence between message and look at the word;
 * NO_BARRIER, no membarrier() by who wants to sleep; NO_STEP_BACK, a sleep bit that is
 * taken back and set again, so that the word is what it was, and one falls asleep who had
 * looked before.
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2		/* of each writer */
#endif
#ifndef DEATHS
#define DEATHS 0
#endif

#define ALL (WRITERS + READERS)
#define CLOSER WRITERS		/* its store buffer */
#define PLACES (WRITERS * MESSAGES + 1)

/* Places of the ring. */
#define FREE 0
#define BUSY 1
#define READY 2

/* What is in a store buffer. */
#define NOTHING 0
#define COMMIT 1
#define FENCELESS 2
#define FENCING 3
#define CLOSED 4

#define SLEEPS 1		/* in the word */
#define STEP 2
#ifdef NO_STEP_BACK
#define STEP_BACK 0
#else
#define STEP_BACK STEP
#endif

byte place[PLACES], owner[PLACES];
byte head, tail;
byte word;
bool closed;
bool fenceless[WRITERS];

byte buffered[WRITERS + 1], buffered_place[WRITERS + 1];

bool dead[ALL], finished[WRITERS], ended[READERS], asleep[READERS];
byte deaths;

/* --- memory --- */

inline flush(p)
{
	if
	:: buffered[p] == COMMIT -> place[buffered_place[p]] = READY
	:: buffered[p] == FENCELESS -> fenceless[p] = true
	:: buffered[p] == FENCING -> fenceless[p] = false
	:: buffered[p] == CLOSED -> closed = true
	:: else
	fi;
	buffered[p] = NOTHING;
	buffered_place[p] = 0
}

inline fence(p)
{
	d_step { flush(p) }
}

inline store(p, what, where)
{
	d_step {
		flush(p);
		buffered[p] = what;
		buffered_place[p] = where
	}
}

proctype memory(byte p)
{
end:
	do
	:: d_step { buffered[p] != NOTHING -> flush(p) }
	od
}

/* --- waking --- */

inline futex_wake_all()
{
	atomic {
		i = 0;
		do
		:: i < READERS -> asleep[i] = false; i++
		:: i == READERS -> break
		od;
		i = 0
	}
}

/* wait_wake_all(); @p is whose store buffer the atomic operation empties. */
inline wake_all(p)
{
	do
	:: !(word & SLEEPS) -> break
	:: d_step { word & SLEEPS -> seen = word };
		d_step {
			drain(p);
			if
			:: word == seen -> word = (word & ~SLEEPS) + STEP; done = true
			:: else -> done = false
			fi
		};
		if
		:: done -> futex_wake_all(); break
		:: else
		fi
	od
}

/* wait_wake_one() */
inline wake_one(p)
{
	d_step { drain(p); word = word + STEP; seen = word };
	if
	:: seen & SLEEPS ->
		atomic {
			done = false;
			i = 0;
			do
			:: i < READERS && asleep[i] -> asleep[i] = false; done = true; break
			:: i < READERS -> i++
			:: i == READERS -> break
			od;
			/* Any of them may have been passed over, not all. */
			if
			:: !done -> i = 0;
				do
				:: i < READERS && asleep[i] -> asleep[i] = false; done = true; break
				:: i < READERS && !asleep[i] -> i++
				:: i == READERS -> break
				od
			:: else
			fi;
			i = 0
		};
		if
		:: !done ->
			d_step {
				if
				:: word == seen -> word = (word & ~SLEEPS) + STEP_BACK; done = true
				:: else
				fi
			};
			if
			:: done -> futex_wake_all()
			:: else
			fi
		:: else
		fi
	:: else
	fi
}

/* A reader has stored nothing that could be late. */
inline drain(p)
{
	if
	:: p <= WRITERS -> flush(p)
	:: else
	fi
}

/* --- writers --- */

proctype writer(byte me)
{
	byte n, at, i, seen;
	bool fencing = true, done;

	{
		do
		:: n < MESSAGES ->
			d_step {
				flush(me);
				at = tail;
				place[at] = BUSY;
				owner[at] = me;
				tail++
			};
			store(me, COMMIT, at);
			/* channel_settle() */
			if
			:: fencing ->
#ifndef NO_FENCE
				fence(me);
#endif
				if
				:: true
				:: store(me, FENCELESS, 0); fence(me); fencing = false
				fi
			:: else
			fi;
			/* channel_done(), channel_wake() */
			if
			:: word & SLEEPS ->
				if
				:: !fencing -> fencing = true; store(me, FENCING, 0)
				:: else
				fi;
				if
				:: READERS == 1 -> wake_all(me)
				:: else -> wake_one(me)
				fi
			:: !(word & SLEEPS)
			fi;
			n++
		:: else -> break
		od;
		/* Who is told of that sees what it has written. */
		fence(me);
		finished[me] = true
	} unless { dead[me] }
}

/* When all writers have done what they will do. */
active proctype closer()
{
	byte i, seen;
	bool done;

#ifdef CLOSES
end:
	i = 0;
	do
	:: i < WRITERS -> (finished[i] || dead[i]); i++
	:: else -> break
	od;
	store(CLOSER, CLOSED, 0);
	fence(CLOSER);
	wake_all(CLOSER)
#endif
}

/* --- readers --- */

inline try()
{
	d_step {
		got = false;
		if
		:: place[head] == READY -> place[head] = FREE; head++; got = true
		:: else
		fi
	}
}

inline withdraw()
{
	d_step {
		if
		:: WRITERS == 1 && READERS == 1 && word == announced -> word = word & ~SLEEPS
		:: else
		fi
	}
}

/* channel_fence(): the reader's own fence empties nothing here. */
inline channel_fence()
{
	i = 0;
	do
	:: i < WRITERS && !fenceless[i] -> i++
	:: i < WRITERS && fenceless[i] ->
#ifndef NO_BARRIER
		if
		:: atomic {
			i = 0;
			do
			:: i <= WRITERS -> flush(i); i++
			:: i > WRITERS -> break
			od
		}
#ifdef BARRIER_FAILS
		:: brief = true
#endif
		fi;
#endif
		break
	:: else -> break
	od;
	i = 0
}

proctype reader(byte me)
{
	byte i, seen, announced;
	bool got, slept, napped, brief, done, anybody, everybody;

	{
		skip;
next:
		slept = false;
		try();
		if
		:: got -> goto next
		:: else
		fi;
doze:
		napped = false;
		brief = false;
		seen = word;
		announced = seen | SLEEPS;
		if
		:: seen != announced ->
			d_step {
				if
				:: word == seen -> word = announced; done = true
				:: else -> done = false
				fi
			};
			if
			:: !done ->
				try();
				if
				:: got -> goto after
				:: else -> goto doze
				fi
			:: else
			fi
		:: else
		fi;
		channel_fence();
		try();
		if
		:: got -> withdraw(); goto after
		:: else
		fi;
		if
		:: closed ->
			try();
			withdraw();
			if
			:: got -> goto after
			:: else -> goto told
			fi
		:: else
		fi;
		slept = true;
		if
		:: d_step { word == announced -> asleep[me] = true }
		:: word != announced -> goto woken
		fi;
end_asleep:
		if
		:: !asleep[me]
		:: d_step { asleep[me] && (deaths || brief) -> asleep[me] = false; napped = true }
		fi;
woken:
		try();
		if
		:: got -> goto after
		:: !got && !napped -> goto doze
		:: else
		fi;
		/* look_dead() */
		atomic {
			anybody = false;
			everybody = true;
			i = 0;
			do
			:: i < ALL ->
				anybody = anybody || dead[i];
				everybody = everybody && (i >= WRITERS || dead[i]);
				i++
			:: else -> break
			od;
			i = 0
		};
		if
		:: !anybody -> goto doze
		:: else
		fi;
		/* channel_recover() */
		d_step {
			done = place[head] == BUSY && dead[owner[head]];
			if
			:: done -> place[head] = FREE; head++
			:: else
			fi
		};
		if
		:: done -> wake_all(ALL)
		:: else
		fi;
		try();
		if
		:: got -> goto after
		:: !got && everybody -> withdraw(); goto told
		:: else -> goto doze
		fi;
after:
		/* The wake-up was for one. There may be more than one message. */
		if
		:: slept && READERS > 1 ->
			if
			:: word & SLEEPS -> wake_one(ALL)
			:: !(word & SLEEPS)
			fi
		:: else
		fi;
		goto next;
told:
		ended[me] = true
	} unless { dead[WRITERS + me] }
}

/* --- deaths, and the end --- */

proctype killer(byte p)
{
end:
	d_step {
		deaths < DEATHS && !dead[p] ->
		/* What a CPU has stored is seen before anybody learns of it. */
		if
		:: p < WRITERS -> flush(p)
		:: else -> asleep[p - WRITERS] = false
		fi;
		dead[p] = true;
		deaths++
	}
}

active proctype judge()
{
	byte i;
	bool all_dead = true;

	timeout;
	atomic {
		do
		:: i < WRITERS -> all_dead = all_dead && dead[i]; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < READERS ->
			assert(dead[WRITERS + i] || place[head] != READY);
			assert(!asleep[i] || (!closed && !all_dead));
			i++
		:: else -> break
		od
	}
}

init
{
	byte i;

	atomic {
		do
		:: i < WRITERS -> run writer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i <= WRITERS -> run memory(i); i++
		:: else -> break
		od;
#if DEATHS
		i = 0;
		do
		:: i < ALL -> run killer(i); i++
		:: else -> break
		od;
#endif
		i = 0;
		do
		:: i < READERS -> run reader(i); i++
		:: else -> break
		od
	}
}
