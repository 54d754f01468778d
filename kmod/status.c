// SPDX-License-Identifier: GPL-2.0
/*
 * The status page of a segment: what the kernel tells without a system call.
 *
 * It is made when somebody first maps it, belongs to the segment, and is
 * written under the segment's lock. A mapping has a reference to the page, but
 * keeps neither a handle nor the segment; it shows the last state for as long as
 * it stays.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/bitmap.h>
#include <linux/mm.h>
#include "compat.h"
#include "ipm.h"

static_assert(sizeof(struct ipm_status) <= IPM_STATUS_SLOTS);

/*
 * What the area of a status page has for a file: one that is empty, for all of them.
 * It must not be the segment's, since whoever takes a part of that away (growth that is
 * taken back, a hole that a peer punches) takes it from all areas, and there is no
 * fault that would bring a status page back. This one nobody can open, write or cut,
 * and remap_file_pages(), which maps it without asking the handle, finds nothing in it.
 */
static struct file *status_file;

/**
 * ipm_status_init() - makes what status pages need
 *
 * Return: 0 or a negative errno.
 */
int __init ipm_status_init(void)
{
	struct file *file = ipm_shmem_file_setup("ipm-status", 0, true);

	if (IS_ERR(file))
		return PTR_ERR(file);
	ipm_map_init(file);
	/* Not even who may open what others have mapped. */
	file_inode(file)->i_flags |= S_IMMUTABLE;
	status_file = dentry_open(&file->f_path, O_RDONLY | O_LARGEFILE, current_cred());
	fput(file);
	return PTR_ERR_OR_ZERO(status_file);
}

/**
 * ipm_status_exit() - gives it up; mappings that are left keep it
 */
void ipm_status_exit(void)
{
	fput(status_file);
}

/**
 * ipm_status_counts() - shows the counts
 * @seg: segment, locked
 */
void ipm_status_counts(struct ipm_segment *seg)
{
	struct ipm_status *status = seg->status;

	if (!status)
		return;
	WRITE_ONCE(status->handles, seg->nr_handles);
	WRITE_ONCE(status->maps, seg->nr_maps);
	WRITE_ONCE(status->claims, seg->nr_claims);
	WRITE_ONCE(status->waiters, seg->nr_waiters);
}

/**
 * ipm_status_update() - shows everything
 * @seg: segment, locked
 *
 * Readers retry while the sequence is odd or has changed; the barriers pair
 * with theirs.
 */
void ipm_status_update(struct ipm_segment *seg)
{
	struct ipm_status *status = seg->status;

	lockdep_assert_held(&seg->lock);
	if (!status)
		return;
	/* A reader of high priority must not wait for a writer that is preempted. */
	preempt_disable();
	WRITE_ONCE(status->sequence, status->sequence + 1);
	smp_wmb();	/* odd before the fields; pairs with the reader's acquire */
	WRITE_ONCE(status->size, seg->size);
	WRITE_ONCE(status->changes, seg->changes);
	WRITE_ONCE(status->state, ipm_segment_state(seg));
	smp_wmb();	/* the fields before even; pairs with the reader's acquire */
	WRITE_ONCE(status->sequence, status->sequence + 1);
	preempt_enable();
	ipm_status_counts(seg);
}

/* Makes the first @nr pages, those that are not there. */
static int status_make(struct ipm_segment *seg, u32 nr)
{
	struct ipm_status *status;
	u32 i;

	lockdep_assert_held(&seg->setup);
	for (i = 0; i < nr; i++) {
		if (!seg->status_pages[i])
			seg->status_pages[i] = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!seg->status_pages[i])
			return -ENOMEM;
	}
	if (seg->status)
		return 0;
	status = seg->status_pages[0];
	status->abi = IPM_ABI_VERSION;
	status->capacity = seg->capacity;
	status->id = seg->id;
	spin_lock(&seg->lock);
	seg->status = status;
	ipm_status_update(seg);
	spin_unlock(&seg->lock);
	return 0;
}

/**
 * ipm_status_slots() - makes the slots of a segment, once
 * @seg: segment
 *
 * Return: 0 or -ENOMEM.
 */
int ipm_status_slots(struct ipm_segment *seg)
{
	unsigned long *slots;
	int ret = 0;

	/* Pairs with smp_store_release() below. */
	if (smp_load_acquire(&seg->slots))
		return 0;
	mutex_lock(&seg->setup);
	if (!seg->slots) {
		slots = bitmap_zalloc(IPM_SLOTS_MAX, GFP_KERNEL_ACCOUNT);
		ret = slots ? status_make(seg, IPM_STATUS_PAGES) : -ENOMEM;
		if (ret) {
			bitmap_free(slots);
		} else {
			/* Pairs with smp_load_acquire() above. */
			smp_store_release(&seg->slots, slots);
		}
	}
	mutex_unlock(&seg->setup);
	return ret;
}

/**
 * ipm_status_slot() - the word of a slot
 * @seg: segment that has slots
 * @slot: below IPM_SLOTS_MAX
 *
 * Return: where it is; written under seg->lock.
 */
u32 *ipm_status_slot(struct ipm_segment *seg, u32 slot)
{
	size_t at = IPM_STATUS_SLOTS + slot * sizeof(u32);

	return seg->status_pages[at / PAGE_SIZE] + at % PAGE_SIZE;
}

/**
 * ipm_status_map() - maps the status page
 * @seg: segment
 * @vma: an area at IPM_STATUS_OFFSET of a handle
 *
 * The area gets another file in the place of the handle, so that it does not keep
 * the handle open.
 *
 * Return: 0, -EACCES, -EINVAL or -ENOMEM.
 */
int ipm_status_map(struct ipm_segment *seg, struct vm_area_struct *vma)
{
	unsigned long size = vma->vm_end - vma->vm_start;
	u32 i, nr = size >> PAGE_SHIFT;
	int ret;

	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	if (!(vma->vm_flags & VM_MAYSHARE) ||
	    (size != PAGE_ALIGN(IPM_STATUS_SIZE) && size != PAGE_ALIGN(IPM_STATUS_SLOTS_SIZE)))
		return -EINVAL;
	mutex_lock(&seg->setup);
	ret = status_make(seg, nr);
	mutex_unlock(&seg->setup);
	if (ret)
		return ret;
	ipm_vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	vma_set_file(vma, status_file);
	for (i = 0; i < nr && !ret; i++)
		ret = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				     virt_to_page(seg->status_pages[i]));
	return ret;
}

/**
 * ipm_status_free() - gives up the status page of a segment that ends
 * @seg: segment without users
 */
void ipm_status_free(struct ipm_segment *seg)
{
	u32 i;

	for (i = 0; i < IPM_STATUS_PAGES; i++)
		free_page((unsigned long)seg->status_pages[i]);
	bitmap_free(seg->slots);
}
