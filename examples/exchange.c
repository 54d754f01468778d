// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server counts the words of texts that clients send, one after the other. The first
 * server is killed while it has a request: its client is told, and asks the next one.
 * Build: cc exchange.c $(pkg-config --cflags --libs libipm)
 */
#include <ipm/ipm.h>
#include <ctype.h>
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

static ipm_exchange *attach(ipm_memory *memory, uint32_t roles)
{
	ipm_exchange_attach_options o = { .struct_size = sizeof(o), .roles = roles };
	ipm_exchange *exchange;

	check(ipm_exchange_attach_memory(NULL, &o, memory, 0, 0, &exchange), "attach");
	return exchange;
}

static void serve(int dies)
{
	ipm_exchange_item text;
	ipm_exchange *exchange;
	ipm_memory *memory;
	size_t words = 0, i;

	check(ipm_memory_open(NULL, "words", IPM_ACCESS_MODE_READ_WRITE, &memory), "open");
	exchange = attach(memory, IPM_EXCHANGE_CONSUMER);
	/* The text is read where it lies; nobody can publish another before finish. */
	check(ipm_exchange_peek(exchange, IPM_DEADLINE_NONE, &text), "peek");
	for (i = 0; i < text.size; i++)
		words += !isspace(((char *)text.data)[i]) &&
			 (i + 1 == text.size || isspace(((char *)text.data)[i + 1]));
	check(ipm_exchange_finish(exchange, &text), "finish");
	if (dies)
		raise(SIGKILL);
	check(ipm_exchange_reply(exchange, &words, sizeof(words), IPM_DEADLINE_NONE), "reply");
	ipm_exchange_detach(exchange);
	ipm_memory_close(memory);
	exit(0);
}

int main(void)
{
	static const char text[] = "one item at a time, and every one of them whole";
	ipm_exchange_options shape = { .struct_size = sizeof(shape), .window = 65536 };
	ipm_exchange *exchange;
	ipm_memory *memory;
	size_t words, size;
	ipm_result result;
	int i;

	check(ipm_exchange_footprint(&shape, &size), "footprint");
	check(ipm_memory_create(NULL, size, "words", IPM_ACCESS_MODE_READ_WRITE, &memory), "create");
	check(ipm_exchange_create(&shape, ipm_memory_pointer(memory), size), "format");
	exchange = attach(memory, IPM_EXCHANGE_PUBLISHER);
	for (i = 0; i < 2; i++) {
		/* What is still in stdout's buffer, the child would print once more. */
		fflush(stdout);
		if (fork() == 0)
			serve(i == 0);
		/* The dead one counts until another has come: ask again until then. */
		do
			result = ipm_exchange_request(exchange, text, strlen(text), &words,
						      sizeof(words), &size, IPM_DEADLINE_NONE);
		while (i == 1 && result == IPM_RESULT_ERR_PEER_DIED);
		if (result == IPM_RESULT_SUCCESS)
			printf("%zu words\n", words);
		else
			printf("no reply: %s\n", ipm_result_to_msg(result));
		if (i == 0)
			wait(NULL);
	}
	if (result == IPM_RESULT_SUCCESS)
		wait(NULL);
	ipm_exchange_detach(exchange);
	ipm_memory_close(memory);
	return result == IPM_RESULT_SUCCESS && words == 11 ? 0 : 1;
}
