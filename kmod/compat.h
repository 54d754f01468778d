/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every difference between kernel versions, and nothing else. Names start
 * with ipm_, because stable kernels take names over from later ones.
 */
#ifndef IPM_COMPAT_H
#define IPM_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "IPM needs Linux 6.1 or later."
#endif

#ifndef CONFIG_SHMEM
#error "IPM needs a kernel with CONFIG_SHMEM."
#endif

#ifndef CONFIG_NET_NS
#error "IPM needs a kernel with CONFIG_NET_NS."
#endif

/*
 * Since 6.3 (bc292ab00f6c) vm_flags is changed through functions that check
 * the lock.
 */
static inline void ipm_vm_flags_mod(struct vm_area_struct *vma,
				    unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

/* Since 6.17 (128ea9f6ccfb) the works of the system have other names. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define ipm_unbound_wq system_dfl_wq
#define ipm_percpu_wq system_percpu_wq
#else
#define ipm_unbound_wq system_unbound_wq
#define ipm_percpu_wq system_wq
#endif

/* Since 6.16 (20ca475d9860) call_mmap() is vfs_mmap(). */
static inline int ipm_vfs_mmap(struct file *file, struct vm_area_struct *vma)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
	return vfs_mmap(file, vma);
#else
	return call_mmap(file, vma);
#endif
}

/*
 * Since 7.0, shmem_file_setup() takes its flags as a bitmap ("mm: update
 * shmem_[kernel]_file_*() functions to use vma_flags_t"); mk_vma_flags() came
 * with the same series.
 *
 * Its mount has no limit: where it says that there is no space, what is short is
 * memory for the inode.
 */
static inline struct file *ipm_shmem_file_setup(const char *name, loff_t size,
						bool noreserve)
{
#ifdef mk_vma_flags
	struct file *file = shmem_file_setup(name, size, noreserve ?
					     mk_vma_flags(VMA_NORESERVE_BIT) : EMPTY_VMA_FLAGS);
#else
	struct file *file = shmem_file_setup(name, size, noreserve ? VM_NORESERVE : 0);
#endif

	return file == ERR_PTR(-ENOSPC) ? ERR_PTR(-ENOMEM) : file;
}

/*
 * A reference to a file, or NULL if its last close has begun. The caller keeps
 * its memory. Since 6.7 (0ede61d8589c) get_file_rcu() has another argument.
 */
static inline struct file *ipm_get_file_active(struct file **file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return get_file_active(file);
#else
	return *file && get_file_rcu(*file) ? *file : NULL;
#endif
}

/*
 * From 6.4 to 6.11, mmap() looks once more, after ->mmap(), whether the new area
 * goes on where the one before ends, and then frees it without a ->close().
 * This flag prevents it there, at the price that mremap() cannot make a mapping
 * larger and mlock() passes it by.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define IPM_VM_UNMERGED VM_DONTEXPAND
#else
#define IPM_VM_UNMERGED 0
#endif

#endif /* IPM_COMPAT_H */
