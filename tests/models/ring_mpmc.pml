/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The MPMC ring of lib/ring_mpmc.c, for spin: every interleaving of the atomic
 * operations of PRODUCERS and CONSUMERS, of which up to DEATHS die between any
 * two of them. One step here is one atomic operation there; what a participant
 * knows privately is local.
 *
 * The ring has BLOCKS blocks and records of one or two. Laps are compared in
 * TAG_LAPS values only, in SHORT_LAPS where a word names an owner, and the start
 * is chosen so that they wrap soon; all words are written in every lap that is
 * a multiple of REFRESH, as the library does with larger numbers. A record of one
 * block may be written in one step, as the library does with those in cells.
 * SKIPPED stands for the forced skip, which the library allows on a living
 * producer's record.
 *
 * Asserted at every step: a reservation begins at the true end of the ring and
 * overlaps nothing that is in use; a payload that is being read is whole and is
 * the one that belongs to the position; nothing is delivered twice without the
 * mark; the head passes nothing that is in use. At the end, when everybody has
 * finished or is dead, one survivor cleans up and drains: everything that was
 * committed has been delivered, and the whole ring is free.
 */
#ifndef BLOCKS
#define BLOCKS 3
#endif
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef READS
#define READS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef START_LAP
#define START_LAP 6
#endif
#ifndef TAG_LAPS
#define TAG_LAPS 8
#endif
#ifndef SHORT_LAPS
#define SHORT_LAPS 4
#endif
#ifndef REFRESH
#define REFRESH 2
#endif
#define POSITIONS (PRODUCERS * MESSAGES * 3 + BLOCKS)
#define START (START_LAP * BLOCKS)
#define ALL (PRODUCERS + CONSUMERS)
#define SURVIVOR ALL

#define FREE 0
#define BUSY 1
#define READY 2
#define CLAIMED 3
#define AGAIN 4
#define SKIPPED 5

/* A word: state, length in blocks, owner, lap. */
typedef word {
	byte state;
	byte blocks;
	byte owner;
	byte lap
};

word words[BLOCKS];
byte head = START;
bool dead[ALL + 1];
byte deaths;
byte finished;

/* What the checker knows besides. Indexed by position - START or by block. */
byte true_tail = START;
byte payload[BLOCKS];		/* position whose payload stands there, + 1 */
bool committed[POSITIONS];
bool marked[POSITIONS];		/* a consumer died with it in hand */
byte delivered[POSITIONS];

#define OWNED(w) (w.state == BUSY || w.state == CLAIMED || w.state == SKIPPED)

/*
 * Does word @w, seen at position @p, belong to an older lap, this, or a newer?
 * An owned word has fewer bits to tell (see STALE below).
 */
#define LAP(p) ((p) / BLOCKS)
#define LAPS(w) (OWNED(w) -> SHORT_LAPS : TAG_LAPS)
#define AGE(w, p) ((w.lap % LAPS(w) + LAPS(w) + LAPS(w) / 2 - LAP(p) % LAPS(w)) % LAPS(w))
#define OLDER(w, p) (AGE(w, p) < LAPS(w) / 2)
#define CURRENT(w, p) (AGE(w, p) == LAPS(w) / 2)
/* lib: place_stale(), a load after that of the word. */
#define STALE(w, p) (OWNED(w) && head > p)

#define SAME(a, b) (a.state == b.state && a.blocks == b.blocks && \
		    a.owner == b.owner && a.lap == b.lap)
#define COPY(to, from) to.state = from.state; to.blocks = from.blocks; \
		       to.owner = from.owner; to.lap = from.lap
#define SET(at, s, n, o, p) words[(at) % BLOCKS].state = s; \
			    words[(at) % BLOCKS].blocks = n; \
			    words[(at) % BLOCKS].owner = o; \
			    words[(at) % BLOCKS].lap = LAP(p) % TAG_LAPS

#define LOAD(w, p) d_step { COPY(w, words[(p) % BLOCKS]) }

/* Compare-and-swap of the word at @p. */
#define CAS(ok, w, p, s, n, o) \
	d_step { \
		if \
		:: SAME(words[(p) % BLOCKS], w) -> SET(p, s, n, o, p); ok = true \
		:: else -> ok = false \
		fi \
	}

/* May this participant die here? The survivor does not. */
#define MAY_DIE \
	if \
	:: true \
	:: me != SURVIVOR && deaths < DEATHS -> \
		d_step { deaths++; dead[me] = true }; \
		goto died \
	fi

inline refresh(p, n)
{
	/* Records have two blocks at most: one word inside. */
	if
	:: n == 2 && (LAP(p) % REFRESH == 0 || (LAP(p) + 1) % REFRESH == 0) ->
		d_step {
			/* Nobody else can have come to it. */
			assert(head <= p);
			SET(p + 1, FREE, 0, 0, p + 1)
		};
		MAY_DIE
	:: else
	fi
}

/* lib: recover_word(). v was loaded from the place before. */
inline recover_word()
{
	if
	:: v.state == CLAIMED ->
		d_step {
			if
			:: SAME(words[p % BLOCKS], v) ->
				SET(p, AGAIN, v.blocks, 0, p);
				marked[p - START] = true
			:: else
			fi
		}
	:: else ->
		CAS(ok, v, p, v.state, v.blocks, me);
		MAY_DIE;
		if
		:: ok ->
			refresh(p, v.blocks);
			d_step { SET(p, FREE, v.blocks, 0, p) }
		:: else
		fi
	fi;
	MAY_DIE
}


/* lib: mpmc_reserve(), then the payload, then commit, discard or death. */
inline produce()
{
	tries = 0;
	do
	:: tries == 3 -> break
	:: else ->
		LOAD(w, tail);
		MAY_DIE;
		stale = STALE(w, tail);
		if
		:: stale || (!OLDER(w, tail) && !CURRENT(w, tail)) ->
			tail = head;
			tries++
		:: !stale && CURRENT(w, tail) ->
			assert(w.blocks > 0);
			tail = tail + w.blocks
		:: !stale && OLDER(w, tail) ->
			need = size;
			if
			:: tail % BLOCKS + size > BLOCKS -> need = BLOCKS - tail % BLOCKS
			:: else
			fi;
			if
			:: tail + need > limit ->
				/* lib: find_room() */
				p = head;
				MAY_DIE;
				do
				:: p < tail ->
					LOAD(v, p);
					MAY_DIE;
					if
					:: !CURRENT(v, p) -> break
					:: CURRENT(v, p) && v.state == FREE -> p = p + v.blocks
					:: CURRENT(v, p) && OWNED(v) && dead[v.owner] ->
						recover_word();
						break
					:: else -> break
					fi
				:: else -> break
				od;
				skip;
				d_step {
					if
					:: head < p -> head = p
					:: else
					fi
				};
				MAY_DIE;
				limit = p + BLOCKS;
				tries++
			:: else ->
				assert(w.state == FREE);
				d_step {
					if
					:: SAME(words[tail % BLOCKS], w) ->
						ok = true;
						/* The true tail, and free. */
						assert(tail == true_tail);
						assert(tail + need <= head + BLOCKS);
						true_tail = tail + need;
						if
						:: need != size ->
							/* A pad of one block has no inside. */
							SET(tail, FREE, need, 0, tail)
						:: need == size && once ->
							/* lib: write_at_once() */
							SET(tail, READY, need, 0, tail);
							payload[tail % BLOCKS] = tail - START + 1;
							committed[tail - START] = true
						:: else ->
							SET(tail, BUSY, need, me, tail)
						fi
					:: else -> ok = false
					fi
				};
				MAY_DIE;
				if
				:: ok && need != size -> tail = tail + need
				:: ok && need == size && once ->
					tail = tail + need;
					break
				:: ok && need == size && !once ->
					refresh(tail, need);
					/* The payload, block after block. */
					payload[tail % BLOCKS] = tail - START + 1;
					MAY_DIE;
					if
					:: need == 2 ->
						payload[(tail + 1) % BLOCKS] = tail - START + 1;
						MAY_DIE
					:: else
					fi;
					/* Has it been skipped? The look and the store are
					 * two steps. */
					LOAD(w, tail);
					MAY_DIE;
					if
					:: w.state == BUSY ->
						if
						:: d_step {
							SET(tail, READY, need, 0, tail);
							committed[tail - START] = true
						   }
						:: d_step { SET(tail, FREE, need, 0, tail) }
						fi
					:: else ->
						assert(w.state == SKIPPED && w.owner == me);
						d_step { SET(tail, FREE, need, 0, tail) }
					fi;
					tail = tail + need;
					break
				:: else
				fi
			fi
		fi
	od
}

/*
 * lib: scan() and release. @asks: from the head, and asks who is alive. (The
 * library starts at the oldest record it stepped over, which is never before
 * the head.)
 */
inline consume(asks, skips)
{
	tries = 0;
	p = tail;
	if
	:: asks -> p = head
	:: else
	fi;
	do
	:: tries == 3 -> break
	:: else ->
		LOAD(v, p);
		MAY_DIE;
		stale = STALE(v, p);
		if
		:: !stale && OLDER(v, p) -> break
		:: stale || (!OLDER(v, p) && !CURRENT(v, p)) ->
			assert(head > p);
			p = head;
			tries++
		:: !stale && CURRENT(v, p) ->
			assert(v.blocks > 0);
			if
			:: v.state == READY || v.state == AGAIN ->
				CAS(ok, v, p, CLAIMED, v.blocks, me);
				MAY_DIE;
				if
				:: ok ->
					assert(committed[p - START]);
					assert(payload[p % BLOCKS] == p - START + 1);
					MAY_DIE;
					assert(payload[p % BLOCKS] == p - START + 1);
					assert(v.blocks == 1 ||
					       payload[(p + 1) % BLOCKS] == p - START + 1);
					assert(delivered[p - START] == 0);
					assert(v.state == READY || marked[p - START]);
					d_step {
						delivered[p - START]++;
						SET(p, FREE, v.blocks, 0, p)
					};
					p = p + v.blocks;
					got = true;
					break
				:: else -> tries++
				fi
			:: OWNED(v) && asks && dead[v.owner] ->
				recover_word();
				tries = 0
			:: v.state == BUSY && !(asks && dead[v.owner]) ->
				if
				:: skips ->
					/* lib: mpmc_skip_force() */
					CAS(ok, v, p, SKIPPED, v.blocks, v.owner);
					MAY_DIE
				:: else
				fi;
				break
			:: else -> p = p + v.blocks
			fi
		fi
	od;
	if
	:: p > tail -> tail = p
	:: else
	fi
}

proctype producer(byte me)
{
	byte tail = START, limit = START + BLOCKS, size, need, p, tries, n;
	word w, v;
	bool ok, stale, once;

	do
	:: n == MESSAGES -> break
	:: else ->
		n++;
		if
		:: size = 1; once = false
		:: size = 1; once = true
		:: size = 2; once = false
		fi;
		produce()
	od;
died:
	finished++
}

proctype consumer(byte me)
{
	byte tail = START, p, tries, n;
	word v;
	bool ok, got, look, stale;

	do
	:: n == READS -> break
	:: else ->
		n++;
		if
		:: look = false
		:: look = true
		fi;
#ifdef FORCED
		consume(look, 1)
#else
		consume(look, 0)
#endif
	od;
died:
	finished++
}

init {
	byte me = SURVIVOR, tail = START, p, tries, i;
	word v;
	bool ok, got, stale;

	d_step {
		i = 0;
		do
		:: i < BLOCKS ->
			words[i].lap = (START_LAP - 1) % TAG_LAPS;
			i++
		:: else -> break
		od
	};
	atomic {
		i = 0;
		do
		:: i < PRODUCERS -> run producer(i); i++
		:: else -> break
		od;
		do
		:: i < ALL -> run consumer(i); i++
		:: else -> break
		od
	};
	finished == ALL;

	/* Alone now: look, and drain. */
	got = true;
	do
	:: got -> got = false; consume(1, 0)
	:: else -> break
	od;
	p = head;
	do
	:: p < true_tail ->
		assert(CURRENT(words[p % BLOCKS], p));
		assert(words[p % BLOCKS].state == FREE);
		p = p + words[p % BLOCKS].blocks
	:: else -> break
	od;
	assert(p == true_tail);
	i = 0;
	do
	:: i < POSITIONS ->
		assert(!committed[i] || delivered[i] == 1);
		i++
	:: else -> break
	od;
died:
	skip
}
