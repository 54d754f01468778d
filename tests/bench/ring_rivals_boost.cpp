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

/* About 64 KiB each. */
template <size_t N> constexpr size_t slots = N >= 4096 ? 64 : 65536 / N;
template <size_t N>
using one = boost::lockfree::spsc_queue<message<N>,
					boost::lockfree::capacity<slots<N>>>;
template <size_t N>
using many = boost::lockfree::queue<message<N>,
				    boost::lockfree::capacity<(slots<N> > 4096 ? 4096 : slots<N>)>>;

template <template <size_t> class Q, size_t N> int make(void *memory, size_t bytes)
{
	/* Of fixed size; the benchmark's memory is several times as large. */
	(void)bytes;
	new (memory) Q<N>();
	return 0;
}

template <template <size_t> class Q> int create(void *memory, size_t bytes, size_t size)
{
	switch (size) {
	case 8:
		return make<Q, 8>(memory, bytes);
	case 64:
		return make<Q, 64>(memory, bytes);
	case 256:
		return make<Q, 256>(memory, bytes);
	}
	return make<Q, 4096>(memory, bytes);
}

void *open_queue(void *memory, size_t, size_t, unsigned int)
{
	void **handle = static_cast<void **>(std::malloc(sizeof(*handle)));

	*handle = memory;
	return handle;
}

template <template <size_t> class Q, size_t N>
BENCH_INLINE int push(void **queue, const void *m)
{
	return static_cast<Q<N> *>(*queue)->push(*static_cast<const message<N> *>(m)) ? 0 : -1;
}

template <template <size_t> class Q, size_t N> BENCH_INLINE int pop(void **queue, void *m)
{
	return static_cast<Q<N> *>(*queue)->pop(*static_cast<message<N> *>(m)) ? 0 : -1;
}

#define PAIR(name, queue) \
BENCH_INLINE int name##_push(void **q, const void *m, size_t size) \
{ \
	return size == 8 ? push<queue, 8>(q, m) : size == 64 ? push<queue, 64>(q, m) : \
	       size == 256 ? push<queue, 256>(q, m) : push<queue, 4096>(q, m); \
} \
BENCH_INLINE int name##_pop(void **q, void *m, size_t size) \
{ \
	return size == 8 ? pop<queue, 8>(q, m) : size == 64 ? pop<queue, 64>(q, m) : \
	       size == 256 ? pop<queue, 256>(q, m) : pop<queue, 4096>(q, m); \
} \
BENCH_LOOPS(name, void *, name##_push, name##_pop)

PAIR(boost_one, one)
PAIR(boost_many, many)

} /* namespace */

static const bench_transport rivals[] = {
	{ "Boost", BENCH_SPSC, create<one>, open_queue, std::free, boost_one_send,
	  boost_one_receive, boost_one_try_send, boost_one_try_receive },
	{ "Boost", BENCH_MPMC, create<many>, open_queue, std::free, boost_many_send,
	  boost_many_receive, boost_many_try_send, boost_many_try_receive },
	{},
};
#else
static const bench_transport rivals[1] = {};
#endif

extern "C" const bench_transport *const bench_rivals_boost = rivals;
