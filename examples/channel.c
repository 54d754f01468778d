// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A child sends words through a channel in a segment, the parent waits for each. The
 * channel says when there are no more: the child closes it.
 * Build: cc channel.c $(pkg-config --cflags --libs libipm)
 */
#include <ipm/ipm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 65536

static void check(ipm_result result, const char *what)
{
	if (result != IPM_RESULT_SUCCESS) {
		fprintf(stderr, "%s: %s\n", what, ipm_result_to_msg(result));
		exit(1);
	}
}

static ipm_channel *attach(ipm_memory *memory, uint32_t role)
{
	ipm_channel_attach_options options = { .struct_size = sizeof(options), .roles = role };
	ipm_channel *channel;

	check(ipm_channel_attach_memory(NULL, &options, memory, 0, SIZE, &channel), "attach");
	return channel;
}

static void child(ipm_memory *parents)
{
	static const char *const words[] = { "no", "call", "enters", "the", "kernel" };
	ipm_channel *channel;
	ipm_memory *memory;
	size_t i;

	/* Each side has a handle, and so a slot, of its own: that is how deaths are noticed. */
	check(ipm_memory_derive(parents, IPM_ACCESS_MODE_READ_WRITE, &memory), "derive");
	ipm_memory_clean(parents);
	channel = attach(memory, IPM_RING_PRODUCER);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		check(ipm_channel_write(channel, words[i], strlen(words[i]) + 1), "write");
	check(ipm_channel_close(channel), "close");
	ipm_channel_detach(channel);
	ipm_memory_close(memory);
	exit(0);
}

int main(void)
{
	ipm_channel_options options = {
		.struct_size = sizeof(options),
		.ring = { .struct_size = sizeof(options.ring), .kind = IPM_RING_KIND_SPSC },
	};
	ipm_memory_create_options create = {
		.struct_size = sizeof(create),
		.ref = ipm_ref_private(),
		.size = SIZE,
		.access = IPM_ACCESS_MODE_READ_WRITE,
	};
	ipm_channel *channel;
	ipm_memory *memory;
	ipm_result result;
	char word[64];
	size_t size;

	check(ipm_memory_create_ex(NULL, &create, &memory), "create");
	check(ipm_channel_create(&options, ipm_memory_pointer(memory), SIZE), "format");
	channel = attach(memory, IPM_RING_CONSUMER);
	if (fork() == 0)
		child(memory);
	/* Waits for the next word; had the child died, PEER_DIED would come here. */
	while (!(result = ipm_channel_read(channel, word, sizeof(word), &size, NULL)))
		printf("%s\n", word);
	if (result != IPM_RESULT_ERR_CLOSED)
		check(result, "read");
	ipm_channel_detach(channel);
	ipm_memory_close(memory);
	wait(NULL);
	return 0;
}
