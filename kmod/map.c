// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of a segment's pages.
 *
 * A handle's mmap puts the segment's shmem file in the place of the handle,
 * so a mapping keeps the segment, and of the handle no more than the memory, and
 * faults are shmem's own. The device's mmap does the same, for a segment that it finds.
 *
 * Mappings are counted through shmem's vm operations, copied, with open
 * and close replaced; each one is a user of the segment.
 *
 * A read-only handle maps a file that was opened for reading: what the kernel
 * checks afterwards, in mprotect(), is that file.
 *
 * The file operations of these files are copied as well, with the module as the
 * owner. So it is a file that keeps the module, for the segment and for each area,
 * and the kernel itself lets the module go, when it is done with the file: after
 * map_close() has returned, or whatever else gave up the last use. If that did it
 * by itself, it might be preempted before it returns, and find its code gone.
 *
 * remap_file_pages() maps the file of an area anew, not as we would: the new area
 * would not be counted, could be made executable, and would show the old pages when
 * the segment has ended. It asks the file for the place, and is refused there.
 */
#include <linux/ktime.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/module.h>
#include "compat.h"
#include "ipm.h"

static DEFINE_MUTEX(vm_ops_lock);
static const struct vm_operations_struct *shmem_vm_ops;
static struct vm_operations_struct vm_ops;

static const struct file_operations *shmem_fops __ro_after_init;
static struct file_operations backing_fops __ro_after_init;

/*
 * Where an area of such a file goes that is there already: mremap() asks, and
 * remap_file_pages(), alone with both flags. Shmem gets no file: of files it knows
 * only those with its own operations, and of this one needs nothing.
 */
static unsigned long backing_area(struct file *file, unsigned long addr, unsigned long len,
				  unsigned long pgoff, unsigned long flags)
{
	if ((flags & MAP_FIXED) && (flags & MAP_POPULATE))
		return -EPERM;
	return shmem_fops->get_unmapped_area(NULL, addr, len, pgoff, flags);
}

/**
 * ipm_map_init() - prepares mappings for the module
 * @file: a file of shmem's
 */
void __init ipm_map_init(const struct file *file)
{
	shmem_fops = file->f_op;
	backing_fops = *shmem_fops;
	backing_fops.owner = THIS_MODULE;
	backing_fops.get_unmapped_area = backing_area;
}

/**
 * ipm_map_adopt() - prepares a file of a segment's pages
 * @file: a file of shmem's that nobody has mapped; it keeps the module from now on
 *
 * Return: 0, or -EOPNOTSUPP if this kernel's shmem has more than one kind of file.
 */
int ipm_map_adopt(struct file *file)
{
	if (WARN_ON_ONCE(file->f_op != shmem_fops))
		return -EOPNOTSUPP;
	/* The caller's file keeps the module so far. */
	__module_get(THIS_MODULE);
	replace_fops(file, &backing_fops);
	return 0;
}

/*
 * What an area knows: its segment or, marked by the lowest bit, the handle that
 * it was made through.
 */
#define MAP_HANDLE 1UL

static struct ipm_handle *map_handle(const struct vm_area_struct *vma)
{
	unsigned long data = (unsigned long)vma->vm_private_data;

	return data & MAP_HANDLE ? (struct ipm_handle *)(data & ~MAP_HANDLE) : NULL;
}

static struct ipm_segment *map_segment(const struct vm_area_struct *vma)
{
	struct ipm_handle *handle = map_handle(vma);

	return handle ? handle->seg : vma->vm_private_data;
}

/* Counts mappings; the area belongs to the caller, or to its child. */
static void count(struct ipm_segment *seg, struct ipm_handle *handle, int change)
{
	s64 now = ktime_get_real_ns();
	struct pid *pid;

	atomic_add(change, &ipm_nr_maps);
	spin_lock(&seg->lock);
	seg->nr_maps += change;
	if (handle)
		handle->nr_maps += change;
	if (change > 0)
		seg->attach_time = now;
	else
		seg->detach_time = now;
	pid = seg->last_pid;
	seg->last_pid = get_pid(task_tgid(current));
	ipm_status_counts(seg);
	spin_unlock(&seg->lock);
	put_pid(pid);
}

static void map_open(struct vm_area_struct *vma)
{
	struct ipm_handle *handle = map_handle(vma);
	struct ipm_segment *seg = map_segment(vma);

	if (handle)
		refcount_inc(&handle->refs);
	refcount_inc(&seg->users);
	count(seg, handle, 1);
	if (shmem_vm_ops->open)
		shmem_vm_ops->open(vma);
}

static void map_close(struct vm_area_struct *vma)
{
	struct ipm_handle *handle = map_handle(vma);
	struct ipm_segment *seg = map_segment(vma);

	if (shmem_vm_ops->close)
		shmem_vm_ops->close(vma);
	count(seg, handle, -1);
	if (handle)
		ipm_handle_put(handle);
	ipm_segment_put(seg);
}

/* Makes our vm operations of shmem's, once. */
static int vm_ops_setup(const struct vm_operations_struct *ops)
{
	/* Pairs with smp_store_release() below. */
	const struct vm_operations_struct *known = smp_load_acquire(&shmem_vm_ops);

	if (unlikely(!known)) {
		mutex_lock(&vm_ops_lock);
		if (!shmem_vm_ops) {
			vm_ops = *ops;
			vm_ops.open = map_open;
			vm_ops.close = map_close;
			/* Pairs with smp_load_acquire() above. */
			smp_store_release(&shmem_vm_ops, ops);
		}
		known = shmem_vm_ops;
		mutex_unlock(&vm_ops_lock);
	}
	if (known == ops)
		return 0;
	pr_warn_once("this kernel maps shmem in more than one way\n");
	return -EOPNOTSUPP;
}

/* Maps a segment's pages with this access, through a handle or NULL. */
static int map_pages(struct ipm_segment *seg, struct ipm_handle *handle, u32 access,
		     struct vm_area_struct *vma)
{
	struct file *backing;
	int ret;

	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	backing = ipm_segment_file(seg, access);
	if (IS_ERR(backing))
		return PTR_ERR(backing);
	vma_set_file(vma, backing);
	ret = ipm_vfs_mmap(backing, vma);
	if (ret)
		return ret;
	ret = vm_ops_setup(vma->vm_ops);
	if (ret)
		return ret;
	ipm_vm_flags_mod(vma, IPM_VM_UNMERGED, VM_MAYEXEC);
	vma->vm_private_data = seg;
	if (handle) {
		vma->vm_private_data = (void *)((unsigned long)handle | MAP_HANDLE);
		refcount_inc(&handle->refs);
	}
	vma->vm_ops = &vm_ops;
	refcount_inc(&seg->users);
	count(seg, handle, 1);
	return 0;
}

/**
 * ipm_map() - mmap of a handle
 * @file: handle
 * @vma: the area
 *
 * Return: 0 or an error of the table in the ABI header.
 */
int ipm_map(struct file *file, struct vm_area_struct *vma)
{
	struct ipm_handle *handle = file->private_data;
	struct ipm_segment *seg = handle->seg;
	u64 pages = PAGE_ALIGN(seg->capacity) >> PAGE_SHIFT;

	if (vma->vm_pgoff == IPM_STATUS_OFFSET >> PAGE_SHIFT)
		return ipm_status_map(seg, vma);
	if (vma->vm_pgoff >= pages || vma_pages(vma) > pages - vma->vm_pgoff)
		return -EINVAL;
	return map_pages(seg, handle, handle->access, vma);
}

/**
 * ipm_map_attach() - mmap of the device
 * @ns: namespace
 * @vma: the area, at IPM_ATTACH_OFFSET of a number
 *
 * The access is what the device was opened with, not what the area begins with:
 * an area that may never be written to gets the file that was opened for
 * reading, as with a handle.
 *
 * Return: 0 or an error of the table in the ABI header.
 */
int ipm_map_attach(struct ipm_ns *ns, struct vm_area_struct *vma)
{
	u32 access = vma->vm_flags & VM_MAYWRITE ? IPM_READ_WRITE : IPM_READ_ONLY;
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 id = offset >> IPM_ATTACH_SHIFT;
	struct ipm_segment *seg;
	int ret;

	if (!(vma->vm_flags & VM_MAYSHARE) || !id || id > INT_MAX ||
	    offset != IPM_ATTACH_OFFSET(id))
		return -EINVAL;
	seg = ipm_segment_attach(ns, id, access);
	if (IS_ERR(seg))
		return PTR_ERR(seg);
	if (vma_pages(vma) > PAGE_ALIGN(READ_ONCE(seg->size)) >> PAGE_SHIFT) {
		ret = -EINVAL;
	} else {
		vma->vm_pgoff = 0;
		ret = map_pages(seg, NULL, access, vma);
	}
	ipm_segment_put(seg);
	return ret;
}

/* The first mapping of a segment's pages that ends above an address, or NULL. */
static struct vm_area_struct *find_map(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	while (vma && vma->vm_ops != &vm_ops)
		vma = find_vma(mm, vma->vm_end);
	return vma;
}

/**
 * ipm_map_find() - IPM_IOC_MAPPING
 * @ns: namespace
 * @cmd: ioctl number
 * @arg: struct ipm_mapping
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_map_find(struct ipm_ns *ns, unsigned int cmd, void __user *arg)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma = NULL;
	struct ipm_segment *seg;
	struct ipm_mapping req;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.length || req.offset || req.size || req.flags || req.id)
		return -EINVAL;
	mmap_read_lock(mm);
	if (req.address <= ULONG_MAX)
		vma = find_map(mm, req.address);
	if (vma) {
		/* The mapping uses the segment. */
		seg = map_segment(vma);
		req.address = vma->vm_start;
		req.length = vma->vm_end - vma->vm_start;
		req.offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
		req.size = READ_ONCE(seg->size);
		req.id = seg->ns == ns ? seg->id : 0;
	}
	mmap_read_unlock(mm);
	if (!vma)
		return -ENOENT;
	return ipm_put_arg(&req, sizeof(req), cmd, arg);
}

/**
 * ipm_map_area() - where a mapping of a handle goes
 * @file: handle
 * @addr: as for get_unmapped_area, like the rest
 * @len: see there
 * @pgoff: see there
 * @flags: see there
 *
 * Asks shmem, which knows the alignment that huge pages need.
 *
 * Return: the address or an error.
 */
unsigned long ipm_map_area(struct file *file, unsigned long addr, unsigned long len,
			   unsigned long pgoff, unsigned long flags)
{
	return shmem_fops->get_unmapped_area(NULL, addr, len, pgoff, flags);
}
