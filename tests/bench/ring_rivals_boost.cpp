// SPDX-License-Identifier: GPL-2.0
/*
 * Rivals in C++: the queues of Boost.Lockfree, of fixed size and in place, so
 * that they work in shared memory.
 */
#include <array>
#include <cstdlib>
#include <new>

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#define HAVE_BOOST 1
#endif

#include "ring_bench.h"

#ifdef HAVE_BOOST
namespace {

template <size_t N> struct message {
	unsigned char bytes[N];
};

/* Of @B bytes; messages of a queue are nodes with a pointer, on cache lines of their own. */
template <size_t N, size_t B>
using one = boost::lockfree::spsc_queue<message<N>, boost::lockfree::capacity<B / N>>;
template <size_t N, size_t B>
using many = boost::lockfree::queue<message<N>,
				    boost::lockfree::capacity<B / ((N + 8 + 63) / 64 * 64)>>;

template <template <size_t, size_t> class Q, size_t N, size_t B> int make(void *memory)
{
	static_assert(sizeof(Q<N, B>) <= BENCH_MEMORY(B), "larger than its memory");
	new (memory) Q<N, B>();
	return 0;
}

template <template <size_t, size_t> class Q, size_t B>
int create(void *memory, size_t bytes, size_t size)
{
	if (bytes != B)
		return -1;
	switch (size) {
	case 8:
		return make<Q, 8, B>(memory);
	case 64:
		return make<Q, 64, B>(memory);
	case 256:
		return make<Q, 256, B>(memory);
	}
	return make<Q, 4096, B>(memory);
}

void *open_queue(void *memory, size_t, size_t, unsigned int)
{
	void **handle = static_cast<void **>(std::malloc(sizeof(*handle)));

	*handle = memory;
	return handle;
}

template <class Q, size_t N> BENCH_INLINE int push(void **queue, const void *m)
{
	return static_cast<Q *>(*queue)->push(*static_cast<const message<N> *>(m)) ? 0 : -1;
}

template <class Q, size_t N> BENCH_INLINE int pop(void **queue, void *m)
{
	return static_cast<Q *>(*queue)->pop(*static_cast<message<N> *>(m)) ? 0 : -1;
}

#define PAIR(name, queue, B) \
BENCH_INLINE int name##_push(void **q, const void *m, size_t size) \
{ \
	return size == 8 ? push<queue<8, B>, 8>(q, m) : \
	       size == 64 ? push<queue<64, B>, 64>(q, m) : \
	       size == 256 ? push<queue<256, B>, 256>(q, m) : \
			     push<queue<4096, B>, 4096>(q, m); \
} \
BENCH_INLINE int name##_pop(void **q, void *m, size_t size) \
{ \
	return size == 8 ? pop<queue<8, B>, 8>(q, m) : \
	       size == 64 ? pop<queue<64, B>, 64>(q, m) : \
	       size == 256 ? pop<queue<256, B>, 256>(q, m) : \
			     pop<queue<4096, B>, 4096>(q, m); \
} \
BENCH_LOOPS(name, void *, name##_push, name##_pop)

PAIR(one_32, one, 32768)
PAIR(one_64, one, 65536)
PAIR(one_256, one, 262144)
PAIR(many_32, many, 32768)
PAIR(many_64, many, 65536)
PAIR(many_256, many, 262144)

} /* namespace */

#define RIVAL(kind, queue, kib) \
	{ "Boost", kind, create<queue, kib * 1024>, open_queue, std::free, queue##_##kib##_send, \
	  queue##_##kib##_receive, queue##_##kib##_try_send, queue##_##kib##_try_receive }

static const bench_transport rivals[] = {
	RIVAL(BENCH_SPSC, one, 32),
	RIVAL(BENCH_SPSC, one, 64),
	RIVAL(BENCH_SPSC, one, 256),
	RIVAL(BENCH_MPMC, many, 32),
	RIVAL(BENCH_MPMC, many, 64),
	RIVAL(BENCH_MPMC, many, 256),
	{},
};
#else
static const bench_transport rivals[1] = {};
#endif

extern "C" const bench_transport *const bench_rivals_boost = rivals;
