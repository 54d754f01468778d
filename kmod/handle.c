// SPDX-License-Identifier: GPL-2.0
/*
 * Handles: open file descriptions on a segment.
 *
 * A handle is a file of the anonymous inode. Its last close ends its claims;
 * the death of a process ends those that the process took, also when others
 * still have the handle. Nobody can open a handle again through /proc.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include "ipm.h"

static struct kmem_cache *handle_cache;

static long handle_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ipm_handle *handle = file->private_data;
	void __user *user = (void __user *)arg;

	switch (cmd & ~IOCSIZE_MASK) {
	case IPM_IOC_CLAIM & ~IOCSIZE_MASK:
		return ipm_claim(handle, cmd, user);
	case IPM_IOC_RELEASE & ~IOCSIZE_MASK:
		return ipm_claim_release(handle, cmd, user);
	case IPM_IOC_CONVERT & ~IOCSIZE_MASK:
		return ipm_claim_convert(handle, cmd, user);
	case IPM_IOC_RELEASE_ALL & ~IOCSIZE_MASK:
		return ipm_claim_release_all(handle, cmd, user);
	case IPM_IOC_CLEAR_CLAIMS & ~IOCSIZE_MASK:
		return ipm_claim_clear(handle, cmd, user);
	case IPM_IOC_COLLECT & ~IOCSIZE_MASK:
		return ipm_claim_collect(handle, cmd, user);
	case IPM_IOC_RING & ~IOCSIZE_MASK:
		return ipm_bell_ring(handle, cmd, user);
	case IPM_IOC_SUBSCRIBE & ~IOCSIZE_MASK:
		return ipm_bell_subscribe(handle, cmd, user);
	case IPM_IOC_SLOT & ~IOCSIZE_MASK:
		return ipm_slot(handle, cmd, user);
	case IPM_IOC_REAP & ~IOCSIZE_MASK:
		return ipm_reap(handle, cmd, user);
	case IPM_IOC_DOUBT & ~IOCSIZE_MASK:
		return ipm_doubt_list(handle, cmd, user);
	case IPM_IOC_RECOVERED & ~IOCSIZE_MASK:
		return ipm_doubt_recovered(handle, cmd, user);
	case IPM_IOC_VERSION & ~IOCSIZE_MASK:
		return ipm_version(cmd, user);
	case IPM_IOC_INFO & ~IOCSIZE_MASK:
		return ipm_segment_info(handle->seg->ns, handle->seg, cmd, user);
	case IPM_IOC_REMOVE & ~IOCSIZE_MASK:
		return ipm_segment_remove(handle->seg->ns, handle->seg, cmd, user);
	case IPM_IOC_LINK & ~IOCSIZE_MASK:
		return ipm_segment_link(handle, cmd, user);
	case IPM_IOC_SET & ~IOCSIZE_MASK:
		return ipm_segment_set(handle->seg->ns, handle->seg, cmd, user);
	case IPM_IOC_GROW & ~IOCSIZE_MASK:
		return ipm_segment_grow(handle, cmd, user);
	case IPM_IOC_REOPEN & ~IOCSIZE_MASK:
		return ipm_segment_reopen(handle, cmd, user);
	}
	return -ENOTTY;
}

/**
 * ipm_process_dies() - is a process dead or about to die?
 * @signal: its signals, which the caller keeps
 *
 * Return: whether no thread of it lives, or all have been told to exit.
 */
bool ipm_process_dies(const struct signal_struct *signal)
{
	return !atomic_read(&signal->live) || (READ_ONCE(signal->flags) & SIGNAL_GROUP_EXIT);
}

/*
 * Called for each close of a file descriptor. One that the kernel closes for
 * a process that dies is a death. A thread with file descriptors of its own may
 * be there before the others have stopped, which may still write: wait for
 * them. They were killed, and need nothing from this one.
 */
static int handle_flush(struct file *file, fl_owner_t id)
{
	struct signal_struct *signal = current->signal;
	unsigned long patience = jiffies + 10 * HZ;

	if (!(current->flags & PF_EXITING) || !ipm_process_dies(signal))
		return 0;
	while (atomic_read(&signal->live) && time_before(jiffies, patience))
		schedule_timeout_uninterruptible(1);
	ipm_claim_process_died(file->private_data);
	ipm_bell_process_died(file->private_data);
	return 0;
}

/**
 * ipm_handle_put() - gives the memory of a handle up
 * @handle: handle
 */
void ipm_handle_put(struct ipm_handle *handle)
{
	if (refcount_dec_and_test(&handle->refs))
		kmem_cache_free(handle_cache, handle);
}

/* Puts a new handle, which has the highest number, into the tree. */
static void number_insert(struct ipm_segment *seg, struct ipm_handle *handle)
{
	struct rb_node **link = &seg->by_number.rb_node, *parent = NULL;

	lockdep_assert_held(&seg->lock);
	handle->number = seg->next_number++;
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&handle->by_number, parent, link);
	rb_insert_color(&handle->by_number, &seg->by_number);
}

/**
 * ipm_handle_from() - the next handle in the order of their numbers
 * @seg: segment, locked
 * @number: where to begin
 *
 * Return: the handle with the smallest number that is not below @number, or NULL.
 */
struct ipm_handle *ipm_handle_from(struct ipm_segment *seg, u64 number)
{
	struct rb_node *node = seg->by_number.rb_node;
	struct ipm_handle *found = NULL;

	lockdep_assert_held(&seg->lock);
	while (node) {
		struct ipm_handle *handle = rb_entry(node, struct ipm_handle, by_number);

		if (handle->number < number) {
			node = node->rb_right;
		} else {
			found = handle;
			node = node->rb_left;
		}
	}
	return found;
}

/**
 * ipm_handle_next() - the one after
 * @handle: handle, its segment locked
 *
 * Return: the handle with the next number, or NULL.
 */
struct ipm_handle *ipm_handle_next(struct ipm_handle *handle)
{
	return rb_entry_safe(rb_next(&handle->by_number), struct ipm_handle, by_number);
}

/**
 * ipm_handle_rows() - a part of the list of handles
 * @seg: segment
 * @place: where to begin, and then where to go on
 * @rows: receives them
 */
void ipm_handle_rows(struct ipm_segment *seg, struct ipm_place *place, struct ipm_rows *rows)
{
	struct ipm_handle *handle;

	spin_lock(&seg->lock);
	/* Goes up with each that comes, and with each that goes. */
	rows->generation = 2 * seg->next_number - seg->nr_handles;
	handle = ipm_handle_from(seg, place->handle);
	for (; handle && rows->nr < IPM_ROWS_MAX; handle = ipm_handle_next(handle)) {
		rows->row[rows->nr++] = (struct ipm_row) {
			.pid = get_pid(handle->opener),
			.user = handle->uid,
			.handle = handle->number,
			.access = handle->access,
			.slot = handle->slot,
			.maps = handle->nr_maps,
			.claims = handle->nr_claims,
		};
		place->handle = handle->number + 1;
	}
	rows->end = !handle;
	spin_unlock(&seg->lock);
}

static int handle_release(struct inode *inode, struct file *file)
{
	struct ipm_handle *handle = file->private_data;
	struct ipm_segment *seg = handle->seg;

	spin_lock(&seg->lock);
	list_del_init(&handle->node);
	rb_erase(&handle->by_number, &seg->by_number);
	seg->nr_handles--;
	ipm_status_counts(seg);
	spin_unlock(&seg->lock);
	ipm_claim_handle_closed(handle);
	ipm_bell_handle_closed(handle);
	put_pid(handle->opener);
	ipm_uncharge(handle->user, IPM_CHARGE_HANDLE, 1);
	ipm_user_put(handle->user);
	ipm_handle_put(handle);
	atomic_dec(&ipm_nr_handles);
	ipm_segment_put(seg);
	return 0;
}

static void handle_fdinfo(struct seq_file *m, struct file *file)
{
	struct ipm_handle *handle = file->private_data;
	struct ipm_segment *seg = handle->seg;

	seq_printf(m, "id:\t%u\n", seg->id);
	/* A segment may be linked meanwhile. */
	mutex_lock(&seg->ns->lock);
	if (seg->label.by == IPM_BY_NAME) {
		seq_puts(m, "name:\t");
		seq_escape(m, seg->label.name, " \t\n\\");
		seq_putc(m, '\n');
	} else if (seg->label.by == IPM_BY_KEY) {
		seq_printf(m, "key:\t%d\n", seg->label.key);
	}
	mutex_unlock(&seg->ns->lock);
	seq_printf(m, "access:\t%s\n",
		   handle->access == IPM_READ_WRITE ? "read-write" : "read-only");
	seq_printf(m, "size:\t%llu\n", READ_ONCE(seg->size));
	seq_printf(m, "capacity:\t%llu\n", seg->capacity);
	seq_printf(m, "claims:\t%u\n", READ_ONCE(handle->nr_claims));
	ipm_claim_show(handle, m);
}

static const struct file_operations handle_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = handle_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = ipm_map,
	.get_unmapped_area = ipm_map_area,
	.poll = ipm_bell_poll,
	.read = ipm_bell_read,
	.flush = handle_flush,
	.release = handle_release,
	.show_fdinfo = handle_fdinfo,
};

/**
 * ipm_handle_file() - opens a handle
 * @seg: segment; the caller has a use of it, the handle takes its own
 * @access: IPM_READ_ONLY or IPM_READ_WRITE; rights were checked
 *
 * Return: the file or an error of the table in the ABI header.
 */
struct file *ipm_handle_file(struct ipm_segment *seg, u32 access)
{
	struct ipm_handle *handle;
	struct file *file;
	int ret;

	handle = kmem_cache_zalloc(handle_cache, GFP_KERNEL_ACCOUNT);
	if (!handle)
		return ERR_PTR(-ENOMEM);
	handle->user = ipm_user_get();
	ret = -ENOMEM;
	if (!handle->user)
		goto free;
	ret = ipm_charge(handle->user, IPM_CHARGE_HANDLE, 1);
	if (ret)
		goto user_put;
	file = ipm_segment_file(seg, access);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto uncharge;
	refcount_set(&handle->refs, 1);
	handle->seg = seg;
	handle->access = access;
	handle->uid = current_uid();
	ipm_claim_setup(handle);
	ipm_bell_setup(handle);
	file = anon_inode_getfile("[ipm]", &handle_fops, handle,
				  access == IPM_READ_WRITE ? O_RDWR : O_RDONLY);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto uncharge;
	handle->opener = get_pid(task_tgid(current));
	refcount_inc(&seg->users);
	atomic_inc(&ipm_nr_handles);
	spin_lock(&seg->lock);
	list_add_tail(&handle->node, &seg->handles);
	number_insert(seg, handle);
	seg->nr_handles++;
	ipm_status_counts(seg);
	spin_unlock(&seg->lock);
	return file;

uncharge:
	ipm_uncharge(handle->user, IPM_CHARGE_HANDLE, 1);
user_put:
	ipm_user_put(handle->user);
free:
	kmem_cache_free(handle_cache, handle);
	return ERR_PTR(ret);
}

/**
 * ipm_handle_init() - prepares handles for the module
 *
 * Return: 0 or -ENOMEM.
 */
int ipm_handle_init(void)
{
	handle_cache = KMEM_CACHE(ipm_handle, SLAB_ACCOUNT);
	return handle_cache ? 0 : -ENOMEM;
}

/**
 * ipm_handle_exit() - the opposite; no handle is left
 */
void ipm_handle_exit(void)
{
	kmem_cache_destroy(handle_cache);
}
