/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Results of libipm: one enum for every call that can fail, with a name and a
 * sentence for each value.
 */
#ifndef IPM_ERROR_H
#define IPM_ERROR_H

#include <ipm/ipm_common.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum ipm_result - what a call of libipm came to
 *
 * The values are part of the ABI: new ones are added before
 * %IPM_RESULT_COUNT, none is renumbered.
 */
typedef enum ipm_result {
	/** It worked. */
	IPM_RESULT_SUCCESS = 0,
	/** The caller has no right to do this (EACCES). */
	IPM_RESULT_ERR_ACCESS = 1,
	/** The name or key is taken. */
	IPM_RESULT_ERR_EXISTS = 2,
	/** A parameter has an impossible value. */
	IPM_RESULT_ERR_BAD_VALUE = 3,
	/** This process has no free file descriptor. */
	IPM_RESULT_ERR_MAX_FDS = 4,
	/** The name is longer than IPM_MAX_NAME_LEN - 1 bytes. */
	IPM_RESULT_ERR_NAME_TOO_LONG = 5,
	/** The system has no free file descriptor. */
	IPM_RESULT_ERR_MAX_FDS_SYS = 6,
	/** The file descriptor is closed, or is not of the kind needed. */
	IPM_RESULT_ERR_INVALID_FD = 7,
	/** The object cannot be memory mapped, or not as asked. */
	IPM_RESULT_ERR_BAD_FS = 8,
	/** The system has no memory left. */
	IPM_RESULT_ERR_OS_OUT_OF_MEMORY = 9,
	/** The system returned an error that it never should. */
	IPM_RESULT_ERR_OS_UNEXPECTED = 10,
	/** No object can have this id. */
	IPM_RESULT_ERR_BAD_ID = 11,
	/** The size is 0, too large, or smaller than before. */
	IPM_RESULT_ERR_BAD_SIZE = 12,
	/** Kept for programs of the former library; never returned. */
	IPM_RESULT_ERR_NO_SEM = 13,
	/** Kept for programs of the former library; never returned. */
	IPM_RESULT_ERR_NO_SEM_WAIT = 14,
	/** Something else holds it. */
	IPM_RESULT_ERR_ALREADY_LOCKED = 15,
	/** It is not held. */
	IPM_RESULT_ERR_NOT_LOCKED = 16,
	/** Kept for programs of the former library; never returned. */
	IPM_RESULT_ERR_LIST_SIZE_MISMATCH = 17,
	/** This handle has no claim of that id (any more). */
	IPM_RESULT_ERR_INVALID_CLAIM = 18,
	/** The object was not, or not completely, set up. */
	IPM_RESULT_ERR_BAD_INIT = 19,
	/** Waiting would never end: a deadlock. */
	IPM_RESULT_ERR_DEADLOCK = 20,
	/** A signal ended the wait. */
	IPM_RESULT_INTERRUPTED = 21,
	/** The handle is read-only, the call needs to write. */
	IPM_RESULT_ERR_BAD_ACCESS = 22,
	/** There is nothing of that name, key or id. */
	IPM_RESULT_ERR_DOES_NOT_EXIST = 23,

	/** /dev/ipm is missing: the module is not loaded. */
	IPM_RESULT_ERR_NO_DEVICE = 24,
	/** It would have to wait, and the caller asked not to. */
	IPM_RESULT_ERR_WOULD_BLOCK = 25,
	/** The deadline passed first. */
	IPM_RESULT_ERR_TIMEOUT = 26,
	/** The process at the other end is dead. */
	IPM_RESULT_ERR_PEER_DIED = 27,
	/** Shared bytes hold what no correct program writes. */
	IPM_RESULT_ERR_CORRUPTED = 28,
	/** The item is larger than can ever fit. */
	IPM_RESULT_ERR_TOO_LARGE = 29,
	/** A limit of the module or of this object is reached. */
	IPM_RESULT_ERR_LIMIT = 30,
	/** The object was removed. */
	IPM_RESULT_ERR_REMOVED = 31,
	/** The allocator of the caller's context returned NULL. */
	IPM_RESULT_ERR_OUT_OF_MEMORY = 32,
	/** Only the owner, the creator or an administrator may do this. */
	IPM_RESULT_ERR_NOT_OWNER = 33,
	/** Module and library, or writer and reader, do not fit together. */
	IPM_RESULT_ERR_VERSION = 34,
	/** The other side closed it in good order. */
	IPM_RESULT_ERR_CLOSED = 35,
	/** This object, system or build cannot do that. */
	IPM_RESULT_ERR_NOT_SUPPORTED = 36,
	/** The caller's buffer or memory is too small. */
	IPM_RESULT_ERR_TOO_SMALL = 37,
	/** The bytes are there, but a writer died while it wrote them. */
	IPM_RESULT_ERR_IN_DOUBT = 38,

	/** How many results there are; not a result. */
	IPM_RESULT_COUNT
} ipm_result;

/**
 * ipm_result_to_str() - the name of a result
 * @result: any value, a wrong one too
 *
 * Return: a static string such as "IPM_RESULT_ERR_BAD_VALUE";
 * "IPM_RESULT_UNKNOWN" for a value that is no result. Never NULL, not to be
 * freed. Safe in threads and in signal handlers.
 */
IPM_API const char *ipm_result_to_str(ipm_result result);

/**
 * ipm_result_to_msg() - what a result means, in one sentence
 * @result: any value, a wrong one too
 *
 * Return: a static string such as "Parameter had an invalid value". Never
 * NULL, not to be freed. Safe in threads and in signal handlers.
 */
IPM_API const char *ipm_result_to_msg(ipm_result result);

/** ipm_result_str() - another name of ipm_result_to_str() */
IPM_API const char *ipm_result_str(ipm_result result);

/** ipm_result_msg() - another name of ipm_result_to_msg() */
IPM_API const char *ipm_result_msg(ipm_result result);

#ifdef __cplusplus
}
#endif

#endif /* IPM_ERROR_H */
