// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Channels in segments: the kernel says who one is, who is alive, and rings the
 * doorbell.
 */
#include <unistd.h>

#include <ipm/ipm_memory.h>

#include "channel.h"

static void ring_the_bell(void *param, uint64_t bits)
{
	/* Who cannot be rung for finds out by looking. */
	ipm_memory_ring_bell(param, bits, IPM_MEMORY_ALL_SLOTS);
}

static ipm_result check(const ipm_channel_attach_options *options, ipm_memory *memory,
			uint64_t offset, size_t *size)
{
	uint64_t all = ipm_memory_size(memory);

	if (!options || options->struct_size != sizeof(*options) || !memory || options->slot ||
	    options->generation || options->liveness.alive || options->bell || offset >= all)
		return IPM_RESULT_ERR_BAD_VALUE;
	if (!ipm_memory_pointer(memory))
		return IPM_RESULT_ERR_BAD_INIT;
	if (options->roles &&
	    ipm_memory_get_info(memory).memory_access_mode == IPM_ACCESS_MODE_READ_ONLY)
		return IPM_RESULT_ERR_BAD_ACCESS;
	if (!*size)
		*size = all - offset < SIZE_MAX ? (size_t)(all - offset) : SIZE_MAX;
	return *size <= all - offset ? IPM_RESULT_SUCCESS : IPM_RESULT_ERR_BAD_VALUE;
}

/* A ring that wants a doubled mapping gets one of its own. */
static ipm_result map_if_doubled(ipm_memory *memory, uint64_t offset, size_t size,
				 const void *there, ipm_channel_mapping *mapping)
{
	struct channel_geometry g;
	struct ring_geometry ring = { 0 };
	ipm_result result = channel_read_header(there, size, &g);

	if (!result)
		result = ring_read_header((const unsigned char *)there + g.ring_offset, g.ring_size,
					  &ring);
	if (result || !(ring.flags & IPM_RING_DOUBLED))
		return result;
	return ipm_channel_map(ipm_memory_fd(memory), offset, size, NULL,
			       IPM_ACCESS_MODE_READ_WRITE, mapping);
}

IPM_API ipm_result ipm_channel_attach_memory(const ipm_context *context,
					     const ipm_channel_attach_options *options,
					     ipm_memory *memory, uint64_t offset, size_t size,
					     ipm_channel **channel)
{
	ipm_channel_mapping mapping = { 0 };
	ipm_channel_attach_options o;
	ipm_result result;
	void *there;

	result = check(options, memory, offset, &size);
	if (result)
		return result;
	if (!channel || offset % IPM_RING_ALIGNMENT)
		return IPM_RESULT_ERR_BAD_VALUE;
	o = *options;
	/* Not as the caller thinks, but as it turns out below. */
	o.flags &= ~IPM_RING_DOUBLED;
	there = (unsigned char *)ipm_memory_pointer(memory) + offset;
	result = ipm_memory_liveness(memory, &o.liveness);
	if (!result && o.roles)
		result = ipm_memory_slot(memory, &o.slot, &o.generation);
	if (!result && o.roles)
		result = map_if_doubled(memory, offset, size, there, &mapping);
	if (result)
		return result;
	if (mapping.memory) {
		there = mapping.memory;
		size = mapping.size;
		o.flags |= IPM_RING_DOUBLED;
	}
	o.bell = ring_the_bell;
	o.bell_param = memory;
	result = ipm_channel_attach(context, &o, there, size, channel);
	if (result)
		ipm_channel_unmap(&mapping);
	else
		(*channel)->mapping = mapping;
	return result;
}
