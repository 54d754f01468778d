// SPDX-License-Identifier: GPL-2.0
/*
 * Users, and the limits of what is charged to them.
 *
 * Every kernel object that a caller can make lives in a segment or a handle,
 * and those are charged to a user. The limits are parameters of the module;
 * lowering one takes nothing away, it only refuses more.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include "ipm.h"

static ulong max_segments = 131072;
module_param(max_segments, ulong, 0644);
MODULE_PARM_DESC(max_segments, "segments that a user may have created (131072)");

static ulong max_handles = 65536;
module_param(max_handles, ulong, 0644);
MODULE_PARM_DESC(max_handles, "handles that a user may have open (65536)");

static ulong max_claims = 262144;
module_param(max_claims, ulong, 0644);
MODULE_PARM_DESC(max_claims, "ranges of claims that a user may hold and wait for (262144)");

static ulong max_bytes;
module_param(max_bytes, ulong, 0644);
MODULE_PARM_DESC(max_bytes,
		 "bytes of all segments that a user may have created (0: the machine's memory)");

/* By uid: a list of them goes on where it was, whatever has gone meanwhile. */
static struct rb_root users = RB_ROOT;
static DEFINE_SPINLOCK(users_lock);

/*
 * The user that was asked for last, with a reference: to make and free one for
 * each segment of a user who has nothing else would cost more than the rest.
 * Under users_lock.
 */
static struct ipm_user *recent;

static u64 bytes_max(void)
{
	u64 max = READ_ONCE(max_bytes);

	return max ? max : (u64)totalram_pages() << PAGE_SHIFT;
}

/*
 * Whom the caller's objects are charged to: itself, or, in a user namespace
 * that some user made for himself, that user. Else the ids that it maps would
 * multiply what he may have.
 */
static kuid_t charged_uid(void)
{
	struct user_namespace *ns;
	kuid_t uid = current_uid();

	for (ns = current_user_ns(); ns != &init_user_ns; ns = ns->parent) {
		if (!uid_eq(ns->owner, GLOBAL_ROOT_UID))
			uid = ns->owner;
	}
	return uid;
}

/* The user with the smallest uid that is not below this one, or NULL. */
static struct ipm_user *user_from(kuid_t uid)
{
	struct ipm_user *found = NULL;
	struct rb_node *node = users.rb_node;

	lockdep_assert_held(&users_lock);
	while (node) {
		struct ipm_user *user = rb_entry(node, struct ipm_user, node);

		if (uid_lt(user->uid, uid)) {
			node = node->rb_right;
		} else {
			found = user;
			node = node->rb_left;
		}
	}
	return found;
}

static struct ipm_user *user_lookup(kuid_t uid)
{
	struct ipm_user *user = user_from(uid);

	if (!user || !uid_eq(user->uid, uid))
		return NULL;
	refcount_inc(&user->refs);
	return user;
}

static void user_insert(struct ipm_user *new)
{
	struct rb_node **link = &users.rb_node, *parent = NULL;

	lockdep_assert_held(&users_lock);
	while (*link) {
		parent = *link;
		link = uid_lt(new->uid, rb_entry(parent, struct ipm_user, node)->uid) ?
		       &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &users);
}

static struct ipm_user *remember(struct ipm_user *user)
{
	struct ipm_user *former = NULL;

	spin_lock(&users_lock);
	if (recent != user) {
		refcount_inc(&user->refs);
		former = recent;
		WRITE_ONCE(recent, user);
	}
	spin_unlock(&users_lock);
	if (former)
		ipm_user_put(former);
	return user;
}

/**
 * ipm_user_exit() - forgets the user that was asked for last
 */
void ipm_user_exit(void)
{
	if (recent)
		ipm_user_put(recent);
}

/**
 * ipm_user_get() - whom to charge for what the caller makes
 *
 * Return: a reference, or NULL without memory.
 */
struct ipm_user *ipm_user_get(void)
{
	kuid_t uid = charged_uid();
	struct ipm_user *user, *new;

	spin_lock(&users_lock);
	user = user_lookup(uid);
	spin_unlock(&users_lock);
	/* Whoever is remembered is mostly the one, and a stale look costs little. */
	if (user)
		return user == READ_ONCE(recent) ? user : remember(user);

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	if (percpu_counter_init(&new->ranges, 0, GFP_KERNEL_ACCOUNT)) {
		kfree(new);
		return NULL;
	}
	new->uid = uid;
	refcount_set(&new->refs, 1);

	spin_lock(&users_lock);
	user = user_lookup(uid);
	if (!user)
		user_insert(new);
	spin_unlock(&users_lock);
	if (user) {
		percpu_counter_destroy(&new->ranges);
		kfree(new);
		return remember(user);
	}
	return remember(new);
}

/**
 * ipm_user_put() - gives a reference back
 * @user: user
 */
void ipm_user_put(struct ipm_user *user)
{
	bool last;

	if (refcount_dec_not_one(&user->refs))
		return;
	spin_lock(&users_lock);
	last = refcount_dec_and_test(&user->refs);
	if (last)
		rb_erase(&user->node, &users);
	spin_unlock(&users_lock);
	if (!last)
		return;
	if (atomic64_read(&user->segments) || atomic64_read(&user->handles) ||
	    atomic64_read(&user->bytes) || atomic_read(&user->listeners) ||
	    atomic_read(&user->notices) || percpu_counter_sum(&user->ranges))
		pr_warn("something is still charged to user %u\n",
			from_kuid(&init_user_ns, user->uid));
	percpu_counter_destroy(&user->ranges);
	kfree(user);
}

static atomic64_t *counter(struct ipm_user *user, enum ipm_charge what, u64 *max)
{
	switch (what) {
	case IPM_CHARGE_SEGMENT:
		*max = READ_ONCE(max_segments);
		return &user->segments;
	case IPM_CHARGE_HANDLE:
		*max = READ_ONCE(max_handles);
		return &user->handles;
	case IPM_CHARGE_BYTES:
		break;
	}
	*max = bytes_max();
	return &user->bytes;
}

/**
 * ipm_charge() - charges a user
 * @user: user
 * @what: with what
 * @amount: how many objects or bytes
 *
 * Return: 0, or -ENOSPC beyond the limit.
 */
int ipm_charge(struct ipm_user *user, enum ipm_charge what, u64 amount)
{
	u64 max;
	atomic64_t *count = counter(user, what, &max);

	if ((u64)atomic64_add_return(amount, count) <= max)
		return 0;
	atomic64_sub(amount, count);
	return -ENOSPC;
}

/**
 * ipm_uncharge() - the opposite
 * @user: user
 * @what: with what
 * @amount: how many objects or bytes
 */
void ipm_uncharge(struct ipm_user *user, enum ipm_charge what, u64 amount)
{
	u64 max;

	atomic64_sub(amount, counter(user, what, &max));
}

/**
 * ipm_charge_ranges() - charges a user with a claim
 * @user: user
 * @nr: ranges of the claim
 * @spare: ranges that are about to be uncharged
 *
 * The count is kept per CPU. It is exact near the limit; callers that charge
 * at the same instant may pass it by one claim for each CPU.
 *
 * Return: 0, or -ENOSPC beyond the limit.
 */
int ipm_charge_ranges(struct ipm_user *user, u32 nr, u32 spare)
{
	s64 max = min_t(u64, READ_ONCE(max_claims), S64_MAX - U32_MAX) + spare;

	percpu_counter_add(&user->ranges, nr);
	if (likely(percpu_counter_compare(&user->ranges, max) <= 0))
		return 0;
	percpu_counter_sub(&user->ranges, nr);
	return -ENOSPC;
}

/**
 * ipm_uncharge_ranges() - the opposite
 * @user: user
 * @nr: ranges of the claim
 */
void ipm_uncharge_ranges(struct ipm_user *user, u32 nr)
{
	percpu_counter_sub(&user->ranges, nr);
}

/**
 * ipm_user_from() - the next user in the order of their ids
 * @uid: where to begin
 *
 * Return: a reference to the one with the smallest id that is not below @uid, or
 * NULL.
 */
struct ipm_user *ipm_user_from(kuid_t uid)
{
	struct ipm_user *user;

	spin_lock(&users_lock);
	user = user_from(uid);
	if (user)
		refcount_inc(&user->refs);
	spin_unlock(&users_lock);
	return user;
}

/**
 * ipm_user_limits() - the limits of a user, and what there is
 * @user: user
 * @limits: receives them
 */
void ipm_user_limits(struct ipm_user *user, struct ipm_limits *limits)
{
	*limits = (struct ipm_limits) {
		.segments_max = READ_ONCE(max_segments),
		.segments = atomic64_read(&user->segments),
		.handles_max = READ_ONCE(max_handles),
		.handles = atomic64_read(&user->handles),
		.claims_max = READ_ONCE(max_claims),
		.claims = percpu_counter_sum_positive(&user->ranges),
		.bytes_max = bytes_max(),
		.bytes = atomic64_read(&user->bytes),
	};
}

/**
 * ipm_limits() - IPM_IOC_LIMITS
 * @cmd: ioctl number
 * @arg: struct ipm_limits
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_limits(unsigned int cmd, void __user *arg)
{
	struct ipm_limits req;
	struct ipm_user *user;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	user = ipm_user_get();
	if (!user)
		return -ENOMEM;
	ipm_user_limits(user, &req);
	ipm_user_put(user);
	return ipm_put_arg(&req, sizeof(req), cmd, arg);
}
