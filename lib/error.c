// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Results: their names, their sentences, and which errno means which.
 */
#include <errno.h>

#include "internal.h"

struct result_text {
	const char *name;
	const char *message;
};

#define TEXT(result, sentence) [result] = { #result, sentence }

static const struct result_text texts[] = {
	TEXT(IPM_RESULT_SUCCESS, "Success"),
	TEXT(IPM_RESULT_ERR_ACCESS, "No right to do this"),
	TEXT(IPM_RESULT_ERR_EXISTS, "The name or key is taken"),
	TEXT(IPM_RESULT_ERR_BAD_VALUE, "Parameter had an invalid value"),
	TEXT(IPM_RESULT_ERR_MAX_FDS, "This process has no free file descriptor"),
	TEXT(IPM_RESULT_ERR_NAME_TOO_LONG, "The name is too long"),
	TEXT(IPM_RESULT_ERR_MAX_FDS_SYS, "The system has no free file descriptor"),
	TEXT(IPM_RESULT_ERR_INVALID_FD,
	     "The file descriptor is closed, or is not of the kind needed"),
	TEXT(IPM_RESULT_ERR_BAD_FS, "It cannot be memory mapped, or not as asked"),
	TEXT(IPM_RESULT_ERR_OS_OUT_OF_MEMORY, "The system has no memory left"),
	TEXT(IPM_RESULT_ERR_OS_UNEXPECTED, "The system returned an unexpected error"),
	TEXT(IPM_RESULT_ERR_BAD_ID, "Nothing can have this id"),
	TEXT(IPM_RESULT_ERR_BAD_SIZE, "The size is zero, too large, or smaller than before"),
	TEXT(IPM_RESULT_ERR_NO_SEM, "There is no semaphore"),
	TEXT(IPM_RESULT_ERR_NO_SEM_WAIT, "The semaphore cannot be waited for"),
	TEXT(IPM_RESULT_ERR_ALREADY_LOCKED, "Something holds it"),
	TEXT(IPM_RESULT_ERR_NOT_LOCKED, "It is not held"),
	TEXT(IPM_RESULT_ERR_LIST_SIZE_MISMATCH, "Lists that belong together differ in length"),
	TEXT(IPM_RESULT_ERR_INVALID_CLAIM, "The handle has no such claim"),
	TEXT(IPM_RESULT_ERR_BAD_INIT, "The object is not completely set up"),
	TEXT(IPM_RESULT_ERR_DEADLOCK, "Waiting would never end: a deadlock"),
	TEXT(IPM_RESULT_INTERRUPTED, "A signal ended the wait"),
	TEXT(IPM_RESULT_ERR_BAD_ACCESS, "The handle is read-only, this needs to write"),
	TEXT(IPM_RESULT_ERR_DOES_NOT_EXIST, "There is nothing of that name, key or id"),
	TEXT(IPM_RESULT_ERR_NO_DEVICE, "/dev/ipm is missing: modprobe ipm"),
	TEXT(IPM_RESULT_ERR_WOULD_BLOCK, "It would have to wait"),
	TEXT(IPM_RESULT_ERR_TIMEOUT, "The deadline passed first"),
	TEXT(IPM_RESULT_ERR_PEER_DIED, "The process at the other end is dead"),
	TEXT(IPM_RESULT_ERR_CORRUPTED, "It holds what no correct program writes"),
	TEXT(IPM_RESULT_ERR_TOO_LARGE, "The item is larger than can ever fit"),
	TEXT(IPM_RESULT_ERR_LIMIT, "A limit is reached"),
	TEXT(IPM_RESULT_ERR_REMOVED, "It was removed"),
	TEXT(IPM_RESULT_ERR_OUT_OF_MEMORY, "The allocator of the context returned NULL"),
	TEXT(IPM_RESULT_ERR_NOT_OWNER, "Only owner, creator or administrator may do this"),
	TEXT(IPM_RESULT_ERR_VERSION, "The versions of the two sides do not fit together"),
	TEXT(IPM_RESULT_ERR_CLOSED, "The other side closed it"),
	TEXT(IPM_RESULT_ERR_NOT_SUPPORTED, "This is not supported here"),
	TEXT(IPM_RESULT_ERR_TOO_SMALL, "The buffer or memory is too small"),
	TEXT(IPM_RESULT_ERR_IN_DOUBT, "A writer died while it wrote these bytes"),
};

_Static_assert(sizeof(texts) / sizeof(texts[0]) == IPM_RESULT_COUNT, "a result has no text");

const char *ipm_result_to_str(ipm_result result)
{
	return (unsigned int)result < IPM_RESULT_COUNT ? texts[result].name : "IPM_RESULT_UNKNOWN";
}

const char *ipm_result_to_msg(ipm_result result)
{
	return (unsigned int)result < IPM_RESULT_COUNT ? texts[result].message : "Unknown result";
}

const char *ipm_result_str(ipm_result result)
{
	return ipm_result_to_str(result);
}

const char *ipm_result_msg(ipm_result result)
{
	return ipm_result_to_msg(result);
}

ipm_result ipm_result_of_errno(int err)
{
	switch (err) {
	case 0:
		return IPM_RESULT_SUCCESS;
	case EACCES:
		return IPM_RESULT_ERR_ACCESS;
	case EPERM:
		return IPM_RESULT_ERR_NOT_OWNER;
	case EEXIST:
		return IPM_RESULT_ERR_EXISTS;
	case ENOENT:
		return IPM_RESULT_ERR_DOES_NOT_EXIST;
	case EIDRM:
		return IPM_RESULT_ERR_REMOVED;
	case EINVAL:
	case EFAULT:
	case EOVERFLOW:
		return IPM_RESULT_ERR_BAD_VALUE;
	case EFBIG:
		return IPM_RESULT_ERR_BAD_SIZE;
	case ENAMETOOLONG:
		return IPM_RESULT_ERR_NAME_TOO_LONG;
	case EMFILE:
		return IPM_RESULT_ERR_MAX_FDS;
	case ENFILE:
		return IPM_RESULT_ERR_MAX_FDS_SYS;
	case EBADF:
		return IPM_RESULT_ERR_INVALID_FD;
	case ENOMEM:
		return IPM_RESULT_ERR_OS_OUT_OF_MEMORY;
	case ENOSPC:
		return IPM_RESULT_ERR_LIMIT;
	case EDEADLK:
		return IPM_RESULT_ERR_DEADLOCK;
	case EINTR:
		return IPM_RESULT_INTERRUPTED;
	case EAGAIN:
		return IPM_RESULT_ERR_WOULD_BLOCK;
	case ETIMEDOUT:
		return IPM_RESULT_ERR_TIMEOUT;
	case E2BIG:
		return IPM_RESULT_ERR_VERSION;
	case EOPNOTSUPP:
	case ENOSYS:
		return IPM_RESULT_ERR_NOT_SUPPORTED;
	default:
		return IPM_RESULT_ERR_OS_UNEXPECTED;
	}
}
