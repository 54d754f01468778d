// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mappings for channels: plain, or with the data area of the ring twice in a row.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"

static uint32_t access_flags(int prot)
{
	return prot & PROT_WRITE ? 0 : IPM_RING_READ_ONLY;
}

static ipm_result map(int fd, uint64_t offset, size_t size, int prot, void **memory)
{
	int saved = errno;
	ipm_result result = IPM_RESULT_SUCCESS;

	*memory = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);
	if (*memory == MAP_FAILED)
		result = ring_map_result();
	errno = saved;
	return result;
}

/* The shape of the ring in memory that holds a channel, or will; all @size bytes are there. */
static ipm_result ring_shape(const void *memory, size_t size, const ipm_channel_options *options,
			     struct channel_geometry *g, struct ring_geometry *ring)
{
	ipm_result result = options ? channel_make_geometry(options, size, g) :
				      channel_read_header(memory, size, g);

	if (result)
		return result;
	if (options)
		return ring_make_geometry(&options->ring, g->ring_size, ring);
	return ring_read_header((const unsigned char *)memory + g->ring_offset, g->ring_size, ring);
}

/* The same once more, with the copy behind. */
static ipm_result map_doubled(int fd, uint64_t offset, int prot, const struct channel_geometry *g,
			      const struct ring_geometry *ring, ipm_channel_mapping *mapping)
{
	size_t size = g->ring_offset + ring->size;
	ipm_result result;
	void *memory;

	result = ring_map_doubled(fd, offset, prot, size, ring->data_size, &memory);
	if (!result)
		*mapping = (ipm_channel_mapping){ memory, size, 2 * size,
						  IPM_RING_DOUBLED | access_flags(prot) };
	return result;
}

IPM_API ipm_result ipm_channel_map(int fd, uint64_t offset, size_t size,
				   const ipm_channel_options *options, ipm_access_mode mode,
				   ipm_channel_mapping *mapping)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int prot = mode == IPM_ACCESS_MODE_READ_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
	struct channel_geometry g;
	struct ring_geometry ring;
	ipm_result result;
	size_t room;
	void *memory;

	if (!mapping || !size || offset % page || offset > INT64_MAX ||
	    (mode != IPM_ACCESS_MODE_READ_WRITE && mode != IPM_ACCESS_MODE_READ_ONLY))
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ring_map_room(fd, offset, size, &room);
	if (!result && size > room) {
		/* What is there already may be smaller; what is behind the end cannot be touched. */
		if (options || !room)
			result = IPM_RESULT_ERR_TOO_SMALL;
		size = room;
	}
	if (!result)
		result = map(fd, offset, size, prot, &memory);
	if (result)
		return result;
	result = ring_shape(memory, size, options, &g, &ring);
	if (!result && !(ring.flags & IPM_RING_DOUBLED)) {
		*mapping = (ipm_channel_mapping){ memory, size, size, access_flags(prot) };
		return IPM_RESULT_SUCCESS;
	}
	munmap(memory, size);
	return result ? result : map_doubled(fd, offset, prot, &g, &ring, mapping);
}

IPM_API void ipm_channel_unmap(ipm_channel_mapping *mapping)
{
	if (!mapping || !mapping->memory)
		return;
	munmap(mapping->memory, mapping->mapped);
	memset(mapping, 0, sizeof(*mapping));
}
