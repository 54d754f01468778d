// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /dev/ipm: opening it, asking about the module, and how a segment is named to
 * it. Nothing is kept open between calls, so libipm has no state that a fork or
 * a change of namespace could make wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

#define DEVICE "/dev/ipm"

_Static_assert(IPM_MAX_NAME_LEN == IPM_NAME_SIZE, "names are as long as the kernel's");

static ipm_result device_open(const ipm_context *ctx, int access, int *fd)
{
	int ret = ipm_sys_open(DEVICE, access | O_CLOEXEC);

	if (ret >= 0) {
		*fd = ret;
		return IPM_RESULT_SUCCESS;
	}
	switch (-ret) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
	case ENOTDIR:
		return ipm_fail(ctx, IPM_RESULT_ERR_NO_DEVICE, "cannot open " DEVICE);
	case EACCES:
	case EPERM:
		return ipm_fail_errno(ctx, IPM_RESULT_ERR_ACCESS, -ret, "cannot open " DEVICE
				      ", see its owner and mode with \"ls -l " DEVICE
				      "\" or ask the administrator");
	default:
		return ipm_fail_errno(ctx, ipm_result_of_errno(-ret), -ret, "cannot open " DEVICE);
	}
}

ipm_result ipm_device_open(const ipm_context *ctx, int *fd)
{
	return device_open(ctx, O_RDONLY, fd);
}

ipm_result ipm_device_open_to_write(const ipm_context *ctx, int *fd)
{
	return device_open(ctx, O_RDWR, fd);
}

static ipm_result fill_name(const ipm_context *ctx, const char *name, struct ipm_ref *to)
{
	size_t length;

	if (!name)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the name is NULL");
	/* POSIX spells names with a '/' in front. */
	if (name[0] == '/')
		name++;
	length = strnlen(name, IPM_NAME_SIZE);
	if (length >= IPM_NAME_SIZE)
		return ipm_fail(ctx, IPM_RESULT_ERR_NAME_TOO_LONG, "the name \"%.40s...\"", name);
	if (length == 0)
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the name is empty");
	if (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the name \"%s\"", name);
	memcpy(to->name, name, length + 1);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_ref_fill(const ipm_context *ctx, const ipm_memory_ref *ref, struct ipm_ref *to)
{
	memset(to, 0, sizeof(*to));
	switch (ref->by) {
	case IPM_MEMORY_BY_NAME:
		to->by = IPM_BY_NAME;
		return fill_name(ctx, ref->name, to);
	case IPM_MEMORY_BY_KEY:
		if (ref->key == 0)
			return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the key is 0");
		to->by = IPM_BY_KEY;
		to->key = ref->key;
		return IPM_RESULT_SUCCESS;
	case IPM_MEMORY_BY_ID:
		if (ref->id == 0 || ref->id > INT32_MAX)
			return ipm_fail(ctx, IPM_RESULT_ERR_BAD_ID, "the id %u", ref->id);
		to->by = IPM_BY_ID;
		to->id = ref->id;
		return IPM_RESULT_SUCCESS;
	default:
		return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE,
				"a segment cannot be meant in this way (%d) here", (int)ref->by);
	}
}

ipm_result ipm_ref_target(const ipm_context *ctx, const ipm_memory_ref *ref, struct ipm_ref *to,
			  int *fd, bool *opened)
{
	ipm_result result;

	*opened = false;
	if (ref->by == IPM_MEMORY_BY_FD || ref->by == IPM_MEMORY_BY_HANDLE) {
		memset(to, 0, sizeof(*to));
		if (ref->by == IPM_MEMORY_BY_FD)
			*fd = ref->fd;
		else if (ref->memory)
			*fd = ref->memory->fd;
		else
			return ipm_fail(ctx, IPM_RESULT_ERR_BAD_VALUE, "the handle is NULL");
		return IPM_RESULT_SUCCESS;
	}
	result = ipm_ref_fill(ctx, ref, to);
	if (result == IPM_RESULT_SUCCESS)
		result = ipm_device_open(ctx, fd);
	*opened = result == IPM_RESULT_SUCCESS;
	return result;
}

const char *ipm_ref_describe(const ipm_memory_ref *ref, char *text, size_t size)
{
	switch (ref->by) {
	case IPM_MEMORY_BY_NAME:
		snprintf(text, size, "segment \"%s\"", ref->name);
		break;
	case IPM_MEMORY_BY_KEY:
		snprintf(text, size, "segment of key %d", ref->key);
		break;
	case IPM_MEMORY_BY_ID:
		snprintf(text, size, "segment %u", ref->id);
		break;
	case IPM_MEMORY_BY_FD:
		snprintf(text, size, "segment of file descriptor %d", ref->fd);
		break;
	case IPM_MEMORY_BY_HANDLE:
		snprintf(text, size, "segment %u", ref->memory->id);
		break;
	default:
		snprintf(text, size, "private segment");
	}
	return text;
}

ipm_result ipm_find_result(int err)
{
	switch (err) {
	case ENOTTY:
	case EBADF:
		return IPM_RESULT_ERR_INVALID_FD;
	default:
		return ipm_result_of_errno(err);
	}
}

/* An ioctl on the device that is not known: an old module, or no ipm at all. */
static ipm_result device_result(int err)
{
	return err == ENOTTY ? IPM_RESULT_ERR_VERSION : ipm_result_of_errno(err);
}

static ipm_result ask_device(const ipm_context *ctx, unsigned long command, void *argument,
			     const char *what)
{
	ipm_result result;
	int fd, ret;

	result = ipm_device_open(ctx, &fd);
	if (result != IPM_RESULT_SUCCESS)
		return result;
	ret = ipm_sys_ioctl(fd, command, argument);
	ipm_sys_close(fd);
	if (ret < 0)
		return ipm_fail_errno(ctx, device_result(-ret), -ret, "cannot ask for %s", what);
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_memory_get_limits(const ipm_context *context, ipm_memory_limits *limits)
{
	struct ipm_limits from = { 0 };
	ipm_memory_limits answer;
	ipm_context ctx;
	ipm_result result;

	if (!ipm_context_copy(&ctx, context) || !ipm_answer_fits(limits, sizeof(answer)))
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot ask for limits");
	result = ask_device(&ctx, IPM_IOC_LIMITS, &from, "limits");
	if (result != IPM_RESULT_SUCCESS)
		return result;
	answer = (ipm_memory_limits){
		.segments_max = from.segments_max,
		.segments = from.segments,
		.handles_max = from.handles_max,
		.handles = from.handles,
		.claims_max = from.claims_max,
		.claims = from.claims,
		.bytes_max = from.bytes_max,
		.bytes = from.bytes,
	};
	ipm_give_answer(limits, &answer, sizeof(answer));
	return IPM_RESULT_SUCCESS;
}

ipm_result ipm_module_get_info(const ipm_context *context, ipm_module_info *info)
{
	struct ipm_version from = { 0 };
	ipm_module_info answer = { 0 };
	ipm_context ctx;
	ipm_result result;

	_Static_assert(sizeof(answer.release) == sizeof(from.release), "it is copied whole");
	if (!ipm_context_copy(&ctx, context) || !ipm_answer_fits(info, sizeof(answer)))
		return ipm_fail(&ctx, IPM_RESULT_ERR_BAD_VALUE, "cannot ask for the version");
	result = ask_device(&ctx, IPM_IOC_VERSION, &from, "the version");
	if (result != IPM_RESULT_SUCCESS)
		return result;
	answer.abi = from.abi;
	answer.name_size = from.name_size;
	answer.features = from.features;
	answer.capacity_max = from.capacity_max;
	answer.ranges_max = from.ranges_max;
	answer.releases_max = from.releases_max;
	answer.doubt_max = from.doubt_max;
	answer.slots_max = from.slots_max;
	memcpy(answer.release, from.release, sizeof(answer.release) - 1);
	ipm_give_answer(info, &answer, sizeof(answer));
	return IPM_RESULT_SUCCESS;
}
