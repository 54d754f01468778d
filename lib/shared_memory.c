// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * SharedMemory objects: handles with the parameters that those have.
 */
#include "memory.h"

#include <ipm/ipm_sysv.h>

ipm_result ipm_shared_memory_create(const ipm_context *context, ipm_memory_ref ref, size_t size,
				    unsigned int perms, bool is_volatile,
				    ipm_shared_memory **p_memory)
{
	ipm_memory_create_options o = {
		.struct_size = sizeof(o),
		.ref = ref,
		.size = size,
		.access = IPM_ACCESS_MODE_READ_WRITE,
		.flags = IPM_MEMORY_EXCLUSIVE | (is_volatile ? 0 : IPM_MEMORY_PERSISTENT),
	};

	/* IPC_PRIVATE is a key to those who come from there. */
	if (ref.by == IPM_MEMORY_BY_KEY && ref.key == 0)
		o.ref = ipm_ref_private();
	/* There is no execute permission; what is no permission at all is refused. */
	o.mode = perms & ~0111U;
	return ipm_memory_create_ex(context, &o, p_memory);
}

ipm_result ipm_shared_memory_open(const ipm_context *context, ipm_memory_ref ref, bool readonly,
				  ipm_shared_memory **p_memory)
{
	ipm_memory_open_options o = {
		.struct_size = sizeof(o),
		.ref = ref,
		.access = readonly ? IPM_ACCESS_MODE_READ_ONLY : IPM_ACCESS_MODE_READ_WRITE,
	};

	return ipm_memory_open_ex(context, &o, p_memory);
}
