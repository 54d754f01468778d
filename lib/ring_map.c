// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mappings for rings: plain, or with the data area twice in a row, so that a
 * record that crosses the end of the ring is in one piece.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ring.h"

/* What errno says about a mapping that failed. */
ipm_result ring_map_result(void)
{
	switch (errno) {
	case EBADF:
		return IPM_RESULT_ERR_INVALID_FD;
	case EACCES:
	case EPERM:
		return IPM_RESULT_ERR_ACCESS;
	case ENOMEM:
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	case EOVERFLOW:
	case EINVAL:
		return IPM_RESULT_ERR_BAD_VALUE;
	case ENODEV:
		return IPM_RESULT_ERR_BAD_FS;
	}
	return IPM_RESULT_ERR_OS_UNEXPECTED;
}

/*
 * How many of @size bytes from @offset on are there: memory behind the end of a file
 * can be mapped, but not touched. What is no ordinary file knows no end.
 */
ipm_result ring_map_room(int fd, uint64_t offset, size_t size, size_t *room)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end;
	struct stat file;

	*room = size;
	if (fstat(fd, &file))
		return ring_map_result();
	if (!S_ISREG(file.st_mode))
		return IPM_RESULT_SUCCESS;
	/* All of the last page is there. */
	end = ((uint64_t)file.st_size + page - 1) / page * page;
	if (offset >= end)
		*room = 0;
	else if (size > end - offset)
		*room = (size_t)(end - offset);
	return IPM_RESULT_SUCCESS;
}

/*
 * Maps @size bytes, the last @data_size of which are the data of a ring, with the
 * data once more behind them: 2 * @size bytes of address space. Their rest is
 * filled with the first bytes once more: should a peer change the shape between
 * this call and the one that attaches, whatever fits into @size bytes ends, with
 * its copy, inside of the mapping.
 */
ipm_result ring_map_doubled(int fd, uint64_t offset, int prot, size_t size,
			    size_t data_size, void **memory)
{
	const struct {
		size_t at, length;
		uint64_t from;
	} parts[] = {
		{ 0, size, offset },
		{ size, data_size, offset + size - data_size },
		{ size + data_size, size - data_size, offset },
	};
	ipm_result result = IPM_RESULT_SUCCESS;
	int saved = errno;
	unsigned char *all;
	size_t i;

	/* One piece of address space first, so that the copies are neighbours
	 * and nothing else can come between. */
	if (size > SIZE_MAX / 2)
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	all = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   /* cppcheck-suppress invalidFunctionArg ; right without a file */
		   -1, 0);
	if (all == MAP_FAILED)
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]) && !result; i++)
		if (mmap(all + parts[i].at, parts[i].length, prot, MAP_SHARED | MAP_FIXED, fd,
			 (off_t)parts[i].from) == MAP_FAILED)
			result = ring_map_result();
	if (result)
		munmap(all, 2 * size);
	else
		*memory = all;
	errno = saved;
	return result;
}

/* The shape that an existing ring in @size bytes, all of them there, says it has. */
static ipm_result peek_geometry(int fd, uint64_t offset, size_t size,
				struct ring_geometry *g)
{
	size_t length = (size_t)sysconf(_SC_PAGESIZE);
	ipm_result result;
	void *header;

	if (length < sizeof(struct ring_header))
		length *= 2;
	if (size < length)
		length = size;
	if (length < sizeof(struct ring_header))
		return IPM_RESULT_ERR_TOO_SMALL;
	header = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	if (header == MAP_FAILED)
		return ring_map_result();
	result = ring_read_header(header, length, g);
	/* Only the header is mapped yet; the ring itself may be larger. */
	if (result == IPM_RESULT_ERR_TOO_SMALL)
		result = ring_read_header(header, size, g);
	munmap(header, length);
	return result;
}

IPM_API ipm_result ipm_ring_map(int fd, uint64_t offset, size_t size,
				const ipm_ring_options *options,
				ipm_access_mode mode, ipm_ring_mapping *mapping)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int prot = mode == IPM_ACCESS_MODE_READ_WRITE ? PROT_READ | PROT_WRITE :
							PROT_READ;
	uint32_t flags = mode == IPM_ACCESS_MODE_READ_ONLY ? IPM_RING_READ_ONLY : 0;
	struct ring_geometry g;
	ipm_result result;
	size_t room;
	void *memory;

	if (!mapping || !size || offset % page || offset > INT64_MAX ||
	    (mode != IPM_ACCESS_MODE_READ_WRITE && mode != IPM_ACCESS_MODE_READ_ONLY))
		return IPM_RESULT_ERR_BAD_VALUE;
	result = ring_map_room(fd, offset, size, &room);
	if (!result)
		result = options ? ring_make_geometry(options, size, &g) :
				   peek_geometry(fd, offset, room, &g);
	if (result)
		return result;
	if (g.size > room)
		return IPM_RESULT_ERR_TOO_SMALL;
	if (g.flags & IPM_RING_DOUBLED) {
		result = ring_map_doubled(fd, offset, prot, g.size, g.data_size, &memory);
		if (result)
			return result;
		mapping->memory = memory;
		mapping->size = g.size;
		mapping->mapped = 2 * g.size;
		mapping->flags = flags | IPM_RING_DOUBLED;
		return IPM_RESULT_SUCCESS;
	}
	/* A peer may say now that it is larger; what is behind the end cannot be touched. */
	if (!options && size > room)
		size = room;
	memory = mmap(NULL, size, prot, MAP_SHARED, fd, (off_t)offset);
	if (memory == MAP_FAILED)
		return ring_map_result();
	mapping->memory = memory;
	mapping->size = size;
	mapping->mapped = size;
	mapping->flags = flags;
	return IPM_RESULT_SUCCESS;
}

IPM_API void ipm_ring_unmap(ipm_ring_mapping *mapping)
{
	if (!mapping || !mapping->memory)
		return;
	munmap(mapping->memory, mapping->mapped);
	memset(mapping, 0, sizeof(*mapping));
}
