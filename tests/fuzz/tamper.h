/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers of shared memory have in common: the input as a stream of choices,
 * and the hostile peer, who may change a word, or another one, just before the library
 * loads it, or after it was loaded and before it is swapped or added to: so that what
 * the library prepared is overtaken.
 */
#ifndef FUZZ_TAMPER_H
#define FUZZ_TAMPER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static struct {
	const uint8_t *data;
	size_t size;
	unsigned char *memory;
	size_t memory_size;
	size_t control_size;	/* all but the payload */
	unsigned int rate;	/* one load in that many is tampered with; 0: none */
	uint64_t state;
	void (*between)(void);	/* called before each step, if there is one */
} fuzz;

static uint8_t next_byte(void)
{
	if (!fuzz.size)
		return 0;
	fuzz.size--;
	return *fuzz.data++;
}

static uint32_t next_word(void)
{
	uint32_t value = next_byte();

	value = value << 8 | next_byte();
	value = value << 8 | next_byte();
	return value << 8 | next_byte();
}

/* For the many small choices inside of calls; seeded by the input. */
static uint64_t next_random(void)
{
	fuzz.state ^= fuzz.state << 13;
	fuzz.state ^= fuzz.state >> 7;
	fuzz.state ^= fuzz.state << 17;
	return fuzz.state;
}

/* What is worth writing into a word that held @old. */
static uint64_t tampered(uint64_t old)
{
	static const uint64_t values[] = {
		0, 1, 7, 8, 64, UINT64_MAX, INT64_MAX, (uint64_t)1 << 63,
		0x80000000, 0xffffffff, (uint64_t)1 << 62, 0x9fffffff,
	};
	uint64_t choice = next_random();

	switch (choice % 8) {
	case 0:
		return values[(choice >> 8) % (sizeof(values) / sizeof(values[0]))];
	case 1:
		return next_random();
	case 2:
		return old + 8 * ((choice >> 8) % 64);
	case 3:
		return old - 8 * ((choice >> 8) % 64);
	case 4:
		return old ^ (uint64_t)0xff << (choice >> 8) % 57;
	case 5:
		return (old & ~(uint64_t)7 << 61) | (choice >> 8 & 7) << 61;
	default:
		return old ^ (uint64_t)1 << (choice >> 8) % 64;
	}
}

static void change_word(unsigned char *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	value = tampered(value);
	memcpy(at, &value, size);
}

void fuzz_tamper(void *word, size_t size);

void fuzz_tamper(void *word, size_t size)
{
	unsigned char *at = word;
	uint64_t words = fuzz.control_size / sizeof(uint64_t), choice;

	/* Some fuzz other things, with the same library. */
	if (!fuzz.memory || at < fuzz.memory || at >= fuzz.memory + fuzz.memory_size)
		return;
	if (fuzz.between)
		fuzz.between();
	if (!fuzz.rate || next_random() % fuzz.rate)
		return;
	choice = next_random();
	if (choice % 4 == 0 && words)
		change_word(fuzz.memory + (choice >> 8) % words * sizeof(uint64_t),
			    sizeof(uint64_t));
	else
		change_word(at, size);
}

#define FUZZ_BEFORE(pointer) fuzz_tamper((void *)(uintptr_t)(pointer), sizeof(*(pointer)))

#define FUZZ_LOAD(pointer, order) \
	(FUZZ_BEFORE(pointer), \
	 __extension__ ({ __typeof__(*(pointer) + 0) value_; \
			  __atomic_load((__typeof__(value_) *)(uintptr_t)(pointer), \
					&value_, (order)); value_; }))

/* A macro is not replaced inside of itself: these end in the compiler's own. */
#define __atomic_store_n(pointer, value, order) \
	(FUZZ_BEFORE(pointer), __atomic_store_n(pointer, value, order))
#define __atomic_compare_exchange_n(pointer, expected, wanted, weak, good, bad) \
	(FUZZ_BEFORE(pointer), \
	 __atomic_compare_exchange_n(pointer, expected, wanted, weak, good, bad))
#define __atomic_fetch_add(pointer, value, order) \
	(FUZZ_BEFORE(pointer), __atomic_fetch_add(pointer, value, order))
#define __atomic_add_fetch(pointer, value, order) \
	(FUZZ_BEFORE(pointer), __atomic_add_fetch(pointer, value, order))
#define __atomic_fetch_and(pointer, value, order) \
	(FUZZ_BEFORE(pointer), __atomic_fetch_and(pointer, value, order))
#define __atomic_fetch_or(pointer, value, order) \
	(FUZZ_BEFORE(pointer), __atomic_fetch_or(pointer, value, order))

#endif /* FUZZ_TAMPER_H */
