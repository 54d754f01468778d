// SPDX-License-Identifier: GPL-2.0
/*
 * Producers and consumers of rings of each kind, killed at random, with the kernel's
 * word on who is alive.
 *
 * vm: TIMEOUT=600
 */
#include "module_participants.h"

#define main ring_stress_main
#include "../stress/ring_stress.c"
#undef main

int main(void)
{
	const char *messages = getenv("IPM_MESSAGES");
	char *argv[] = { (char *)"ring_stress", (char *)"kills",
			 (char *)(messages ? messages : "3000"), NULL };

	return ring_stress_main(3, argv);
}
