// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that lies to the memory API, for libFuzzer with AddressSanitizer: what
 * tests/unit/memory_lies.c does at random is chosen by the input here, so that lies
 * are found that lead to lines that no others lead to.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "tamper.h"

#define MEMORY_FUZZ

static _Bool has_choices(void)
{
	return fuzz.size;
}

/* Small choices look at the first bits, so they are those of the input. */
static uint64_t random_next(void)
{
	uint64_t first = next_byte(), second = next_byte();

	return first << 56 | second << 48 | next_random() >> 16;
}

#include "../unit/fake_kernel.c"
#undef RW
#undef RO
#define setup lies_setup
#include "../unit/memory_lies.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz.data = data;
	fuzz.size = size;
	fuzz.state = next_word() | (uint64_t)1 << 40;
	run();
	if (tap.failing)
		abort();
	return 0;
}
