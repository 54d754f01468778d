/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests/coverage-kmod adds to the module, in front of each of its files
 * (-include): when the module goes, or cannot be loaded, it writes what gcc counted
 * in it (--coverage) into a file, what gcov reads of each source one after the other.
 * So all counts, in whatever context it ran, and an ordinary kernel does.
 *
 * GCOV_BEGIN is defined for the first file of the module, GCOV_END for the last,
 * which itself is not told, GCOV_DIR for all: where the files go. The format is
 * gcc's gcov-io.h; the descriptions of the counters are pointers in a section of
 * their own (-fprofile-info-section).
 */
#ifdef GCOV_END
asm(".pushsection .gcov_info, \"a\"\n.globl gcov_end\ngcov_end:\n.popsection");
#endif

#ifdef GCOV_BEGIN
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

asm(".pushsection .gcov_info, \"a\"\n.globl gcov_begin\ngcov_begin:\n.popsection");

#if __GNUC__ >= 14
#define GCOV_KINDS 9
#else
#define GCOV_KINDS 8
#endif

struct gcov_counters {
	unsigned int nr;
	s64 *values;
};

struct gcov_info;

struct gcov_function {
	const struct gcov_info *info;
	unsigned int ident;
	unsigned int lines_sum;
	unsigned int graph_sum;
	struct gcov_counters counters[];
};

struct gcov_info {
	unsigned int version;
	struct gcov_info *next;
	unsigned int stamp;
#if __GNUC__ >= 12
	unsigned int sum;
#endif
	const char *name;
	void (*merge[GCOV_KINDS])(s64 *values, unsigned int nr);
	unsigned int nr_functions;
	struct gcov_function **functions;
};

extern struct gcov_info *gcov_begin[], *gcov_end[];

/* KASAN takes each description for an object of its own, and all of them for no array. */
#define gcov_uncounted __attribute__((no_profile_instrument_function, no_sanitize_address)) notrace

/* Named by the descriptions, and not called in a kernel. */
void __gcov_merge_add(s64 *values, unsigned int nr);
void gcov_uncounted __gcov_merge_add(s64 *values, unsigned int nr)
{
}

#define GCOV_ROOM (1 << 20)

struct gcov_out {
	char *data;
	size_t used;
};

static void gcov_uncounted gcov_put(struct gcov_out *out, const void *data, size_t size)
{
	if (WARN_ON(size > GCOV_ROOM - out->used))
		return;
	memcpy(out->data + out->used, data, size);
	out->used += size;
}

static void gcov_uncounted gcov_put_function(struct gcov_out *out, const struct gcov_info *info,
					     const struct gcov_function *function)
{
	/* Lengths are in bytes since gcc 12. */
	const unsigned int unit = __GNUC__ >= 12 ? 4 : 1;
	const struct gcov_counters *counters = function->counters;
	u32 head[] = { 0x01000000, 3 * unit, function->ident, function->lines_sum,
		       function->graph_sum };
	u32 kind;

	gcov_put(out, head, sizeof(head));
	for (kind = 0; kind < GCOV_KINDS; kind++) {
		u32 tag[] = { 0x01a10000 + (kind << 17), counters->nr * 2 * unit };

		if (!info->merge[kind])
			continue;
		gcov_put(out, tag, sizeof(tag));
		gcov_put(out, counters->values, counters->nr * sizeof(*counters->values));
		counters++;
	}
}

static void gcov_uncounted gcov_write(void)
{
	struct gcov_out out = { .data = kvmalloc(GCOV_ROOM, GFP_KERNEL) };
	struct gcov_info **at;
	struct file *file;
	char path[256];
	loff_t from = 0;
	unsigned int i;

	snprintf(path, sizeof(path), "%s/%llu", GCOV_DIR, ktime_get_real_ns());
	file = filp_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (IS_ERR(file) || !out.data) {
		pr_err("cannot write what was counted: %ld\n", PTR_ERR_OR_ZERO(file));
		goto free;
	}
	for (at = gcov_begin; at < gcov_end; at++) {
		const struct gcov_info *info = *at;
		u32 head[] = { 0x67636461, info->version, info->stamp,
#if __GNUC__ >= 12
			       info->sum,
#endif
		};

		gcov_put(&out, head, sizeof(head));
		for (i = 0; i < info->nr_functions; i++) {
			/* One that was merged with another's is described there. */
			if (info->functions[i] && info->functions[i]->info == info)
				gcov_put_function(&out, info, info->functions[i]);
		}
	}
	kernel_write(file, out.data, out.used, &from);
free:
	if (!IS_ERR(file))
		filp_close(file, NULL);
	kvfree(out.data);
}

#undef module_init
#define module_init(function) \
	static int __init gcov_uncounted gcov_load(void) \
	{ \
		int ret = function(); \
		\
		if (ret) \
			gcov_write(); \
		return ret; \
	} \
	int init_module(void) __copy(gcov_load) __attribute__((alias("gcov_load")))

#undef module_exit
#define module_exit(function) \
	static void __exit gcov_uncounted gcov_unload(void) \
	{ \
		function(); \
		gcov_write(); \
	} \
	void cleanup_module(void) __copy(gcov_unload) __attribute__((alias("gcov_unload")))
#endif
