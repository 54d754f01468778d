/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The places in the table of participants of lib/ring_mpmc.c, for spin: how one is taken
 * and given back, is taken over from the dead, and what keeps those apart who finish
 * something for a dead one from the next one in the same place. One step here is one
 * atomic operation there.
 *
 * There are WORKERS with LIVES each, of whom up to DEATHS die between any two steps, and
 * PLACES places. The ring is one word that is always the next one: each worker enters,
 * reserves (the word names its place, and has the same bits each time: the worst that
 * laps can do), and commits or releases, or detaches with it reserved, which gives it up;
 * or it is one that looks, finishes what the dead have left, and clears their places, or
 * one that comes upon the word on its way and finishes only that. With CLAIMS, it may also
 * be a consumer who has the word in hand. With FORCED, a consumer skips what is BUSY by
 * force between any two steps, as often as there is something, whoever owns it, and for
 * as long as anybody is at work, the survivor too.
 *
 * Asserted: two who live never have the same place; nobody finishes for somebody who
 * lives: what one has reserved is there until it gives it back itself; the word never
 * names a place that nobody has, nor one whose new owner does not know of it: whoever
 * gives a place back, his own or a dead one's, has left nothing under that index, and
 * whoever has entered one finds nothing there; who has looked has left nothing of those
 * who were dead when he began. At the end one who survives cleans up: then the word is
 * free and nobody dead is in the table.
 *
 * With NO_MARK, nobody says for whom he is about to finish something (the word
 * "recovers" of a place): then the second assertion has to fail. With NO_SECOND_LOOK=1,
 * who gives back what a dead one has does not look again whether it has it no more, with
 * 2 who takes over a dead one's place, with 3 who detaches: then the third has to fail
 * with FORCED, as a forced skip in between is overlooked. With NO_WAIT, who looks does not
 * wait for somebody who is about to take a dead one's place, and may go back: then the
 * fourth has to fail.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef PLACES
#define PLACES 2
#endif
#ifndef NO_SECOND_LOOK
#define NO_SECOND_LOOK 0
#endif
#define LOOK_ENTER 2
#define LOOK_LEAVE 3
#define IDENTITIES (WORKERS * LIVES + 2)
#if WORKERS * LIVES > 7
#error all_dead has no more bits
#endif
#define NOBODY 0
#define NONE 255
#define TRIES 1

/*
 * Words of the ring: free, or what a place has: BUSY, or SKIPPED by force, or by its
 * owner when it gives it up; CLAIMED by a consumer. READY and AGAIN are as good as FREE
 * here: nobody owns them.
 */
#define FREE 0
#define BUSY 1
#define SKIPPED 2
#define CLAIMED 3

byte owner[PLACES];		/* identity: 1 + worker * LIVES + life; ENTERING */
byte recovers[PLACES];		/* place + 1 */
byte state = FREE;
byte who = NONE;		/* place that the word names, if it is not FREE */

/* lib: OWNER_ENTERING */
#define ENTERING 64
#define IDENTITY(o) ((o) & (ENTERING - 1))
#define DEAD(o) dead[IDENTITY(o)]

/* What the checker knows besides. */
bool dead[IDENTITIES];		/* nobody is not */
byte all_dead;			/* as bits */
byte holder;			/* identity that has the word reserved, alive or dead */
byte deaths;
byte ended;

/* Does the word name place @p? */
#define NAMED(p) (state != FREE && who == (p))

/* Behind each store and swap: to die behind a load is to die before it. */
#define MAY_DIE \
	if \
	:: true \
	:: !survivor && deaths < DEATHS -> \
		d_step { deaths++; dead[id] = true; all_dead = all_dead | (1 << id) }; \
		goto died \
	fi

/* lib: finish_word(), for a word of place @q that was in state @seen when it was loaded. */
inline finish_word()
{
	/* Taken over first, with one's own place in it; or ready again at once. */
	d_step {
		ok = (state == seen && who == q);
		if
		:: ok ->
			/* Nobody who lives loses what it has. */
			assert(holder == NOBODY || dead[holder]);
			if
			:: seen == CLAIMED -> state = FREE; who = NONE; holder = NOBODY; ok = false
			:: else -> who = place; holder = id
			fi
		:: else
		fi
	};
	MAY_DIE;
	if
	:: ok ->
		/* It may have been skipped meanwhile. */
		d_step { assert(holder == id); state = FREE; who = NONE; holder = NOBODY };
		MAY_DIE
	:: else
	fi
}

/* lib: recover_word(): the word named @q in state @seen when it was loaded. */
inline recover_word()
{
#ifndef NO_MARK
	recovers[place] = q + 1;
	MAY_DIE;
#endif
	old = owner[q];
	if
	:: old == NOBODY || (old != id && DEAD(old)) ->
		finish_word();
		done = true
	:: else -> done = false
	fi;
#ifndef NO_MARK
	recovers[place] = 0;
	MAY_DIE
#endif
}

/*
 * lib: search_index() with clean_word(), of one's own place, whose former owner died, or
 * that one leaves. @once: NO_SECOND_LOOK.
 */
inline clean_own(once)
{
	do
	:: true ->
		d_step { seen = state; q = who };
		if
		:: seen == FREE || q != place -> break
		:: else
		fi;
		ok = true;
		if
		:: seen == BUSY || seen == CLAIMED ->
			d_step {
				ok = (state == seen && who == place);
				if
				:: ok ->
					assert(holder == NOBODY || holder == id || dead[holder]);
					if
					:: seen == CLAIMED ->
						state = FREE; who = NONE; holder = NOBODY; ok = false
					:: else -> state = SKIPPED; holder = id
					fi
				:: else
				fi
			};
			MAY_DIE
		:: else ->
			/* Skipped, or taken over by one who died: nobody else may have it. */
			assert(holder == id || dead[holder]);
			holder = id
		fi;
		if
		:: ok ->
			d_step { assert(who == place); state = FREE; who = NONE; holder = NOBODY };
			MAY_DIE
		:: else
		fi;
		if
		:: NO_SECOND_LOOK == once -> break
		:: else
		fi
	od;
	skip
}

/* lib: enter() and what follows it in mpmc_attach(). */
inline enter()
{
	place = NONE;
	tries = 0;
	do
	:: place != NONE || tries == TRIES -> break
	:: else ->
		tries++;
		i = 0;
		do
		:: i == PLACES || place != NONE -> break
		:: else ->
			old = owner[i];
			if
			:: old == NOBODY || DEAD(old) ->
				d_step {
					ok = (owner[i] == old);
					if
					:: ok && old == NOBODY -> owner[i] = id
					:: ok && old != NOBODY -> owner[i] = id | ENTERING
					:: else
					fi
				};
				MAY_DIE;
				/* lib: is_recovered() */
				j = 0;
				do
				:: !ok || j == PLACES -> break
				:: else ->
					if
					:: recovers[j] == i + 1 && j != i ->
						if
						:: owner[j] != NOBODY && !DEAD(owner[j]) ->
							/* As it was. */
							owner[i] = old;
							MAY_DIE;
							ok = false
						:: else
						fi
					:: else
					fi;
					j++
				od;
				if
				:: ok ->
					recovers[i] = 0;
					MAY_DIE;
					place = i
				:: else
				fi
			:: else
			fi;
			i++
		od
	od;
	if
	:: place != NONE && old != NOBODY ->
		clean_own(LOOK_ENTER);
		owner[place] = id;
		MAY_DIE
	:: else
	fi;
	/* Nothing is there that one does not know of. */
	assert(place == NONE || !NAMED(place))
}

/* lib: mpmc_recover() for everybody who is dead, without an end to its patience. */
inline look()
{
	gone = all_dead;
	i = 0;
	do
	:: i == PLACES -> break
	:: else ->
		/* lib: recover_place() */
		before = owner[i];
		if
		:: before == NOBODY || before == id -> i++
		:: before != NOBODY && before != id && !DEAD(before) ->
			if
#ifndef NO_WAIT
			:: before & ENTERING
#endif
			:: else -> i++
			fi
		:: else ->
			/* lib: search_index() */
			done = true;
			do
			:: true ->
				d_step { seen = state; q = who };
				if
				:: seen != FREE && q == i ->
					recover_word();
					if
					:: !done || NO_SECOND_LOOK == 1 -> break
					:: else
					fi
				:: else -> break
				fi
			od;
			if
			:: done ->
				d_step {
					if
					:: owner[i] == before ->
						assert(!NAMED(i));
						owner[i] = NOBODY
					:: else
					fi
				};
				MAY_DIE;
				i++
#ifdef NO_WAIT
			:: !done && owner[i] != before -> i++
#endif
			:: else
			fi
		fi
	od;
	assert(holder == NOBODY || !(gone & (1 << holder)));
	gone = 0
}

/* lib: scan() and find_room(), which ask about the word that is in their way, once. */
inline meet()
{
	d_step { seen = state; q = who };
	if
	:: seen != FREE && q != place -> recover_word()
	:: else
	fi
}

inline reserve_and_finish(as)
{
	/* Reserve, or claim. */
	d_step {
		ok = (state == FREE);
		if
		:: ok -> state = as; who = place; holder = id
		:: else
		fi
	};
	MAY_DIE;
	if
	:: ok ->
		if
		:: true ->
			/* Commit, and all the way to free again; or it was skipped. */
			d_step {
				assert(holder == id && NAMED(place));
				state = FREE; who = NONE; holder = NOBODY
			};
			MAY_DIE
		:: clean_own(LOOK_LEAVE)
		fi
	:: else
	fi
}

proctype worker(byte me)
{
	byte life, id, place, tries, i, j, q, old, before, seen, gone;
	bool ok, done, survivor;

	do
	:: life == LIVES -> break
	:: else ->
		id = 1 + me * LIVES + life;
		life++;
		enter();
		if
		:: place == NONE
		:: else ->
			assert(owner[place] == id);
			if
			:: reserve_and_finish(BUSY)
#ifdef CLAIMS
			:: reserve_and_finish(CLAIMED)
#endif
			:: look()
			:: meet()
			fi;
			d_step {
				assert(owner[place] == id && !NAMED(place));
				owner[place] = NOBODY
			};
			place = NONE
		fi;
died:
		skip;
		d_step {
			place = 0; tries = 0; i = 0; j = 0; q = 0; old = 0; before = 0; seen = 0;
			gone = 0; ok = false; done = false
		}
	od;
	ended++
}

#ifdef FORCED
/* lib: mpmc_skip_force() */
active proctype skipper()
{
end:
	do
	:: d_step { state == BUSY -> state = SKIPPED }
	od
}
#endif

init {
	byte id = WORKERS * LIVES + 1, place, tries, i, j, q, old, before, seen, gone;
	bool ok, done, survivor = true;

	atomic {
		i = 0;
		do
		:: i < WORKERS -> run worker(i); i++
		:: else -> break
		od
	};
	ended == WORKERS;
	enter();
	/* Nobody is at work any more. */
	assert(place != NONE);
	look();
	assert(state == FREE);
	i = 0;
	do
	:: i < PLACES ->
		assert(owner[i] == NOBODY || owner[i] == id);
		i++
	:: else -> break
	od;
died:
	skip
}
