/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints. They take numbers only, so that they are the same on every
 * kernel, and whoever calls one computes nothing while it is off.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ipm

#if !defined(IPM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define IPM_TRACE_H

#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(ipm_claim,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, u32 write, u32 ranges,
		 pid_t tid),
	TP_ARGS(segment, claim, offset, length, write, ranges, tid),
	TP_STRUCT__entry(
		__field(u64, claim)
		__field(u64, offset)
		__field(u64, length)
		__field(u32, segment)
		__field(u32, write)
		__field(u32, ranges)
		__field(pid_t, tid)
	),
	TP_fast_assign(
		__entry->claim = claim;
		__entry->offset = offset;
		__entry->length = length;
		__entry->segment = segment;
		__entry->write = write;
		__entry->ranges = ranges;
		__entry->tid = tid;
	),
	TP_printk("segment=%u claim=%llu offset=%llu length=%llu %s ranges=%u tid=%d",
		  __entry->segment, __entry->claim, __entry->offset, __entry->length,
		  __entry->write ? "write" : "read", __entry->ranges, __entry->tid)
);

/* A claim, or a convert to write, begins to wait. */
DEFINE_EVENT(ipm_claim, ipm_claim_wait,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, u32 write, u32 ranges,
		 pid_t tid),
	TP_ARGS(segment, claim, offset, length, write, ranges, tid)
);

/* A claim is granted, or converted. */
DEFINE_EVENT(ipm_claim, ipm_claim_grant,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, u32 write, u32 ranges,
		 pid_t tid),
	TP_ARGS(segment, claim, offset, length, write, ranges, tid)
);

/* A claim that was held ends, in whatever way. */
DEFINE_EVENT(ipm_claim, ipm_claim_release,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, u32 write, u32 ranges,
		 pid_t tid),
	TP_ARGS(segment, claim, offset, length, write, ranges, tid)
);

/* A wait is refused, because it would never end. */
DEFINE_EVENT(ipm_claim, ipm_claim_deadlock,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, u32 write, u32 ranges,
		 pid_t tid),
	TP_ARGS(segment, claim, offset, length, write, ranges, tid)
);

/* Bytes come to be in doubt: the writer @pid died. */
TRACE_EVENT(ipm_claim_doubt,
	TP_PROTO(u32 segment, u64 claim, u64 offset, u64 length, pid_t pid),
	TP_ARGS(segment, claim, offset, length, pid),
	TP_STRUCT__entry(
		__field(u64, claim)
		__field(u64, offset)
		__field(u64, length)
		__field(u32, segment)
		__field(pid_t, pid)
	),
	TP_fast_assign(
		__entry->claim = claim;
		__entry->offset = offset;
		__entry->length = length;
		__entry->segment = segment;
		__entry->pid = pid;
	),
	TP_printk("segment=%u claim=%llu offset=%llu length=%llu pid=%d", __entry->segment,
		  __entry->claim, __entry->offset, __entry->length, __entry->pid)
);

DECLARE_EVENT_CLASS(ipm_segment,
	TP_PROTO(u32 segment, u64 size, u64 capacity),
	TP_ARGS(segment, size, capacity),
	TP_STRUCT__entry(
		__field(u64, size)
		__field(u64, capacity)
		__field(u32, segment)
	),
	TP_fast_assign(
		__entry->size = size;
		__entry->capacity = capacity;
		__entry->segment = segment;
	),
	TP_printk("segment=%u size=%llu capacity=%llu", __entry->segment, __entry->size,
		  __entry->capacity)
);

DEFINE_EVENT(ipm_segment, ipm_segment_create,
	TP_PROTO(u32 segment, u64 size, u64 capacity),
	TP_ARGS(segment, size, capacity)
);

DEFINE_EVENT(ipm_segment, ipm_segment_grow,
	TP_PROTO(u32 segment, u64 size, u64 capacity),
	TP_ARGS(segment, size, capacity)
);

/* The last user of a segment has gone. */
DEFINE_EVENT(ipm_segment, ipm_segment_destroy,
	TP_PROTO(u32 segment, u64 size, u64 capacity),
	TP_ARGS(segment, size, capacity)
);

/* Doorbell bits are rung, for one slot or, with -1, for all who listen. */
TRACE_EVENT(ipm_bell_ring,
	TP_PROTO(u32 segment, u64 bits, int slot, u32 heard),
	TP_ARGS(segment, bits, slot, heard),
	TP_STRUCT__entry(
		__field(u64, bits)
		__field(u32, segment)
		__field(int, slot)
		__field(u32, heard)
	),
	TP_fast_assign(
		__entry->bits = bits;
		__entry->segment = segment;
		__entry->slot = slot;
		__entry->heard = heard;
	),
	TP_printk("segment=%u bits=%#llx slot=%d heard=%u", __entry->segment, __entry->bits,
		  __entry->slot, __entry->heard)
);

#endif /* IPM_TRACE_H */

/* The directory of this file is on the include path: see Kbuild. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
