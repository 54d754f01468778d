// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Two processes share a note. One is killed while it writes: nobody hangs, and
 * the other is told. Build: cc hello.c $(pkg-config --cflags --libs libipm)
 */
#include <ipm/ipm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void check(ipm_result result, const char *what)
{
	if (result != IPM_RESULT_SUCCESS) {
		fprintf(stderr, "%s: %s\n", what, ipm_result_to_msg(result));
		exit(1);
	}
}

static void child(void)
{
	ipm_memory *memory;
	ipm_id claim;

	check(ipm_memory_open(NULL, "note", IPM_ACCESS_MODE_READ_WRITE, &memory), "open");
	/* Nobody else reads or writes these 32 bytes until they are released. */
	check(ipm_memory_claim_region(memory, IPM_ACCESS_MODE_READ_WRITE, 0, 32, &claim), "claim");
	strcpy(ipm_memory_pointer(memory), "half a no");
	raise(SIGKILL);
}

int main(void)
{
	ipm_memory *memory;
	ipm_result result;
	char note[32];
	/* 4096 bytes under a name, gone with their last user, whatever happens. */
	check(ipm_memory_create(NULL, 4096, "note", IPM_ACCESS_MODE_READ_WRITE, &memory), "create");
	if (fork() == 0) {
		ipm_memory_clean(memory);	/* the parent's handle */
		child();
	}
	wait(NULL);

	/* Reads 32 bytes as one value. The child's claim died with the child. */
	result = ipm_memory_read(memory, 0, note, sizeof(note));
	printf("found \"%s\": %s\n", note, ipm_result_to_msg(result));
	if (result != IPM_RESULT_ERR_IN_DOUBT)
		return 1;

	/* Written as a whole, it is good again. */
	check(ipm_memory_write(memory, 0, "a whole note", sizeof("a whole note")), "write");
	check(ipm_memory_read(memory, 0, note, sizeof("a whole note")), "read");
	printf("now   \"%s\"\n", note);
	ipm_memory_close(memory);
	return 0;
}
