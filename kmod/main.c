// SPDX-License-Identifier: GPL-2.0
/*
 * The module and /dev/ipm: the device that makes and finds segments, in the
 * network namespace of the process that opened it.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>
#include "compat.h"
#include "ipm.h"

/* What there is, in all namespaces; shown as parameters of the module. */
atomic_t ipm_nr_segments, ipm_nr_handles, ipm_nr_maps, ipm_nr_waiters;
DEFINE_PER_CPU(long, ipm_nr_claims);

static int count_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%d\n", atomic_read(kp->arg));
}

static int count_claims_get(char *buf, const struct kernel_param *kp)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(ipm_nr_claims, cpu);
	return sysfs_emit(buf, "%ld\n", sum);
}

static const struct kernel_param_ops count_ops = { .get = count_get };
static const struct kernel_param_ops count_claims_ops = { .get = count_claims_get };

module_param_cb(count_segments, &count_ops, &ipm_nr_segments, 0444);
MODULE_PARM_DESC(count_segments, "segments that exist");
module_param_cb(count_handles, &count_ops, &ipm_nr_handles, 0444);
MODULE_PARM_DESC(count_handles, "handles that are open");
module_param_cb(count_maps, &count_ops, &ipm_nr_maps, 0444);
MODULE_PARM_DESC(count_maps, "mappings of segments");
module_param_cb(count_waiters, &count_ops, &ipm_nr_waiters, 0444);
MODULE_PARM_DESC(count_waiters, "claims waited for");
module_param_cb(count_claims, &count_claims_ops, NULL, 0444);
MODULE_PARM_DESC(count_claims, "claims held");

/**
 * ipm_get_other_arg() - ipm_get_arg() of a structure of another size
 * @dst: as there, like the rest
 * @ksize: see there
 * @cmd: see there
 * @arg: see there
 *
 * Return: 0, -EINVAL, -E2BIG or -EFAULT.
 */
int ipm_get_other_arg(void *dst, size_t ksize, unsigned int cmd, void __user *arg)
{
	size_t usize = _IOC_SIZE(cmd);

	return usize < ksize ? -EINVAL : copy_struct_from_user(dst, ksize, arg, usize);
}

/**
 * ipm_put_arg() - copies the structure of an ioctl out
 * @src: where from
 * @ksize: bytes of the structure as this module knows it
 * @cmd: ioctl number
 * @arg: where to; a longer structure's tail is zero and stays so
 *
 * Return: 0 or -EFAULT.
 */
int ipm_put_arg(const void *src, size_t ksize, unsigned int cmd, void __user *arg)
{
	return copy_to_user(arg, src, min_t(size_t, ksize, _IOC_SIZE(cmd))) ? -EFAULT : 0;
}

/**
 * ipm_get_ref_arg() - ipm_get_arg() of a structure that begins with struct ipm_ref
 * @dst: where to; what follows the NUL of a name, or the first byte of what is
 *	none, is left alone
 * @ksize: as there, like the rest
 * @cmd: see there
 * @arg: see there
 *
 * Most of such a structure is a name that is short or not there.
 *
 * Return: 0, -EINVAL, -E2BIG or -EFAULT.
 */
int ipm_get_ref_arg(void *dst, size_t ksize, unsigned int cmd, void __user *arg)
{
	const size_t head = offsetof(struct ipm_ref, name) + 1, tail = sizeof(struct ipm_ref);
	size_t usize = _IOC_SIZE(cmd);
	struct ipm_ref __user *user = arg;
	struct ipm_ref *ref = dst;
	int ret;

	if (usize < ksize)
		return -EINVAL;
	if (usize > ksize) {
		ret = check_zeroed_user(arg + ksize, usize - ksize);
		if (ret <= 0)
			return ret ? ret : -E2BIG;
	}
	if (copy_from_user(dst, arg, head) ||
	    copy_from_user(dst + tail, arg + tail, ksize - tail))
		return -EFAULT;
	if (ref->by == IPM_BY_NAME &&
	    strncpy_from_user(ref->name, user->name, sizeof(ref->name)) < 0)
		return -EFAULT;
	return 0;
}

/**
 * ipm_put_ref_arg() - ipm_put_arg() of such a structure, without the reference
 * @src: where from
 * @ksize: as there, like the rest
 * @cmd: see there; checked by ipm_get_ref_arg()
 * @arg: see there
 *
 * Return: 0 or -EFAULT.
 */
int ipm_put_ref_arg(const void *src, size_t ksize, unsigned int cmd, void __user *arg)
{
	const size_t tail = sizeof(struct ipm_ref);

	return copy_to_user(arg + tail, src + tail,
			    min_t(size_t, ksize, _IOC_SIZE(cmd)) - tail) ? -EFAULT : 0;
}

/**
 * ipm_version() - IPM_IOC_VERSION
 * @cmd: ioctl number
 * @arg: struct ipm_version
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_version(unsigned int cmd, void __user *arg)
{
	struct ipm_version req;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	req = (struct ipm_version) {
		.abi = IPM_ABI_VERSION,
		.features = IPM_FEATURE_CLAIMS | IPM_FEATURE_CONVERT | IPM_FEATURE_RANGES |
			    IPM_FEATURE_ASYNC | IPM_FEATURE_DEADLOCK | IPM_FEATURE_DOUBT |
			    IPM_FEATURE_STATUS | IPM_FEATURE_SLOTS | IPM_FEATURE_DOORBELL |
			    IPM_FEATURE_NETLINK | IPM_FEATURE_SYSV,
		.capacity_max = IPM_CAPACITY_MAX,
		.name_size = IPM_NAME_SIZE,
		.ranges_max = IPM_CLAIM_RANGES_MAX,
		.releases_max = IPM_CLAIM_RELEASES_MAX,
		.doubt_max = IPM_DOUBT_MAX,
		.slots_max = IPM_SLOTS_MAX,
		.release = IPM_RELEASE,
	};
	return ipm_put_arg(&req, sizeof(req), cmd, arg);
}

static int device_open(struct inode *inode, struct file *file)
{
	file->private_data = get_net(current->nsproxy->net_ns);
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	put_net(file->private_data);
	return 0;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ipm_ns *ns = ipm_ns_of(file->private_data);
	void __user *user = (void __user *)arg;

	switch (cmd & ~IOCSIZE_MASK) {
	case IPM_IOC_VERSION & ~IOCSIZE_MASK:
		return ipm_version(cmd, user);
	case IPM_IOC_LIMITS & ~IOCSIZE_MASK:
		return ipm_limits(cmd, user);
	case IPM_IOC_CREATE & ~IOCSIZE_MASK:
		return ipm_segment_create(ns, cmd, user);
	case IPM_IOC_OPEN & ~IOCSIZE_MASK:
		return ipm_segment_open(ns, cmd, user);
	case IPM_IOC_REMOVE & ~IOCSIZE_MASK:
		return ipm_segment_remove(ns, NULL, cmd, user);
	case IPM_IOC_INFO & ~IOCSIZE_MASK:
		return ipm_segment_info(ns, NULL, cmd, user);
	case IPM_IOC_SET & ~IOCSIZE_MASK:
		return ipm_segment_set(ns, NULL, cmd, user);
	case IPM_IOC_MAPPING & ~IOCSIZE_MASK:
		return ipm_map_find(ns, cmd, user);
	}
	return -ENOTTY;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	return ipm_map_attach(ipm_ns_of(file->private_data), vma);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ipm",
	.fops = &device_fops,
	.mode = 0666,
};

static int __init ipm_init(void)
{
	int ret;

	ret = ipm_claim_init();
	if (ret)
		return ret;
	ret = ipm_handle_init();
	if (ret)
		goto claim_exit;
	ret = ipm_status_init();
	if (ret)
		goto handle_exit;
	ret = ipm_segment_init();
	if (ret)
		goto status_exit;
	ret = ipm_netlink_init();
	if (ret)
		goto segment_exit;
	ret = misc_register(&device);
	if (ret)
		goto netlink_exit;
	return 0;

netlink_exit:
	ipm_netlink_exit();
segment_exit:
	ipm_segment_exit();
status_exit:
	ipm_status_exit();
handle_exit:
	ipm_handle_exit();
claim_exit:
	ipm_claim_exit();
	return ret;
}

static void __exit ipm_exit(void)
{
	misc_deregister(&device);
	ipm_netlink_exit();
	ipm_segment_exit();
	ipm_status_exit();
	ipm_handle_exit();
	ipm_claim_exit();
	ipm_user_exit();
	if (atomic_read(&ipm_nr_segments) || atomic_read(&ipm_nr_handles) ||
	    atomic_read(&ipm_nr_maps) || atomic_read(&ipm_nr_waiters))
		pr_warn("unloaded with segments, handles, mappings or waiters left\n");
}

module_init(ipm_init);
module_exit(ipm_exit);

MODULE_DESCRIPTION("Shared memory that survives the crash of its users");
MODULE_AUTHOR("The IPM authors");
MODULE_VERSION(IPM_RELEASE);
MODULE_LICENSE("GPL");
