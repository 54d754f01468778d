// SPDX-License-Identifier: GPL-2.0
/*
 * Segments: shared pages with an owner, a mode, a size and a capacity, and
 * the names, keys and ids by which they are found in a network namespace.
 *
 * A segment lives while it has users: handles, mappings, and one for itself
 * while it is persistent and not removed. When the last one goes it leaves
 * the tables and ends. Lookups run under RCU and take a use only where there
 * still is one, so a segment that is about to leave is not found; one that
 * wants its name meanwhile takes it out of the table itself.
 *
 * Making one: everything that can fail comes first, the copy of the result to
 * the caller last but one, and then it is put into the tables, complete.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/jhash.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pid_namespace.h>
#include <linux/rhashtable.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "compat.h"
#include "ipm.h"
#include "trace.h"

#define MODE_BITS 0666

/* Names and keys of all namespaces; changed under the namespace's lock. */

static u32 label_hash(const void *data, u32 len, u32 seed)
{
	const struct ipm_label *label = data;
	u32 hash = jhash_2words(label->by, label->key, seed);

	if (label->by == IPM_BY_NAME)
		hash = jhash(label->name, strlen(label->name), hash);
	return hash ^ hash_ptr(label->ns, 32);
}

static u32 label_obj_hash(const void *data, u32 len, u32 seed)
{
	const struct ipm_segment *seg = data;

	return label_hash(&seg->label, len, seed);
}

static int label_compare(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct ipm_segment *seg = obj;
	const struct ipm_label *a = arg->key, *b = &seg->label;

	if (a->ns != b->ns || a->by != b->by || a->key != b->key)
		return 1;
	return a->by == IPM_BY_NAME && strcmp(a->name, b->name);
}

static const struct rhashtable_params label_params = {
	.key_len = sizeof(struct ipm_label),
	.key_offset = offsetof(struct ipm_segment, label),
	.head_offset = offsetof(struct ipm_segment, node),
	.hashfn = label_hash,
	.obj_hashfn = label_obj_hash,
	.obj_cmpfn = label_compare,
	.automatic_shrinking = true,
};

static struct rhashtable labels;
static struct kmem_cache *segment_cache;

/* Namespaces. */

static unsigned int net_id;

struct ipm_net {
	struct ipm_ns *ns;
};

static void ns_put(struct ipm_ns *ns)
{
	if (!refcount_dec_and_test(&ns->refs))
		return;
	WARN_ON_ONCE(!xa_empty(&ns->ids));
	xa_destroy(&ns->ids);
	put_user_ns(ns->user_ns);
	kfree(ns);
}

/**
 * ipm_ns_of() - the segments of a network namespace
 * @net: network namespace, which the caller keeps
 *
 * Return: its segments; never NULL.
 */
struct ipm_ns *ipm_ns_of(struct net *net)
{
	struct ipm_net *ipm_net = net_generic(net, net_id);

	return ipm_net->ns;
}

static int __net_init net_begin(struct net *net)
{
	struct ipm_net *ipm_net = net_generic(net, net_id);
	struct ipm_ns *ns;

	ns = kzalloc(sizeof(*ns), GFP_KERNEL_ACCOUNT);
	if (!ns)
		return -ENOMEM;
	refcount_set(&ns->refs, 1);
	ns->user_ns = get_user_ns(net->user_ns);
	mutex_init(&ns->lock);
	xa_init_flags(&ns->ids, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	ipm_netlink_begin(ns);
	ipm_net->ns = ns;
	return 0;
}

static int segment_unlink(struct ipm_segment *seg);

/* Removes what is left in a namespace: what is persistent, or passed on. */
static void __net_exit net_end(struct net *net)
{
	struct ipm_ns *ns = ipm_ns_of(net);
	struct ipm_segment *seg;
	unsigned long id = 0;

	/* None is made any more: that needs a device, which keeps the namespace. */
	for (;;) {
		rcu_read_lock();
		seg = xa_find(&ns->ids, &id, ULONG_MAX, XA_PRESENT);
		if (seg && !refcount_inc_not_zero(&seg->users))
			seg = NULL;
		rcu_read_unlock();
		if (seg) {
			segment_unlink(seg);
			ipm_segment_put(seg);
		}
		if (!xa_find_after(&ns->ids, &id, ULONG_MAX, XA_PRESENT))
			break;
	}
	ipm_netlink_end(ns);
	if (ns->spare_id)
		xa_erase(&ns->ids, ns->spare_id);
	ns_put(ns);
}

static struct pernet_operations net_ops = {
	.init = net_begin,
	.exit = net_end,
	.id = &net_id,
	.size = sizeof(struct ipm_net),
};

/**
 * ipm_segment_init() - prepares segments for the module
 *
 * Return: 0 or an error.
 */
int ipm_segment_init(void)
{
	int ret;

	segment_cache = KMEM_CACHE(ipm_segment, SLAB_ACCOUNT);
	if (!segment_cache)
		return -ENOMEM;
	ret = rhashtable_init(&labels, &label_params);
	if (ret)
		goto cache_destroy;
	ret = register_pernet_subsys(&net_ops);
	if (ret)
		goto table_destroy;
	return 0;

table_destroy:
	rhashtable_destroy(&labels);
cache_destroy:
	kmem_cache_destroy(segment_cache);
	return ret;
}

/**
 * ipm_segment_exit() - the opposite; no segment is left
 */
void ipm_segment_exit(void)
{
	unregister_pernet_subsys(&net_ops);
	rcu_barrier();
	rhashtable_destroy(&labels);
	kmem_cache_destroy(segment_cache);
}

/* Life of a segment. */

/* Takes a segment's name or key away. */
static void unlabel(struct ipm_segment *seg)
{
	lockdep_assert_held(&seg->ns->lock);
	if (!seg->labelled)
		return;
	rhashtable_remove_fast(&labels, &seg->node, label_params);
	seg->labelled = false;
}

/* Gives a segment the name or key of its label. */
static int label(struct ipm_segment *seg)
{
	struct ipm_segment *other;

	lockdep_assert_held(&seg->ns->lock);
	for (;;) {
		other = rhashtable_lookup_get_insert_key(&labels, &seg->label, &seg->node,
							 label_params);
		if (IS_ERR(other))
			return -ENOMEM;
		if (!other)
			break;
		if (refcount_read(&other->users))
			return -EEXIST;
		/* It has ended, and waits for our lock to leave the table. */
		unlabel(other);
	}
	seg->labelled = true;
	return 0;
}

static void segment_free_rcu(struct rcu_head *rcu)
{
	struct ipm_segment *seg = container_of(rcu, struct ipm_segment, rcu);

	kfree(seg->label.name);
	kmem_cache_free(segment_cache, seg);
}

/*
 * Frees what a segment has. It is in no table any more, or never was; lookups
 * may still read it until a grace period has passed.
 */
static void segment_free(struct ipm_segment *seg)
{
	int i;

	/* Nobody waits any more; it may have been the last to see that. */
	if (seg->waker_used)
		cancel_work_sync(&seg->waker);
	for (i = 0; i < IPM_DEAD_MAX; i++)
		put_pid(seg->dead[i]);
	if (seg->file_ro)
		fput(seg->file_ro);
	if (seg->file)
		fput(seg->file);
	ipm_status_free(seg);
	ipm_doubt_free(seg);
	ipm_uncharge(seg->user, IPM_CHARGE_BYTES, seg->charged);
	ipm_uncharge(seg->user, IPM_CHARGE_SEGMENT, 1);
	ipm_user_put(seg->user);
	put_pid(seg->creator);
	put_pid(seg->last_pid);
	ns_put(seg->ns);
	call_rcu(&seg->rcu, segment_free_rcu);
	atomic_dec(&ipm_nr_segments);
}

/* What those who listen are to be told of a segment, or NULL; under seg->lock. */
static struct ipm_notice *notice_life(struct ipm_segment *seg, u32 event)
{
	struct ipm_notice *notice;

	lockdep_assert_held(&seg->lock);
	if (!ipm_listens(seg, IPM_NL_GROUP_LIFE))
		return NULL;
	notice = ipm_notice_new(seg, event, IPM_NL_GROUP_LIFE);
	if (notice) {
		notice->state = ipm_segment_state(seg);
		notice->size = seg->size;
		notice->capacity = seg->capacity;
	}
	return notice;
}

/* Tells them what became of it and its name; under ns->lock. */
static void tell_life(struct ipm_segment *seg, u32 event)
{
	struct ipm_notice *notice;

	lockdep_assert_held(&seg->ns->lock);
	if (!ipm_listens(seg, IPM_NL_GROUP_LIFE))
		return;
	spin_lock(&seg->lock);
	notice = notice_life(seg, event);
	spin_unlock(&seg->lock);
	ipm_notice_send(seg, ipm_notice_label(notice, seg));
}

/**
 * ipm_segment_put() - gives a use back; the last one ends the segment
 * @seg: segment
 *
 * May be called with mmap_lock held.
 */
void ipm_segment_put(struct ipm_segment *seg)
{
	struct ipm_ns *ns = seg->ns;

	if (!refcount_dec_and_test(&seg->users))
		return;
	mutex_lock(&ns->lock);
	unlabel(seg);
	xa_erase(&ns->ids, seg->id);
	if (seg->published) {
		WRITE_ONCE(ns->changes, ns->changes + 1);
		tell_life(seg, IPM_NL_EVENT_GONE);
		trace_ipm_segment_destroy(seg->id, seg->size, seg->capacity);
	}
	mutex_unlock(&ns->lock);

	/* The status page may outlive it in a mapping. */
	spin_lock(&seg->lock);
	WRITE_ONCE(seg->state, seg->state | IPM_STATE_REMOVED);
	ipm_status_update(seg);
	spin_unlock(&seg->lock);
	segment_free(seg);
}

/* A file of shmem's that was just opened becomes one of a segment. */
static struct file *adopt(struct file *file)
{
	int ret;

	if (IS_ERR(file))
		return file;
	ret = ipm_map_adopt(file);
	if (!ret)
		return file;
	fput(file);
	return ERR_PTR(ret);
}

/**
 * ipm_segment_file() - the file that a handle of this access maps
 * @seg: segment
 * @access: IPM_READ_ONLY or IPM_READ_WRITE
 *
 * The one for reading is opened when it is first wanted.
 *
 * Return: the file, which the segment keeps, or an error.
 */
struct file *ipm_segment_file(struct ipm_segment *seg, u32 access)
{
	struct file *file;

	if (access == IPM_READ_WRITE)
		return seg->file;
	/* Pairs with smp_store_release() below. */
	file = smp_load_acquire(&seg->file_ro);
	if (file)
		return file;
	mutex_lock(&seg->setup);
	file = seg->file_ro;
	if (!file) {
		file = adopt(dentry_open(&seg->file->f_path, O_RDONLY | O_LARGEFILE,
					 current_cred()));
		if (!IS_ERR(file)) {
			/* Pairs with smp_load_acquire() above. */
			smp_store_release(&seg->file_ro, file);
		}
	}
	mutex_unlock(&seg->setup);
	return file;
}

/**
 * ipm_segment_state() - the state as the ABI has it
 * @seg: segment
 *
 * Return: IPM_STATE_* bits.
 */
u32 ipm_segment_state(const struct ipm_segment *seg)
{
	return seg->state | (seg->nr_doubt ? IPM_STATE_IN_DOUBT : 0) |
	       (seg->flags & IPM_CREATE_PREALLOCATE ? IPM_STATE_PREALLOCATED : 0) |
	       (seg->flags & IPM_CREATE_NORESERVE ? IPM_STATE_NORESERVE : 0);
}

/* Shows users a change; under seg->lock. Those who listen are to be told without it. */
static void show_change(struct ipm_segment *seg)
{
	seg->changes++;
	ipm_status_update(seg);
}

/* A change of what the segment is; under seg->lock, as above. */
static void changed(struct ipm_segment *seg)
{
	seg->change_time = ktime_get_real_ns();
	show_change(seg);
}

/* Rights. */

/**
 * ipm_segment_rights() - what decides who may do what with a segment now
 * @seg: segment
 * @rights: receives it
 */
void ipm_segment_rights(struct ipm_segment *seg, struct ipm_rights *rights)
{
	spin_lock(&seg->lock);
	*rights = (struct ipm_rights) {
		.mode = seg->mode,
		.uid = seg->uid,
		.cuid = seg->cuid,
		.gid = seg->gid,
		.cgid = seg->cgid,
	};
	spin_unlock(&seg->lock);
}

/**
 * ipm_rights_owner() - is the caller owner or creator?
 * @rights: of the segment
 *
 * Return: whether it is.
 */
bool ipm_rights_owner(const struct ipm_rights *rights)
{
	kuid_t euid = current_euid();

	return uid_eq(euid, rights->cuid) || uid_eq(euid, rights->uid);
}

/**
 * ipm_rights_permit() - does the mode give the caller these rights?
 * @rights: of the segment
 * @wanted: 04 to read and 02 to write
 *
 * As ipcperms() has it, without the capability.
 *
 * Return: whether it does.
 */
bool ipm_rights_permit(const struct ipm_rights *rights, umode_t wanted)
{
	umode_t granted = rights->mode;

	if (ipm_rights_owner(rights))
		granted >>= 6;
	else if (in_group_p(rights->cgid) || in_group_p(rights->gid))
		granted >>= 3;
	return !(wanted & ~granted);
}

/* Has the caller these rights, 04 to read and 02 to write? */
static bool permits_mode(struct ipm_segment *seg, umode_t wanted)
{
	struct ipm_rights rights;

	ipm_segment_rights(seg, &rights);
	return ipm_rights_permit(&rights, wanted) ||
	       ns_capable(seg->ns->user_ns, CAP_IPC_OWNER);
}

/* May the caller open the segment so? */
static bool permits(struct ipm_segment *seg, u32 access)
{
	return permits_mode(seg, access == IPM_READ_WRITE ? 06 : 04);
}

/**
 * ipm_segment_owned() - may the caller change and remove the segment?
 * @seg: segment
 *
 * Return: whether it is its owner or creator, or has CAP_IPC_OWNER.
 */
bool ipm_segment_owned(struct ipm_segment *seg)
{
	struct ipm_rights rights;

	ipm_segment_rights(seg, &rights);
	return ipm_rights_owner(&rights) || ns_capable(seg->ns->user_ns, CAP_IPC_OWNER);
}

/* Finding a segment. */

/* Is a reference well formed, and of a kind that @kinds allows? */
static int ref_check(const struct ipm_ref *ref, unsigned int kinds)
{
	bool by_name = ref->by == IPM_BY_NAME, by_key = ref->by == IPM_BY_KEY;
	bool by_id = ref->by == IPM_BY_ID;

	if (ref->by > IPM_BY_ID || !(kinds & BIT(ref->by)) || ref->reserved ||
	    by_key != !!ref->key || by_id != !!ref->id || by_name != !!ref->name[0])
		return -EINVAL;
	if (!by_name)
		return 0;
	if (strnlen(ref->name, sizeof(ref->name)) == sizeof(ref->name))
		return -ENAMETOOLONG;
	if (!strcmp(ref->name, ".") || !strcmp(ref->name, "..") || strchr(ref->name, '/'))
		return -EINVAL;
	return 0;
}

#define BY_LABEL (BIT(IPM_BY_NAME) | BIT(IPM_BY_KEY))
#define BY_ANY (BY_LABEL | BIT(IPM_BY_ID))

/* A use of the segment that is meant, or an error. */
static struct ipm_segment *find(struct ipm_ns *ns, const struct ipm_ref *ref, bool removed)
{
	struct ipm_label label = {
		.ns = ns,
		.by = ref->by,
		.key = ref->key,
		.name = ref->name,
	};
	struct ipm_segment *seg;

	rcu_read_lock();
	if (ref->by == IPM_BY_ID)
		seg = xa_load(&ns->ids, ref->id);
	else
		seg = rhashtable_lookup(&labels, &label, label_params);
	if (seg && !refcount_inc_not_zero(&seg->users))
		seg = NULL;
	rcu_read_unlock();
	if (!seg)
		return ERR_PTR(-ENOENT);
	if (!removed && (READ_ONCE(seg->state) & IPM_STATE_REMOVED)) {
		ipm_segment_put(seg);
		return ERR_PTR(ref->by == IPM_BY_ID ? -EIDRM : -ENOENT);
	}
	return seg;
}

/**
 * ipm_segment_attach() - finds a segment to be mapped
 * @ns: namespace
 * @id: its number, not 0
 * @access: IPM_READ_ONLY or IPM_READ_WRITE, which its mode has to allow
 *
 * Return: the segment with a use for the caller, or an error.
 */
struct ipm_segment *ipm_segment_attach(struct ipm_ns *ns, u32 id, u32 access)
{
	struct ipm_ref ref = { .by = IPM_BY_ID, .id = id };
	struct ipm_segment *seg = find(ns, &ref, true);

	if (IS_ERR(seg) || permits(seg, access))
		return seg;
	ipm_segment_put(seg);
	return ERR_PTR(-EACCES);
}

/*
 * A use of the first segment whose id is not below this one, that the caller
 * may read; or an error.
 */
static struct ipm_segment *find_next(struct ipm_ns *ns, unsigned long id, bool removed)
{
	struct ipm_segment *seg;

	for (;; id++) {
		rcu_read_lock();
		seg = xa_find(&ns->ids, &id, INT_MAX, XA_PRESENT);
		if (!seg) {
			rcu_read_unlock();
			return ERR_PTR(-ENOENT);
		}
		if (!refcount_inc_not_zero(&seg->users))
			seg = NULL;
		rcu_read_unlock();
		if (!seg)
			continue;
		if ((removed || !(READ_ONCE(seg->state) & IPM_STATE_REMOVED)) &&
		    permits(seg, IPM_READ_ONLY))
			return seg;
		ipm_segment_put(seg);
		cond_resched();
	}
}

/**
 * ipm_segment_get() - the segment of an id, also one that was removed
 * @ns: namespace, locked
 * @id: id
 *
 * Return: the segment, which ends no earlier than the lock is given up, or NULL.
 */
struct ipm_segment *ipm_segment_get(struct ipm_ns *ns, u32 id)
{
	struct ipm_segment *seg;

	lockdep_assert_held(&ns->lock);
	seg = xa_load(&ns->ids, id);
	return seg && refcount_read(&seg->users) ? seg : NULL;
}

/**
 * ipm_segment_from() - the next segment in the order of their ids
 * @ns: namespace, locked
 * @id: where to begin
 *
 * Return: the one with the smallest id that is not below @id, which ends no
 * earlier than the lock is given up, or NULL.
 */
struct ipm_segment *ipm_segment_from(struct ipm_ns *ns, u32 id)
{
	unsigned long index = id;
	struct ipm_segment *seg;

	lockdep_assert_held(&ns->lock);
	for (seg = xa_find(&ns->ids, &index, INT_MAX, XA_PRESENT); seg;
	     seg = xa_find_after(&ns->ids, &index, INT_MAX, XA_PRESENT)) {
		if (refcount_read(&seg->users))
			break;
	}
	return seg;
}

/* Making and opening. */

/* Would a file of this size pass the caller's limit? */
static bool beyond_rlimit(u64 size)
{
	return size > rlimit(RLIMIT_FSIZE);
}

/*
 * Makes the pages of a part of a file. Unlike fallocate it fails where there is
 * no memory, instead of ending a process that has some.
 */
static int populate(struct file *file, u64 from, u64 to)
{
	struct address_space *mapping = file->f_mapping;
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_RETRY_MAYFAIL | __GFP_NOWARN;
	pgoff_t index, end = PAGE_ALIGN(to) >> PAGE_SHIFT;

	for (index = from >> PAGE_SHIFT; index < end; index++) {
		struct page *page = shmem_read_mapping_page_gfp(mapping, index, gfp);

		if (IS_ERR(page))
			return PTR_ERR(page) == -ENOSPC ? -ENOMEM : PTR_ERR(page);
		/* A clean page could be taken away again. */
		lock_page(page);
		set_page_dirty(page);
		unlock_page(page);
		put_page(page);
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static struct file *make_file(const struct ipm_create *req)
{
	static const char prefix[] = { 'i', 'p', 'm', ':' };
	char room[sizeof(prefix) + IPM_NAME_SIZE];
	const char *name = "ipm";
	struct file *file;
	int ret;

	/* What /proc shows of a mapping. */
	if (req->ref.by == IPM_BY_NAME) {
		memcpy(room, prefix, sizeof(prefix));
		strscpy(room + sizeof(prefix), req->ref.name, IPM_NAME_SIZE);
		name = room;
	} else if (req->ref.by == IPM_BY_KEY) {
		snprintf(room, sizeof(room), "ipm-key:%d", req->ref.key);
		name = room;
	}
	file = adopt(ipm_shmem_file_setup(name, req->size, req->flags & IPM_CREATE_NORESERVE));
	if (IS_ERR(file) || !(req->flags & IPM_CREATE_PREALLOCATE))
		return file;
	ret = populate(file, 0, req->size);
	if (ret) {
		fput(file);
		return ERR_PTR(ret);
	}
	return file;
}

/*
 * Reserves an id. The one after it is reserved, too, for the next segment: it keeps
 * the nodes of the table, which a segment that comes and goes would make and free.
 */
static int id_reserve(struct ipm_ns *ns, u32 *id)
{
	u32 spare;
	int ret = 0;

	mutex_lock(&ns->lock);
	*id = ns->spare_id;
	ns->spare_id = 0;
	if (!*id)
		ret = xa_alloc_cyclic(&ns->ids, id, NULL, XA_LIMIT(1, INT_MAX),
				      &ns->next_id, GFP_KERNEL_ACCOUNT);
	if (ret >= 0 && xa_alloc_cyclic(&ns->ids, &spare, NULL, XA_LIMIT(1, INT_MAX),
					&ns->next_id, GFP_KERNEL_ACCOUNT) >= 0)
		ns->spare_id = spare;
	mutex_unlock(&ns->lock);
	if (ret < 0)
		return ret == -EBUSY ? -ENOSPC : ret;
	return 0;
}

/*
 * A new segment with one use, with an id that is reserved and not yet in the
 * tables.
 */
static struct ipm_segment *segment_make(struct ipm_ns *ns, const struct ipm_create *req)
{
	struct ipm_segment *seg;
	int ret = -ENOMEM, i;

	seg = kmem_cache_zalloc(segment_cache, GFP_KERNEL_ACCOUNT);
	if (!seg)
		return ERR_PTR(-ENOMEM);
	seg->user = ipm_user_get();
	if (!seg->user)
		goto free;
	ret = ipm_charge(seg->user, IPM_CHARGE_SEGMENT, 1);
	if (ret)
		goto user_put;
	seg->charged = PAGE_ALIGN(req->size);
	ret = ipm_charge(seg->user, IPM_CHARGE_BYTES, seg->charged);
	if (ret)
		goto uncharge_segment;
	if (req->ref.by == IPM_BY_NAME) {
		ret = -ENOMEM;
		seg->label.name = kstrdup(req->ref.name, GFP_KERNEL_ACCOUNT);
		if (!seg->label.name)
			goto uncharge_bytes;
	}
	seg->file = make_file(req);
	ret = PTR_ERR_OR_ZERO(seg->file);
	if (ret)
		goto free_name;
	ret = id_reserve(ns, &seg->id);
	if (ret)
		goto put_file;

	refcount_set(&seg->users, 1);
	refcount_inc(&ns->refs);
	seg->ns = ns;
	seg->label.ns = ns;
	seg->label.by = req->ref.by;
	seg->label.key = req->ref.key;
	mutex_init(&seg->setup);
	mutex_init(&seg->grow);
	spin_lock_init(&seg->lock);
	seg->size = req->size;
	seg->capacity = req->capacity ? req->capacity : req->size;
	seg->flags = req->flags & (IPM_CREATE_PREALLOCATE | IPM_CREATE_NORESERVE);
	seg->state = req->flags & IPM_CREATE_PERSISTENT ? IPM_STATE_PERSISTENT : 0;
	seg->mode = req->mode;
	seg->creator = get_pid(task_tgid(current));
	seg->uid = current_euid();
	seg->cuid = seg->uid;
	seg->gid = current_egid();
	seg->cgid = seg->gid;
	seg->create_time = ktime_get_real_ns();
	seg->change_time = seg->create_time;
	for (i = 0; i < 2; i++) {
		seg->held[i] = RB_ROOT;
		seg->waiting[0][i] = RB_ROOT;
		seg->waiting[1][i] = RB_ROOT;
	}
	seg->line = RB_ROOT;
	seg->by_number = RB_ROOT;
	seg->next_number = 1;
	INIT_LIST_HEAD(&seg->wake);
	INIT_LIST_HEAD(&seg->wake_long);
	INIT_LIST_HEAD(&seg->owed);
	INIT_WORK(&seg->waker, ipm_claim_wake);
	INIT_LIST_HEAD(&seg->until_removed);
	INIT_LIST_HEAD(&seg->handles);
	INIT_LIST_HEAD(&seg->listeners);
	seg->next_id_claim = 1;
	seg->next_seq = 1;
	seg->doubt = seg->doubt_embedded;
	atomic_inc(&ipm_nr_segments);
	return seg;

put_file:
	fput(seg->file);
free_name:
	kfree(seg->label.name);
uncharge_bytes:
	ipm_uncharge(seg->user, IPM_CHARGE_BYTES, seg->charged);
uncharge_segment:
	ipm_uncharge(seg->user, IPM_CHARGE_SEGMENT, 1);
user_put:
	ipm_user_put(seg->user);
free:
	kmem_cache_free(segment_cache, seg);
	return ERR_PTR(ret);
}

/* Puts a new segment into the tables. */
static int segment_publish(struct ipm_segment *seg)
{
	bool persistent = seg->state & IPM_STATE_PERSISTENT;
	struct ipm_ns *ns = seg->ns;
	int ret = 0;

	mutex_lock(&ns->lock);
	/* First: once it has its name, a SET may already take this use away. */
	if (persistent)
		refcount_inc(&seg->users);
	if (seg->label.by != IPM_BY_NONE)
		ret = label(seg);
	if (!ret) {
		/* The place is reserved: this needs no memory. */
		xa_store(&ns->ids, seg->id, seg, GFP_KERNEL_ACCOUNT);
		seg->published = true;
		WRITE_ONCE(ns->changes, ns->changes + 1);
		tell_life(seg, IPM_NL_EVENT_CREATED);
		trace_ipm_segment_create(seg->id, seg->size, seg->capacity);
	} else if (persistent) {
		/* Nobody has seen it, and the caller still uses it. */
		refcount_dec(&seg->users);
	}
	mutex_unlock(&ns->lock);
	return ret;
}

/* A new handle on a segment with a file descriptor that is not installed. */
static struct file *open_handle(struct ipm_segment *seg, u32 access, bool cloexec, int *fd)
{
	struct file *file;

	*fd = get_unused_fd_flags(cloexec ? O_CLOEXEC : 0);
	if (*fd < 0)
		return ERR_PTR(*fd);
	file = ipm_handle_file(seg, access);
	if (IS_ERR(file))
		put_unused_fd(*fd);
	return file;
}

/* Opens what exists under the name or key of a CREATE. */
static long create_opens(struct ipm_segment *seg, struct ipm_create *req,
			 unsigned int cmd, void __user *arg)
{
	struct file *file;
	int fd;

	if (req->flags & IPM_CREATE_EXCLUSIVE)
		return -EEXIST;
	if (!permits(seg, req->access))
		return -EACCES;
	if (req->size > READ_ONCE(seg->size))
		return -EINVAL;
	file = open_handle(seg, req->access, !(req->flags & IPM_CREATE_NO_CLOEXEC), &fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	req->size = READ_ONCE(seg->size);
	req->capacity = seg->capacity;
	req->id = seg->id;
	req->created = 0;
	if (ipm_put_ref_arg(req, sizeof(*req), cmd, arg)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
}

/* Makes what a CREATE asks for; -EEXIST if somebody else just did. */
static long create_makes(struct ipm_ns *ns, const struct ipm_create *req,
			 unsigned int cmd, void __user *arg)
{
	struct ipm_create out = *req;
	struct ipm_segment *seg;
	struct file *file;
	int fd, ret;

	seg = segment_make(ns, req);
	if (IS_ERR(seg))
		return PTR_ERR(seg);
	file = open_handle(seg, req->access, !(req->flags & IPM_CREATE_NO_CLOEXEC), &fd);
	ret = PTR_ERR_OR_ZERO(file);
	if (ret)
		goto put;
	out.capacity = seg->capacity;
	out.id = seg->id;
	out.created = 1;
	ret = ipm_put_ref_arg(&out, sizeof(out), cmd, arg);
	if (!ret) {
		ret = segment_publish(seg);
		/* What was told is not so: put back what was asked. */
		if (ret && ipm_put_ref_arg(req, sizeof(*req), cmd, arg))
			ret = -EFAULT;
	}
	if (ret) {
		put_unused_fd(fd);
		fput(file);
	} else {
		fd_install(fd, file);
	}
put:
	ipm_segment_put(seg);
	return ret ? ret : fd;
}

#define CREATE_FLAGS (IPM_CREATE_EXCLUSIVE | IPM_CREATE_PERSISTENT | IPM_CREATE_PREALLOCATE | \
		      IPM_CREATE_NORESERVE | IPM_CREATE_NO_CLOEXEC | IPM_CREATE_EMPTY)

/**
 * ipm_segment_create() - IPM_IOC_CREATE
 * @ns: namespace
 * @cmd: ioctl number
 * @arg: struct ipm_create
 *
 * Return: a file descriptor or an error of the table in the ABI header.
 */
long ipm_segment_create(struct ipm_ns *ns, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg;
	struct ipm_create req;
	long ret;

	ret = ipm_get_ref_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&req.ref, BIT(IPM_BY_NONE) | BY_LABEL);
	if (ret)
		return ret;
	if ((req.flags & ~CREATE_FLAGS) || req.reserved || req.access > IPM_READ_WRITE ||
	    (req.mode & ~MODE_BITS) || (!req.size && !(req.flags & IPM_CREATE_EMPTY)))
		return -EINVAL;
	if (req.size > IPM_CAPACITY_MAX || req.capacity > IPM_CAPACITY_MAX)
		return -EFBIG;
	if (req.capacity && req.capacity < req.size)
		return -EINVAL;

	do {
		seg = ERR_PTR(-ENOENT);
		if (req.ref.by != IPM_BY_NONE)
			seg = find(ns, &req.ref, false);
		if (!IS_ERR(seg)) {
			ret = create_opens(seg, &req, cmd, arg);
			ipm_segment_put(seg);
			return ret;
		}
		if (beyond_rlimit(req.size))
			return -EFBIG;
		ret = create_makes(ns, &req, cmd, arg);
	} while (ret == -EEXIST && !(req.flags & IPM_CREATE_EXCLUSIVE));
	return ret;
}

/* What OPEN and REOPEN have in common. */
static long open_segment(struct ipm_segment *seg, struct ipm_open *req,
			 unsigned int cmd, void __user *arg)
{
	struct file *file;
	int fd;

	file = open_handle(seg, req->access, !(req->flags & IPM_OPEN_NO_CLOEXEC), &fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	req->size = READ_ONCE(seg->size);
	req->capacity = seg->capacity;
	req->id = seg->id;
	if (ipm_put_ref_arg(req, sizeof(*req), cmd, arg)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
}

/**
 * ipm_segment_open() - IPM_IOC_OPEN
 * @ns: namespace
 * @cmd: ioctl number
 * @arg: struct ipm_open
 *
 * Return: a file descriptor or an error of the table in the ABI header.
 */
long ipm_segment_open(struct ipm_ns *ns, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg;
	struct ipm_open req;
	long ret;

	ret = ipm_get_ref_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&req.ref, BY_ANY);
	if (ret)
		return ret;
	if ((req.flags & ~(IPM_OPEN_NO_CLOEXEC | IPM_OPEN_REMOVED)) || req.reserved ||
	    req.access > IPM_READ_WRITE ||
	    ((req.flags & IPM_OPEN_REMOVED) && req.ref.by != IPM_BY_ID))
		return -EINVAL;
	seg = find(ns, &req.ref, req.flags & IPM_OPEN_REMOVED);
	if (IS_ERR(seg))
		return PTR_ERR(seg);
	if (permits(seg, req.access))
		ret = open_segment(seg, &req, cmd, arg);
	else
		ret = -EACCES;
	ipm_segment_put(seg);
	return ret;
}

/**
 * ipm_segment_reopen() - IPM_IOC_REOPEN
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_open
 *
 * Return: a file descriptor or an error of the table in the ABI header.
 */
long ipm_segment_reopen(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_open req;
	long ret;

	ret = ipm_get_ref_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&req.ref, BIT(IPM_BY_NONE));
	if (ret)
		return ret;
	if ((req.flags & ~IPM_OPEN_NO_CLOEXEC) || req.reserved || req.access > IPM_READ_WRITE)
		return -EINVAL;
	if (req.access > handle->access)
		return -EACCES;
	return open_segment(handle->seg, &req, cmd, arg);
}

/* Changing. */

/* Removes a segment that the caller uses; -EIDRM if it was already. */
static int segment_unlink(struct ipm_segment *seg)
{
	bool removed, persistent;

	mutex_lock(&seg->ns->lock);
	spin_lock(&seg->lock);
	removed = seg->state & IPM_STATE_REMOVED;
	persistent = seg->state & IPM_STATE_PERSISTENT;
	if (!removed) {
		WRITE_ONCE(seg->state, seg->state | IPM_STATE_REMOVED);
		show_change(seg);
	}
	spin_unlock(&seg->lock);
	if (!removed) {
		unlabel(seg);
		WRITE_ONCE(seg->ns->changes, seg->ns->changes + 1);
		tell_life(seg, IPM_NL_EVENT_REMOVED);
	}
	mutex_unlock(&seg->ns->lock);
	if (removed)
		return -EIDRM;
	ipm_bell_tell(seg, IPM_HEAR_CHANGED | IPM_HEAR_REMOVED);
	ipm_claim_removed(seg);
	if (persistent)
		ipm_segment_put(seg);
	return 0;
}

/**
 * ipm_segment_remove() - IPM_IOC_REMOVE
 * @ns: namespace
 * @own: the segment of the handle that it was called on, or NULL
 * @cmd: ioctl number
 * @arg: struct ipm_remove
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_segment_remove(struct ipm_ns *ns, struct ipm_segment *own,
			unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = own;
	struct ipm_remove req;
	long ret;

	ret = ipm_get_ref_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&req.ref, BY_ANY | (own ? BIT(IPM_BY_NONE) : 0));
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	if (req.ref.by != IPM_BY_NONE) {
		/* Whether it is somebody's to remove comes before whether it was. */
		seg = find(ns, &req.ref, req.ref.by == IPM_BY_ID);
		if (IS_ERR(seg))
			return PTR_ERR(seg);
	}
	ret = ipm_segment_owned(seg) ? segment_unlink(seg) : -EPERM;
	if (req.ref.by != IPM_BY_NONE)
		ipm_segment_put(seg);
	return ret;
}

/**
 * ipm_segment_link() - IPM_IOC_LINK
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_link
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_segment_link(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_ns *ns = seg->ns;
	struct ipm_link req;
	char *name = NULL;
	long ret;

	ret = ipm_get_ref_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&req.ref, BY_LABEL);
	if (ret)
		return ret;
	if (req.flags || req.reserved)
		return -EINVAL;
	if (!ipm_segment_owned(seg))
		return -EPERM;
	if (req.ref.by == IPM_BY_NAME) {
		name = kstrdup(req.ref.name, GFP_KERNEL_ACCOUNT);
		if (!name)
			return -ENOMEM;
	}

	mutex_lock(&ns->lock);
	if (seg->state & IPM_STATE_REMOVED) {
		ret = -EIDRM;
	} else if (seg->label.by != IPM_BY_NONE) {
		ret = -EEXIST;
	} else {
		seg->label.by = req.ref.by;
		seg->label.key = req.ref.key;
		seg->label.name = name;
		ret = label(seg);
		if (ret) {
			seg->label.by = IPM_BY_NONE;
			seg->label.key = 0;
			seg->label.name = NULL;
		} else {
			name = NULL;
			spin_lock(&seg->lock);
			changed(seg);
			spin_unlock(&seg->lock);
			tell_life(seg, IPM_NL_EVENT_LINKED);
		}
	}
	mutex_unlock(&ns->lock);
	if (!ret)
		ipm_bell_tell(seg, IPM_HEAR_CHANGED);
	kfree(name);
	return ret;
}

/* Changes a segment as a SET asks for that is well formed. */
static int segment_set(struct ipm_segment *seg, const struct ipm_set *req, kuid_t uid, kgid_t gid)
{
	bool was_persistent = false;
	struct ipm_notice *notice;

	if (!ipm_segment_owned(seg))
		return -EPERM;
	spin_lock(&seg->lock);
	if (req->what & IPM_SET_LIFETIME) {
		if (seg->state & IPM_STATE_REMOVED) {
			spin_unlock(&seg->lock);
			return -EIDRM;
		}
		was_persistent = seg->state & IPM_STATE_PERSISTENT;
		if (req->persistent && !was_persistent) {
			WRITE_ONCE(seg->state, seg->state | IPM_STATE_PERSISTENT);
			refcount_inc(&seg->users);
		} else if (!req->persistent) {
			WRITE_ONCE(seg->state, seg->state & ~IPM_STATE_PERSISTENT);
		}
	}
	if (req->what & IPM_SET_MODE)
		seg->mode = req->mode;
	if (req->what & IPM_SET_UID)
		seg->uid = uid;
	if (req->what & IPM_SET_GID)
		seg->gid = gid;
	changed(seg);
	notice = notice_life(seg, IPM_NL_EVENT_SET);
	/* Under the lock, so that the last one that is told is the last one. */
	ipm_notice_send(seg, notice);
	spin_unlock(&seg->lock);
	ipm_bell_tell(seg, IPM_HEAR_CHANGED);
	if (was_persistent && !req->persistent)
		ipm_segment_put(seg);
	return 0;
}

/**
 * ipm_segment_set() - IPM_IOC_SET
 * @ns: namespace
 * @own: the segment of the handle that it was called on, or NULL
 * @cmd: ioctl number
 * @arg: struct ipm_set
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_segment_set(struct ipm_ns *ns, struct ipm_segment *own,
		     unsigned int cmd, void __user *arg)
{
	struct ipm_ref ref = { .by = IPM_BY_ID };
	struct ipm_segment *seg = own;
	struct ipm_set req;
	kuid_t uid;
	kgid_t gid;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	uid = make_kuid(current_user_ns(), req.uid);
	gid = make_kgid(current_user_ns(), req.gid);
	if (!req.what || !own != !!req.id ||
	    (req.what & ~(IPM_SET_MODE | IPM_SET_UID | IPM_SET_GID | IPM_SET_LIFETIME)) ||
	    (req.what & IPM_SET_MODE ? req.mode & ~MODE_BITS : req.mode) ||
	    (req.what & IPM_SET_UID ? !uid_valid(uid) : req.uid) ||
	    (req.what & IPM_SET_GID ? !gid_valid(gid) : req.gid) ||
	    (req.what & IPM_SET_LIFETIME ? req.persistent > 1 : req.persistent))
		return -EINVAL;
	if (!own) {
		ref.id = req.id;
		seg = find(ns, &ref, true);
		if (IS_ERR(seg))
			return PTR_ERR(seg);
	}
	ret = segment_set(seg, &req, uid, gid);
	if (!own)
		ipm_segment_put(seg);
	return ret;
}

/*
 * Makes the file larger; under seg->grow. Should its pages not be had, nobody
 * was told the new size yet, and it can be taken back.
 */
static int grow_file(struct ipm_segment *seg, u64 size, bool preallocate)
{
	int ret;

	ret = vfs_truncate(&seg->file->f_path, size);
	if (ret || !preallocate)
		return ret;
	ret = populate(seg->file, seg->size, size);
	if (ret)
		WARN_ON_ONCE(vfs_truncate(&seg->file->f_path, seg->size));
	return ret;
}

/**
 * ipm_segment_grow() - IPM_IOC_GROW
 * @handle: handle
 * @cmd: ioctl number
 * @arg: struct ipm_grow
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_segment_grow(struct ipm_handle *handle, unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = handle->seg;
	struct ipm_notice *notice;
	struct ipm_grow req;
	bool preallocate;
	u64 more;
	int ret;

	ret = ipm_get_arg(&req, sizeof(req), cmd, arg);
	if (ret)
		return ret;
	if ((req.flags & ~IPM_GROW_PREALLOCATE) || req.reserved)
		return -EINVAL;
	if (handle->access == IPM_READ_ONLY)
		return -EBADF;
	if (req.size > seg->capacity)
		return -EFBIG;
	/* Tried first: growth cannot be undone. */
	if (ipm_put_arg(&req, sizeof(req), cmd, arg))
		return -EFAULT;

	ret = mutex_lock_interruptible(&seg->grow);
	if (ret)
		return ret;
	if (req.size <= seg->size) {
		ret = req.size < seg->size ? -EINVAL : 0;
		goto unlock;
	}
	ret = -EFBIG;
	if (beyond_rlimit(req.size))
		goto unlock;
	more = PAGE_ALIGN(req.size) - seg->charged;
	ret = ipm_charge(seg->user, IPM_CHARGE_BYTES, more);
	if (ret)
		goto unlock;
	preallocate = (req.flags & IPM_GROW_PREALLOCATE) ||
		      (seg->flags & IPM_CREATE_PREALLOCATE);
	ret = grow_file(seg, req.size, preallocate);
	if (ret) {
		ipm_uncharge(seg->user, IPM_CHARGE_BYTES, more);
		goto unlock;
	}
	seg->charged += more;
	spin_lock(&seg->lock);
	WRITE_ONCE(seg->size, req.size);
	changed(seg);
	notice = notice_life(seg, IPM_NL_EVENT_GROWN);
	ipm_notice_send(seg, notice);
	spin_unlock(&seg->lock);
	ipm_bell_tell(seg, IPM_HEAR_CHANGED);
	trace_ipm_segment_grow(seg->id, req.size, seg->capacity);
unlock:
	mutex_unlock(&seg->grow);
	return ret;
}

/* Telling. */

/**
 * ipm_segment_tell() - all about a segment
 * @seg: segment, its namespace locked
 * @info: receives it, user ids as the caller's user namespace has them
 * @pid_ns: for the process ids
 */
void ipm_segment_tell(struct ipm_segment *seg, struct ipm_info *info,
		      struct pid_namespace *pid_ns)
{
	struct user_namespace *user_ns = current_user_ns();

	lockdep_assert_held(&seg->ns->lock);
	memset(info, 0, sizeof(*info));
	info->resident = (u64)file_inode(seg->file)->i_blocks << 9;
	info->capacity = seg->capacity;
	info->ref.id = seg->id;
	info->cuid = from_kuid_munged(user_ns, seg->cuid);
	info->cgid = from_kgid_munged(user_ns, seg->cgid);
	info->creator_pid = pid_nr_ns(seg->creator, pid_ns);
	info->create_time = seg->create_time;

	info->ref.by = seg->label.by;
	info->ref.key = seg->label.key;
	if (seg->label.name)
		strscpy(info->ref.name, seg->label.name, sizeof(info->ref.name));
	spin_lock(&seg->lock);
	info->state = ipm_segment_state(seg);
	info->size = seg->size;
	info->mode = seg->mode;
	info->uid = from_kuid_munged(user_ns, seg->uid);
	info->gid = from_kgid_munged(user_ns, seg->gid);
	info->last_pid = pid_nr_ns(seg->last_pid, pid_ns);
	info->handles = seg->nr_handles;
	info->maps = seg->nr_maps;
	info->claims = seg->nr_claims;
	info->waiters = seg->nr_waiters;
	info->doubts = seg->nr_doubt;
	info->change_time = seg->change_time;
	info->attach_time = seg->attach_time;
	info->detach_time = seg->detach_time;
	info->waits = seg->waits;
	info->wait_ns = seg->wait_ns;
	info->deadlocks = seg->deadlocks;
	info->deaths = seg->deaths;
	info->doubt_events = seg->doubt_events;
	spin_unlock(&seg->lock);
}

/* What INFO_FIND tells. */
static void info_brief(struct ipm_segment *seg, struct ipm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->ref.id = seg->id;
	info->capacity = seg->capacity;
	spin_lock(&seg->lock);
	info->state = ipm_segment_state(seg);
	info->size = seg->size;
	spin_unlock(&seg->lock);
}

#define INFO_FLAGS (IPM_INFO_REMOVED | IPM_INFO_NEXT | IPM_INFO_FIND | IPM_INFO_READ | \
		    IPM_INFO_WRITE)

/* Do these flags of INFO go together, and with a reference of this kind? */
static bool info_flags_fit(u32 flags, u32 by)
{
	if (flags & ~INFO_FLAGS)
		return false;
	if ((flags & (IPM_INFO_REMOVED | IPM_INFO_NEXT)) && by != IPM_BY_ID)
		return false;
	if (flags & IPM_INFO_FIND)
		return !(flags & IPM_INFO_NEXT);
	return !(flags & (IPM_INFO_READ | IPM_INFO_WRITE));
}

/* A use of the segment that an INFO on the device is about; the rights are checked. */
static struct ipm_segment *info_find(struct ipm_ns *ns, const struct ipm_info *info)
{
	bool removed = info->flags & IPM_INFO_REMOVED;
	struct ipm_segment *seg;
	umode_t wanted = 04;

	if (info->flags & IPM_INFO_NEXT)
		return find_next(ns, info->ref.id, removed);
	seg = find(ns, &info->ref, removed);
	if (IS_ERR(seg))
		return seg;
	if (info->flags & IPM_INFO_FIND)
		wanted = (info->flags & IPM_INFO_READ ? 04 : 0) |
			 (info->flags & IPM_INFO_WRITE ? 02 : 0);
	if (permits_mode(seg, wanted))
		return seg;
	ipm_segment_put(seg);
	return ERR_PTR(-EACCES);
}

/**
 * ipm_segment_info() - IPM_IOC_INFO
 * @ns: namespace
 * @own: the segment of the handle that it was called on, or NULL
 * @cmd: ioctl number
 * @arg: struct ipm_info
 *
 * Return: 0 or an error of the table in the ABI header.
 */
long ipm_segment_info(struct ipm_ns *ns, struct ipm_segment *own,
		      unsigned int cmd, void __user *arg)
{
	struct ipm_segment *seg = own;
	struct ipm_info info;
	u32 flags;
	long ret;

	ret = ipm_get_ref_arg(&info, sizeof(info), cmd, arg);
	if (ret)
		return ret;
	ret = ref_check(&info.ref, own ? BIT(IPM_BY_NONE) : BY_ANY);
	if (ret)
		return ret;
	if (info.reserved || !info_flags_fit(info.flags, info.ref.by) || (own && info.flags))
		return -EINVAL;
	if (!own) {
		seg = info_find(ns, &info);
		if (IS_ERR(seg))
			return PTR_ERR(seg);
	}
	flags = info.flags;
	if (flags & IPM_INFO_FIND) {
		info_brief(seg, &info);
	} else {
		mutex_lock(&seg->ns->lock);
		ipm_segment_tell(seg, &info, task_active_pid_ns(current));
		mutex_unlock(&seg->ns->lock);
	}
	info.flags = flags;
	if (!own)
		ipm_segment_put(seg);
	return ipm_put_arg(&info, sizeof(info), cmd, arg);
}
