/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The exchange of lib/exchange_*.c, for spin: an item that is larger than the window, its
 * writer, who may give up at a deadline, readers, and those who clean up after the dead,
 * in every interleaving of their loads, stores and compare-and-swaps. Up to DEATHS of
 * writers and readers die between any two of them. One step here is one access to shared
 * memory there; what a participant knows privately is local.
 *
 * The first writer publishes an item of CHUNKS chunks through a window of one (with ASK: a
 * request, whose reply it awaits), the other ones small items, or such ones with STREAMS.
 * With TIMED, every wait of a writer may end at its deadline, with TIMED_REPLY that for a
 * reply, and LEAVES of those of readers. Those who clean
 * up (exchange_recover(), which everybody calls who waits) are processes of their own, so
 * that one may fall asleep in the middle of it while others go on.
 *
 * Not in the model: the queue of tickets (a turn is anybody's when it is free), sleeping
 * and waking, what is reserved and peeked. With MUST_FAIL, a writer does not ask whether
 * a dead reader had taken its item out of the box.
 *
 * Asserted: a reader gets each chunk as it was written, the marks are never out of order,
 * nobody finds memory corrupted. When nothing moves any more: all who live have ended, or
 * are readers who wait at an empty box; the turns are free; no item was read by two who
 * live; what a writer was told is true: published is what a reader has, or had when it
 * died, and what it was told is given up nobody has; a request whose server lives was
 * answered, or refused.
 */
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef CHUNKS
#define CHUNKS 2
#endif

#define ALL (WRITERS + READERS)
#define CLIENTS 0
#define SERVERS 1
#define REQUESTS 0
#define REPLIES 1

/* Kinds of items. */
#define SMALL 1
#define STREAM 2
#define REQUEST 4		/* a bit */

/* Marks: a number, and why. */
#define DIED 1
#define READ 2
#define DONE 3
#define MARK(n, why) ((n) * 4 + (why))
#define NUMBER(mark) ((mark) / 4)
#define GIVES_UP(mark, n) (NUMBER(mark) >= (n) && (mark) != MARK(n, READ))

/* What a writer is told. */
#define NOTHING 0
#define SUCCESS 1
#define TIMEOUT 2
#define PEER_DIED 3
#define REMOVED 4
#define CLOSED 5
#define AGAIN 6
#define ANSWERED 7

typedef turn_t {
	byte holder;		/* + 1; with seq one word */
	byte seq;
	byte begun;
	byte taken;
	byte owed
};

typedef box_t {
	byte head;		/* with kind one word */
	byte kind;
	byte ack;
	byte given_up;
	byte written;
	byte aborted;
	byte epoch;
	byte consumed;
	byte read;
	byte read_of;
	byte again;
	byte keeper;		/* + 1 */
};

turn_t turn[2];
box_t box[2];
byte content;			/* the chunk in the window, + 1; 0: being copied */
bool dead[ALL];
byte deaths, leaves;

/* What the checker knows besides, by the number of an item. */
#define ITEMS (WRITERS + 2)
byte told[WRITERS];		/* each writer, when it has ended */
byte item_of[WRITERS];		/* the number of what it published */
byte has[ITEMS];		/* readers who live and have it */
bool lost_with[ITEMS];		/* a reader died who had all of it */

#define MAY_DIE(me) \
	if \
	:: true \
	:: deaths < DEATHS -> d_step { deaths++; dead[me] = true }; goto died \
	fi

/* Nobody of a side lives, somebody died, and what they left is cleaned up. */
#if READERS == 1
#define READERS_DEAD dead[WRITERS]
#else
#define READERS_DEAD (dead[WRITERS] && dead[WRITERS + 1])
#endif
#if WRITERS == 1
#define WRITERS_DEAD dead[0]
#else
#define WRITERS_DEAD (dead[0] && dead[1])
#endif
#define LEFT(side) (turn[side].holder && dead[turn[side].holder - 1])

#ifdef TIMED
#define MAY_END true
#else
#define MAY_END false
#endif
#ifdef TIMED_REPLY
#define REPLY_MAY_END true
#else
#define REPLY_MAY_END false
#endif
#ifdef STREAMS
#define IS_SMALL(me) false
#else
#define IS_SMALL(me) (me != 0)
#endif
#define READER_MAY_LEAVE (leaves < LEAVES)

#define LOAD(to, from) to = from
#define CAS(ok, word, old, new) \
	d_step { if :: word == (old) -> word = new; ok = true :: else -> ok = false fi }

inline take_turn(me, side)
{
	atomic { !turn[side].holder -> turn[side].holder = me + 1; turn[side].seq++ };
	MAY_DIE(me);
	turn[side].owed = 0;
	MAY_DIE(me)
}

inline give_turn(me, side)
{
	d_step {
		assert(turn[side].holder == me + 1);
		turn[side].holder = 0;
		turn[side].seq++
	}
}

/* exchange_raise(). */
inline raise(me, word, value)
{
	LOAD(old, word);
	do
	:: old < (value) ->
		MAY_DIE(me);
		d_step {
			if
			:: word == old -> word = value; old = value
			:: else -> old = word
			fi
		}
	:: else -> break
	od;
	MAY_DIE(me)
}

proctype writer(byte me)
{
	byte number, epoch, at, read, result, old, aborted, keeper, rhead, reaten, mark;
	bool ok, waited;

	take_turn(me, CLIENTS);
	/* look_around() */
	LOAD(number, box[REQUESTS].head);
	MAY_DIE(me);
	LOAD(old, box[REQUESTS].consumed);
	assert(old == number || old + 1 == number);
	MAY_DIE(me);
	LOAD(reaten, box[REPLIES].consumed);
	MAY_DIE(me);

	/* exchange_wait_empty() */
	if
	:: box[REQUESTS].consumed == number
	:: MAY_END -> result = TIMEOUT; goto give
	:: READERS_DEAD && !LEFT(SERVERS) && box[REQUESTS].consumed != number ->
		result = PEER_DIED; goto give
	fi;
	MAY_DIE(me);
	number++;
#ifdef ASK
	if
	:: me == 0 ->
		/* exchange_begin_asking() */
		LOAD(rhead, box[REPLIES].head);
		MAY_DIE(me);
		if
		:: rhead != reaten ->
			reaten = rhead;
			box[REPLIES].consumed = rhead;
			MAY_DIE(me)
		:: else
		fi;
		turn[CLIENTS].owed = number;
		MAY_DIE(me)
	:: else
	fi;
#endif
	turn[CLIENTS].begun = number;
	MAY_DIE(me);
	if
	:: IS_SMALL(me) ->
		d_step { box[REQUESTS].head = number; box[REQUESTS].kind = SMALL;
			 item_of[me] = number };
		MAY_DIE(me);
		result = SUCCESS;
		goto give
	:: else
	fi;

	/* send_stream() */
	box[REQUESTS].written = 0;
	MAY_DIE(me);
	LOAD(epoch, box[REQUESTS].again);
	MAY_DIE(me);
	box[REQUESTS].epoch = epoch;
	MAY_DIE(me);
#ifdef ASK
	d_step { box[REQUESTS].head = number; box[REQUESTS].kind = STREAM + REQUEST;
		 item_of[me] = number };
#else
	d_step { box[REQUESTS].head = number; box[REQUESTS].kind = STREAM;
		 item_of[me] = number };
#endif
	MAY_DIE(me);
from_start:
	at = 0;
	do
	:: at < CHUNKS ->
		/* room() */
		do
		:: true ->
			result = NOTHING;
			if
			:: box[REQUESTS].again != epoch -> goto over
			:: else
			fi;
			if
			:: box[REQUESTS].consumed == number -> result = REMOVED; goto ended
			:: else
			fi;
			read = 0;
			if
			:: box[REQUESTS].read_of == number -> LOAD(read, box[REQUESTS].read)
			:: else
			fi;
			assert(read <= at);
			if
			:: at - read + 1 <= 1 -> break
			:: else
			fi;
			MAY_DIE(me);
			/* Sleeps until one of these has changed. */
			if
			:: box[REQUESTS].again != epoch
			:: box[REQUESTS].consumed == number
			:: box[REQUESTS].read_of == number && box[REQUESTS].read != read
			:: MAY_END -> result = TIMEOUT; goto ended
			:: READERS_DEAD && !LEFT(SERVERS) -> result = PEER_DIED; goto ended
			fi
		od;
		content = 0;
		MAY_DIE(me);
		content = at + 1;
		MAY_DIE(me);
		at++;
		box[REQUESTS].written = at;
		MAY_DIE(me)
	:: else -> break
	od;
	/* all_read() */
	if
	:: box[REQUESTS].again != epoch -> goto over
	:: box[REQUESTS].consumed == number -> result = SUCCESS
	:: MAY_END -> result = TIMEOUT
	:: READERS_DEAD && !LEFT(SERVERS) && box[REQUESTS].consumed != number ->
		result = PEER_DIED
	fi;
	MAY_DIE(me);
	goto ended;

over:
	MAY_DIE(me);
	if
	:: true
	:: MAY_END -> result = TIMEOUT; goto ended
	fi;
	LOAD(epoch, box[REQUESTS].again);
	MAY_DIE(me);
	box[REQUESTS].written = 0;
	MAY_DIE(me);
	box[REQUESTS].epoch = epoch;
	MAY_DIE(me);
	goto from_start;

ended:
	if
	:: result == SUCCESS -> goto published
	:: else
	fi;
	/* give_up() */
	waited = (result == TIMEOUT);
	raise(me, box[REQUESTS].aborted, MARK(number, 0));
	LOAD(aborted, box[REQUESTS].aborted);
	MAY_DIE(me);
	if
	:: aborted == MARK(number, READ) ->
		LOAD(keeper, box[REQUESTS].keeper);
		MAY_DIE(me);
		if
		:: waited && dead[keeper - 1] ->
			MAY_DIE(me);
#ifdef MUST_FAIL
			/* It may have taken the item before it died. */
			waited = false;
#endif
			waited = (waited && box[REQUESTS].consumed == number)
		:: else
		fi
	:: else
	fi;
	MAY_DIE(me);
	if
	:: waited -> CAS(ok, box[REQUESTS].aborted, MARK(number, READ), MARK(number, DONE))
	:: else -> CAS(ok, box[REQUESTS].aborted, MARK(number, READ), MARK(number, 0))
	fi;
	MAY_DIE(me);
	if
	:: ok && waited -> result = SUCCESS; goto published
	:: else
	fi;
	raise(me, box[REQUESTS].aborted, MARK(number, 0));
	goto give;

published:
#ifdef ASK
	/* reply_arrived() */
	do
	:: true ->
		LOAD(rhead, box[REPLIES].head);
		MAY_DIE(me);
		if
		:: rhead != reaten ->
			assert(rhead == reaten + 1);
			LOAD(old, box[REPLIES].ack);
			MAY_DIE(me);
			reaten = rhead;
			if
			:: old == number ->
				box[REPLIES].consumed = rhead;
				MAY_DIE(me);
				result = ANSWERED;
				goto give
			:: else ->
				box[REPLIES].consumed = rhead;
				MAY_DIE(me)
			fi
		:: else ->
			LOAD(mark, box[REPLIES].given_up);
			MAY_DIE(me);
			if
			:: NUMBER(mark) >= number ->
				/* The reply may have come before. */
				LOAD(rhead, box[REPLIES].head);
				MAY_DIE(me);
				if
				:: rhead == reaten ->
					result = ((mark & 1) -> PEER_DIED : CLOSED);
					goto unanswered
				:: else
				fi
			:: else ->
				/* Sleeps. */
				if
				:: box[REPLIES].head != reaten
				:: NUMBER(box[REPLIES].given_up) >= number
				:: REPLY_MAY_END -> result = TIMEOUT; goto unanswered
				:: READERS_DEAD && !LEFT(SERVERS) &&
				   box[REPLIES].head == reaten &&
				   NUMBER(box[REPLIES].given_up) < number ->
					result = PEER_DIED; goto unanswered
				fi
			fi
		fi
	od;
unanswered:
	raise(me, box[REQUESTS].given_up, MARK(number, 0));
#endif
give:
	give_turn(me, CLIENTS);
	told[me] = result;
	goto end;
died:
	skip;
end:
	skip
}

/* exchange_eat() */
inline eat(me, side, n)
{
	box[!side].consumed = n;
	eaten = n;
	MAY_DIE(me)
}

/* drop_aborted() */
inline drop_aborted(me, mark)
{
	if
	:: mark == MARK(number, DONE) && (kind & REQUEST) ->
		raise(me, box[REPLIES].given_up, MARK(number, DIED))
	:: else
	fi;
	eat(me, SERVERS, number)
}

proctype reader(byte me)
{
	byte number, eaten, rnumber, kind, aborted, epoch, at, old, mark, written;
	bool ok;

	do
	:: true ->
end_turn:
		take_turn(me, SERVERS);
		LOAD(rnumber, box[REPLIES].head);
		MAY_DIE(me);
		LOAD(old, box[REPLIES].consumed);
		assert(old == rnumber || old + 1 == rnumber);
		MAY_DIE(me);
		LOAD(eaten, box[REQUESTS].consumed);
		MAY_DIE(me);
arrive:
		/* exchange_arrive(), and the wait for it */
end_arrive:
		if
		:: atomic { box[REQUESTS].head != eaten ->
			    number = box[REQUESTS].head; kind = box[REQUESTS].kind }
		:: READER_MAY_LEAVE && box[REQUESTS].head == eaten -> leaves++; goto give
		:: WRITERS_DEAD && !LEFT(CLIENTS) && box[REQUESTS].head == eaten -> goto last
		fi;
		assert(number == eaten + 1);
		MAY_DIE(me);
		if
		:: kind & STREAM ->
			LOAD(aborted, box[REQUESTS].aborted);
			MAY_DIE(me);
			if
			:: GIVES_UP(aborted, number) ->
				drop_aborted(me, aborted);
				goto arrive
			:: else
			fi
		:: else
		fi;
		if
		:: kind & REQUEST ->
			LOAD(mark, box[REQUESTS].given_up);
			MAY_DIE(me);
			if
			:: NUMBER(mark) >= number ->
				eat(me, SERVERS, number);
				goto arrive
			:: else
			fi
		:: else
		fi;

		/* exchange_receive() */
		turn[SERVERS].taken = number;
		MAY_DIE(me);
		if
		:: kind & STREAM
		:: else -> goto consumed
		fi;
		/* begin_reading() */
		if
		:: box[REQUESTS].read_of != number ->
			MAY_DIE(me);
			box[REQUESTS].read = 0;
			MAY_DIE(me);
			box[REQUESTS].read_of = number;
			MAY_DIE(me)
		:: else ->
			MAY_DIE(me);
			CAS(ok, box[REQUESTS].aborted, MARK(number, READ), MARK(number - 1, 0));
			MAY_DIE(me);
			box[REQUESTS].read = 0;
			MAY_DIE(me);
			epoch = box[REQUESTS].again + 1;
			MAY_DIE(me);
			box[REQUESTS].again = epoch;
			MAY_DIE(me);
			/* started_over() */
			if
			:: box[REQUESTS].epoch == epoch
			:: GIVES_UP(box[REQUESTS].aborted, number) && box[REQUESTS].epoch != epoch ->
				goto left
			:: READER_MAY_LEAVE && box[REQUESTS].epoch != epoch ->
				leaves++;
				goto put_back
			fi;
			MAY_DIE(me)
		fi;
		at = 0;
		do
		:: at < CHUNKS ->
			/* more() */
			if
			:: box[REQUESTS].written != at ->
				LOAD(written, box[REQUESTS].written);
				assert(written > at && written <= CHUNKS && written - at <= 1)
			:: box[REQUESTS].written == at && GIVES_UP(box[REQUESTS].aborted, number) ->
				goto left
			:: READER_MAY_LEAVE && box[REQUESTS].written == at ->
				leaves++;
				goto put_back
			fi;
			MAY_DIE(me);
			assert(content == at + 1);
			MAY_DIE(me);
			assert(content == at + 1);
			at++;
			box[REQUESTS].read = at;
			MAY_DIE(me)
		:: else -> break
		od;
		/* keep() */
		LOAD(mark, box[REQUESTS].aborted);
		MAY_DIE(me);
		box[REQUESTS].keeper = me + 1;
		MAY_DIE(me);
		ok = false;
		do
		:: NUMBER(mark) < number ->
			d_step {
				if
				:: box[REQUESTS].aborted == mark ->
					box[REQUESTS].aborted = MARK(number, READ);
					ok = true
				:: else -> mark = box[REQUESTS].aborted
				fi
			};
			if
			:: ok -> break
			:: else -> MAY_DIE(me)
			fi
		:: else -> break
		od;
		if
		:: !ok && GIVES_UP(mark, number) -> goto left
		:: else
		fi;
		if
		:: true
		:: deaths < DEATHS ->
			d_step { deaths++; dead[me] = true; lost_with[number] = true };
			goto died
		fi;
consumed:
#ifdef ASK
		if
		:: kind & REQUEST ->
			turn[SERVERS].owed = number;
			if
			:: true
			:: deaths < DEATHS ->
				d_step { deaths++; dead[me] = true; lost_with[number] = true };
				goto died
			fi
		:: else
		fi;
#endif
		atomic { box[REQUESTS].consumed = number; eaten = number; has[number]++ };
		if
		:: true
		:: deaths < DEATHS ->
			d_step { deaths++; dead[me] = true; has[number]--;
				 lost_with[number] = true };
			goto died
		fi;
#ifdef ASK
		if
		:: !(kind & REQUEST) -> goto give
		:: else
		fi;
		/* ipm_exchange_reply(): exchange_reply_gone(), exchange_wait_empty() */
		if
		:: NUMBER(box[REQUESTS].given_up) >= number -> goto refuse
		:: box[REPLIES].consumed == rnumber
		:: WRITERS_DEAD && !LEFT(CLIENTS) -> goto refuse
		fi;
		MAY_DIE(me);
		rnumber++;
		turn[SERVERS].begun = rnumber;
		MAY_DIE(me);
		box[REPLIES].ack = number;
		MAY_DIE(me);
		box[REPLIES].head = rnumber;
		MAY_DIE(me);
		goto paid;
refuse:
		raise(me, box[REPLIES].given_up, MARK(number, 0));
paid:
		turn[SERVERS].owed = 0;
		MAY_DIE(me);
#endif
		goto give;

left:
		/* writer_left() */
		MAY_DIE(me);
		LOAD(aborted, box[REQUESTS].aborted);
		MAY_DIE(me);
		drop_aborted(me, aborted);
		goto give;
put_back:
		turn[SERVERS].taken = 0;
		MAY_DIE(me);
give:
		give_turn(me, SERVERS);
	od;
last:
	give_turn(me, SERVERS);
	goto end;
died:
	skip;
end:
	skip
}

/* exchange_recover(), for one side at a time. Never dies, but may sleep in between. */
proctype recoverer()
{
	byte side, holder, seq, begun, owed, head, kind, written, consumed, aborted, requests;
	byte old;
	bool ok;

end_idle:
	do
	:: atomic { LEFT(CLIENTS) -> side = CLIENTS; holder = turn[CLIENTS].holder;
		    seq = turn[CLIENTS].seq };
		goto turn_left
	:: atomic { LEFT(SERVERS) -> side = SERVERS; holder = turn[SERVERS].holder;
		    seq = turn[SERVERS].seq };
		goto turn_left
	od;
turn_left:
	LOAD(begun, turn[side].begun);
	LOAD(owed, turn[side].owed);
	d_step { head = box[side].head; kind = box[side].kind };
	LOAD(written, box[side].written);
	LOAD(consumed, box[side].consumed);
	LOAD(aborted, box[side].aborted);
	if
	:: side == CLIENTS -> requests = head
	:: else -> LOAD(requests, box[REQUESTS].consumed)
	fi;
	if
	:: turn[side].holder != holder || turn[side].seq != seq -> goto end_idle
	:: else
	fi;
	if
	:: begun == head + 1 -> CAS(ok, turn[side].begun, begun, 0)
	:: begun != head + 1 && (kind & STREAM) && side == CLIENTS && consumed != head ->
		/* abort_item(): it is larger than the window. */
		do
		:: NUMBER(aborted) < head || aborted == MARK(head, READ) ->
			d_step {
				if
				:: box[side].aborted == aborted ->
					box[side].aborted = MARK(head, DIED);
					aborted = MARK(head, DIED)
				:: else -> aborted = box[side].aborted
				fi
			}
		:: else -> break
		od
	:: else
	fi;
	if
	:: owed && owed <= requests ->
		LOAD(old, box[side].given_up);
		do
		:: old < MARK(owed, DIED) ->
			d_step {
				if
				:: box[side].given_up == old ->
					box[side].given_up = MARK(owed, DIED);
					old = MARK(owed, DIED)
				:: else -> old = box[side].given_up
				fi
			}
		:: else -> break
		od
	:: else
	fi;
	atomic {
		if
		:: turn[side].holder == holder && turn[side].seq == seq ->
			turn[side].holder = 0;
			turn[side].seq++
		:: else
		fi
	};
	goto end_idle
}

proctype judge()
{
	byte i;

	timeout;
	atomic {
		assert(!LEFT(CLIENTS) && !LEFT(SERVERS));
		i = 0;
		do
		:: i < WRITERS ->
			/* All who live have ended. */
			assert(dead[i] || told[i] != NOTHING);
			if
			:: dead[i] || !item_of[i] -> skip
			:: else ->
				assert(has[item_of[i]] <= 1);
				if
				:: told[i] == SUCCESS && !READERS_DEAD ->
					assert(has[item_of[i]] == 1 || lost_with[item_of[i]])
				:: told[i] == ANSWERED ->
					assert(has[item_of[i]] == 1 || lost_with[item_of[i]])
				:: else -> skip
				fi;
#ifndef ASK
				if
				:: told[i] != SUCCESS -> assert(has[item_of[i]] == 0)
				:: else -> skip
				fi;
#endif
#if !defined(TIMED) && !defined(TIMED_REPLY)
				/* Somebody lives who could serve, and nobody died. */
				assert(deaths || told[i] == SUCCESS || told[i] == ANSWERED)
#endif
			fi;
			i++
		:: else -> break
		od;
		/* A reader who lives leaves nothing in the box. */
		assert(READERS_DEAD || box[REQUESTS].head == box[REQUESTS].consumed);
	}
}

init
{
	byte i;

	d_step {
		turn[CLIENTS].seq = 0
	};
	atomic {
		i = 0;
		do
		:: i < WRITERS -> run writer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < READERS -> run reader(WRITERS + i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < RECOVERERS -> run recoverer(); i++
		:: else -> break
		od;
		run judge()
	}
}
