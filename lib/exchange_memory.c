// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Exchanges in segments: the kernel says who one is, who is alive, and rings the
 * doorbell.
 */
#include <ipm/ipm_memory.h>

#include "exchange.h"

static void ring_the_bell(void *param, uint64_t bits)
{
	/* Who cannot be rung for finds out by looking. */
	ipm_memory_ring_bell(param, bits, IPM_MEMORY_ALL_SLOTS);
}

IPM_API ipm_result ipm_exchange_attach_memory(const ipm_context *context,
					      const ipm_exchange_attach_options *options,
					      ipm_memory *memory, uint64_t offset, size_t size,
					      ipm_exchange **exchange)
{
	ipm_exchange_attach_options o;
	uint64_t all = ipm_memory_size(memory);
	ipm_result result;

	if (!options || options->struct_size != sizeof(*options) || !memory || !exchange ||
	    options->slot || options->generation || options->liveness.alive || options->bell ||
	    offset >= all || offset % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ipm_memory_pointer(memory))
		return IPM_RESULT_ERR_BAD_INIT;
	if (options->roles &&
	    ipm_memory_get_info(memory).memory_access_mode == IPM_ACCESS_MODE_READ_ONLY)
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (!size)
		size = all - offset < SIZE_MAX ? (size_t)(all - offset) : SIZE_MAX;
	if (size > all - offset)
		return IPM_RESULT_ERR_BAD_VALUE;
	o = *options;
	result = ipm_memory_liveness(memory, &o.liveness);
	if (!result && o.roles)
		result = ipm_memory_slot(memory, &o.slot, &o.generation);
	if (result)
		return result;
	o.bell = ring_the_bell;
	o.bell_param = memory;
	return ipm_exchange_attach(context, &o, (unsigned char *)ipm_memory_pointer(memory) + offset,
				   size, exchange);
}
