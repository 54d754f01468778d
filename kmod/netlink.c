// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family: lists of what there is, and notices of what
 * happens. The protocol is described in the ABI header.
 *
 * Lists. A dump copies a part of a segment's list under one hold of its lock,
 * gives the lock up, and makes messages of the copy, as many as the reader has
 * room for; the rest stays for its next read. What it remembers in between are
 * numbers: of a segment, a handle, a claim, a place in line. They go on where
 * they were, whatever has gone meanwhile. It keeps no segment: one that ends does
 * so at once, but for the lock of its namespace, which a dump has for one part.
 *
 * Rights. A dump and a listener act with the credentials of the file of their
 * socket. So a socket that is handed to a process with more rights, or to which
 * such a process is made to write, shows no more than its opener may see.
 *
 * Notices. Whoever changes something puts a notice into the queue of its
 * namespace, if anybody listens, without waiting for anything; a work item makes
 * messages of them, for each listener those that it may see. There is no way to
 * do that with a multicast group on all kernels. The queue holds so many of what happens
 * to the segments of each user: whoever floods it loses what happens to his own.
 *
 * Locks: ns->listening, then ns->queue. A dump takes ns->lock, then seg->lock.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include "compat.h"
#include "ipm.h"

/* Notices of what happens to the segments of one user that wait to be told. */
#define NOTICES_MAX 8192
/* And of all in a namespace. */
#define NOTICES_ALL_MAX (16 * NOTICES_MAX)
/* Notices that are told under one hold of ns->listening. */
#define TELL_BATCH 64
/* What a reader needs, as the mode has it. */
#define READ_RIGHT 04
/* Sockets that a user may have listen. */
#define LISTENERS_MAX 128
/* Bytes of the largest message of a list of claims or waits, and some more. */
#define CLAIM_MESSAGE_MAX (IPM_CLAIM_RANGES_MAX * sizeof(struct ipm_range) + 1024)

/**
 * struct listener - a socket that hears events
 * @node: in ns->listeners; this and what changes below is under ns->listening
 * @sock: reference; it is dead when it has been closed
 * @portid: its address
 * @cred: reference: those of who opened it
 * @pid_ns: reference: of who subscribed
 * @user: reference, charged with the listener
 * @groups: IPM_NL_GROUP_* bits
 * @segment: id of the only segment meant, or 0
 * @after: number of the last notice that is not meant for it
 * @seq: number of the last event that was meant for it
 */
struct listener {
	struct list_head node;
	struct sock *sock;
	u32 portid;
	const struct cred *cred;
	struct pid_namespace *pid_ns;
	struct ipm_user *user;
	u32 groups;
	u32 segment;
	u64 after;
	u64 seq;
};

static struct genl_family family;
static struct workqueue_struct *tellers;

/* Who asks. */

/* The credentials of the file of a socket that is in a system call. */
static const struct cred *socket_cred(const struct sk_buff *request)
{
	const struct sock *sock = NETLINK_CB(request).sk;

	return get_cred(sock->sk_socket->file->f_cred);
}

/* Do the capabilities of the caller show it everything? */
static bool sees_all(const struct ipm_ns *ns)
{
	return ns_capable_noaudit(ns->user_ns, CAP_IPC_OWNER);
}

/*
 * Who is shown what: the reader's namespaces, and whether it is owner of the
 * segment at hand or may see everything.
 */
struct view {
	struct pid_namespace *pid_ns;
	bool all;
};

static bool view_shows(const struct view *view, kuid_t user)
{
	return view->all || (uid_valid(user) && uid_eq(user, current_euid()));
}

/* Messages. */

static int put_u64(struct sk_buff *skb, int type, u64 value)
{
	return nla_put_u64_64bit(skb, type, value, IPM_NL_A_PAD);
}

static int put_pid_of(struct sk_buff *skb, const struct view *view, int type, struct pid *pid)
{
	return nla_put_s32(skb, type, pid_nr_ns(pid, view->pid_ns));
}

static int put_uid(struct sk_buff *skb, int type, kuid_t uid)
{
	return nla_put_u32(skb, type, from_kuid_munged(current_user_ns(), uid));
}

/* Says who it is, or that it is not told. */
static int put_who(struct sk_buff *skb, const struct view *view, struct pid *pid,
		   struct pid *tid, kuid_t user, const char *known)
{
	struct task_struct *task;
	char comm[TASK_COMM_LEN];

	if (!view_shows(view, user))
		return nla_put_flag(skb, IPM_NL_A_HIDDEN);
	if (uid_valid(user) && put_uid(skb, IPM_NL_A_USER, user))
		return -EMSGSIZE;
	if (put_pid_of(skb, view, IPM_NL_A_PID, pid))
		return -EMSGSIZE;
	if (tid && put_pid_of(skb, view, IPM_NL_A_TID, tid))
		return -EMSGSIZE;
	/* A name is nothing to one who does not see the process. */
	if (!pid_nr_ns(pid, view->pid_ns))
		return 0;
	if (!known || !*known) {
		task = tid ? get_pid_task(tid, PIDTYPE_PID) : get_pid_task(pid, PIDTYPE_TGID);
		if (!task)
			return 0;
		get_task_comm(comm, task);
		put_task_struct(task);
		known = comm;
	}
	return nla_put_string(skb, IPM_NL_A_COMM, known);
}

/* Lists. */

/* The lists of one segment, by command. */
static void (* const rows_of[])(struct ipm_segment *seg, struct ipm_place *place,
				struct ipm_rows *rows) = {
	[IPM_NL_CMD_HANDLES] = ipm_handle_rows,
	[IPM_NL_CMD_CLAIMS] = ipm_claim_rows,
	[IPM_NL_CMD_WAITERS] = ipm_claim_wait_rows,
	[IPM_NL_CMD_DOUBTS] = ipm_doubt_rows,
};

/**
 * struct dump - a dump under way
 * @ns: whose segments; the socket keeps it
 * @cred: reference: those of who opened the socket
 * @view: what it is shown
 * @command: IPM_NL_CMD_*
 * @only: id of the only segment, or 0
 * @id: id of the segment at hand, or from where to look for the next
 * @inside: part of the list of segment @id was copied
 * @done: nothing comes any more
 * @changes: of the set of segments, at the start
 * @generation: of the list of segment @id, at its start
 * @place: in that list
 * @own: reference to the reader's user, for limits
 * @next_user: from where to look for the next
 * @at: the next of @nr entries that were copied
 * @nr: how many
 * @info: entry of a list of segments
 * @limits: of a list of limits
 * @limits_of: whose they are
 * @rows: entries of all other lists
 */
struct dump {
	struct ipm_ns *ns;
	const struct cred *cred;
	struct view view;
	u8 command;
	u32 only;
	u32 id;
	bool inside;
	bool done;
	u64 changes;
	u64 generation;
	struct ipm_place place;
	struct ipm_user *own;
	kuid_t next_user;
	u32 at;
	u32 nr;
	union {
		struct ipm_info info;
		struct {
			struct ipm_limits limits;
			kuid_t limits_of;
		};
		struct ipm_rows rows;
	};
};

static struct dump *dump_of(const struct netlink_callback *cb)
{
	return (struct dump *)cb->args[0];
}

static int put_info(struct sk_buff *skb, const struct ipm_info *info)
{
	if (nla_put_u32(skb, IPM_NL_A_SEGMENT, info->ref.id) ||
	    (info->ref.by == IPM_BY_NAME && nla_put_string(skb, IPM_NL_A_NAME, info->ref.name)) ||
	    (info->ref.by == IPM_BY_KEY && nla_put_s32(skb, IPM_NL_A_KEY, info->ref.key)) ||
	    nla_put_u32(skb, IPM_NL_A_STATE, info->state) ||
	    put_u64(skb, IPM_NL_A_SIZE, info->size) ||
	    put_u64(skb, IPM_NL_A_CAPACITY, info->capacity) ||
	    put_u64(skb, IPM_NL_A_RESIDENT, info->resident) ||
	    nla_put_u32(skb, IPM_NL_A_MODE, info->mode) ||
	    nla_put_u32(skb, IPM_NL_A_UID, info->uid) ||
	    nla_put_u32(skb, IPM_NL_A_GID, info->gid) ||
	    nla_put_u32(skb, IPM_NL_A_CUID, info->cuid) ||
	    nla_put_u32(skb, IPM_NL_A_CGID, info->cgid) ||
	    nla_put_s32(skb, IPM_NL_A_CREATOR_PID, info->creator_pid) ||
	    nla_put_s32(skb, IPM_NL_A_LAST_PID, info->last_pid) ||
	    put_u64(skb, IPM_NL_A_HANDLES, info->handles) ||
	    put_u64(skb, IPM_NL_A_MAPS, info->maps) ||
	    put_u64(skb, IPM_NL_A_CLAIMS, info->claims) ||
	    put_u64(skb, IPM_NL_A_WAITERS, info->waiters) ||
	    put_u64(skb, IPM_NL_A_DOUBTS, info->doubts) ||
	    put_u64(skb, IPM_NL_A_CREATE_TIME, info->create_time) ||
	    put_u64(skb, IPM_NL_A_CHANGE_TIME, info->change_time) ||
	    put_u64(skb, IPM_NL_A_ATTACH_TIME, info->attach_time) ||
	    put_u64(skb, IPM_NL_A_DETACH_TIME, info->detach_time) ||
	    put_u64(skb, IPM_NL_A_WAITS, info->waits) ||
	    put_u64(skb, IPM_NL_A_WAIT_NS, info->wait_ns) ||
	    put_u64(skb, IPM_NL_A_DEADLOCKS, info->deadlocks) ||
	    put_u64(skb, IPM_NL_A_DEATHS, info->deaths) ||
	    put_u64(skb, IPM_NL_A_DOUBT_EVENTS, info->doubt_events))
		return -EMSGSIZE;
	return 0;
}

static int put_handle(struct sk_buff *skb, const struct dump *dump, const struct ipm_row *row)
{
	if (nla_put_u32(skb, IPM_NL_A_SEGMENT, dump->id) ||
	    put_u64(skb, IPM_NL_A_HANDLE, row->handle) ||
	    nla_put_u32(skb, IPM_NL_A_ACCESS, row->access) ||
	    nla_put_u32(skb, IPM_NL_A_MAPPED, row->maps) ||
	    put_u64(skb, IPM_NL_A_CLAIMS, row->claims) ||
	    (row->slot != IPM_SLOTS_MAX && nla_put_u32(skb, IPM_NL_A_SLOT, row->slot)))
		return -EMSGSIZE;
	return put_who(skb, &dump->view, row->pid, NULL, row->user, NULL);
}

/* What claims and waits have in common. */
static int put_claim(struct sk_buff *skb, const struct dump *dump, const struct ipm_row *row)
{
	if (nla_put_u32(skb, IPM_NL_A_SEGMENT, dump->id) ||
	    put_u64(skb, IPM_NL_A_HANDLE, row->handle) ||
	    put_u64(skb, IPM_NL_A_CLAIM, row->claim) ||
	    nla_put(skb, IPM_NL_A_RANGES, row->nr * sizeof(dump->rows.range[0]),
		    &dump->rows.range[row->first]) ||
	    put_u64(skb, IPM_NL_A_AGE, row->age))
		return -EMSGSIZE;
	return put_who(skb, &dump->view, row->pid, row->tid, row->user, NULL);
}

static int put_wait(struct sk_buff *skb, const struct dump *dump, const struct ipm_row *row)
{
	bool shown = view_shows(&dump->view, row->blocker.user);
	u32 flags = row->blocker.flags | (shown ? 0 : IPM_NL_BLOCKER_HIDDEN);

	if (put_claim(skb, dump, row) || nla_put_u32(skb, IPM_NL_A_FLAGS, row->flags))
		return -EMSGSIZE;
	if (!row->blocker.claim)
		return 0;
	if (put_u64(skb, IPM_NL_A_BLOCKER_CLAIM, row->blocker.claim) ||
	    put_u64(skb, IPM_NL_A_BLOCKER_HANDLE, row->blocker.handle) ||
	    nla_put_u32(skb, IPM_NL_A_BLOCKER_FLAGS, flags))
		return -EMSGSIZE;
	if (!shown)
		return 0;
	return put_pid_of(skb, &dump->view, IPM_NL_A_BLOCKER_PID, row->blocker.pid) ||
	       put_pid_of(skb, &dump->view, IPM_NL_A_BLOCKER_TID, row->blocker.tid);
}

static int put_doubt(struct sk_buff *skb, const struct dump *dump, const struct ipm_row *row)
{
	if (nla_put_u32(skb, IPM_NL_A_SEGMENT, dump->id) ||
	    put_u64(skb, IPM_NL_A_OFFSET, row->start) ||
	    put_u64(skb, IPM_NL_A_LENGTH, row->length) ||
	    put_u64(skb, IPM_NL_A_TIME, row->time) ||
	    nla_put_u32(skb, IPM_NL_A_FLAGS, row->flags))
		return -EMSGSIZE;
	return put_who(skb, &dump->view, row->pid, NULL, row->user, NULL);
}

static int put_limits(struct sk_buff *skb, const struct dump *dump)
{
	const struct ipm_limits *limits = &dump->limits;

	if (put_uid(skb, IPM_NL_A_UID, dump->limits_of) ||
	    put_u64(skb, IPM_NL_A_SEGMENTS_MAX, limits->segments_max) ||
	    put_u64(skb, IPM_NL_A_NR_SEGMENTS, limits->segments) ||
	    put_u64(skb, IPM_NL_A_HANDLES_MAX, limits->handles_max) ||
	    put_u64(skb, IPM_NL_A_HANDLES, limits->handles) ||
	    put_u64(skb, IPM_NL_A_CLAIMS_MAX, limits->claims_max) ||
	    put_u64(skb, IPM_NL_A_CLAIMS, limits->claims) ||
	    put_u64(skb, IPM_NL_A_BYTES_MAX, limits->bytes_max) ||
	    put_u64(skb, IPM_NL_A_BYTES, limits->bytes))
		return -EMSGSIZE;
	return 0;
}

/* Makes a message of the next entry; -EMSGSIZE if there is no room for it. */
static int put_entry(struct sk_buff *skb, struct netlink_callback *cb, const struct dump *dump)
{
	const struct ipm_row *row = &dump->rows.row[dump->at];
	void *header;
	int ret;

	header = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &family,
			     NLM_F_MULTI, dump->command);
	if (!header)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, header);
	/* For all that follow, and not used up by a message that does not fit. */
	cb->prev_seq = 1;
	switch (dump->command) {
	case IPM_NL_CMD_SEGMENTS:
		ret = put_info(skb, &dump->info);
		break;
	case IPM_NL_CMD_LIMITS:
		ret = put_limits(skb, dump);
		break;
	case IPM_NL_CMD_HANDLES:
		ret = put_handle(skb, dump, row);
		break;
	case IPM_NL_CMD_CLAIMS:
		ret = put_claim(skb, dump, row) ||
		      nla_put_u32(skb, IPM_NL_A_RESULT, row->result);
		break;
	case IPM_NL_CMD_WAITERS:
		ret = put_wait(skb, dump, row);
		break;
	default:
		ret = put_doubt(skb, dump, row);
	}
	if (ret) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

/* What is listed is not that of one moment any more. */
static void dump_changed(struct netlink_callback *cb)
{
	cb->seq = 2;
}

static void row_free(struct ipm_row *row)
{
	put_pid(row->pid);
	put_pid(row->tid);
	put_pid(row->blocker.pid);
	put_pid(row->blocker.tid);
}

static bool has_rows(const struct dump *dump)
{
	return dump->command != IPM_NL_CMD_SEGMENTS && dump->command != IPM_NL_CMD_LIMITS;
}

/* Copies the next part of the list of a segment. */
static void fetch_rows(struct netlink_callback *cb, struct dump *dump, struct ipm_segment *seg)
{
	struct ipm_rows *rows = &dump->rows;

	rows->nr = 0;
	rows->nr_ranges = 0;
	rows->end = false;
	rows_of[dump->command](seg, &dump->place, rows);
	if (dump->inside && rows->generation != dump->generation)
		dump_changed(cb);
	dump->generation = rows->generation;
	dump->inside = !rows->end;
	dump->nr = rows->nr;
}

/* The segment that is to be looked at, or NULL at the end. */
static struct ipm_segment *fetch_segment(struct netlink_callback *cb, struct dump *dump)
{
	struct ipm_segment *seg;

	if (dump->inside || dump->only) {
		seg = ipm_segment_get(dump->ns, dump->id);
		if (seg)
			return seg;
		/* It went in the middle of its list. */
		dump_changed(cb);
		if (dump->only)
			return NULL;
	}
	seg = ipm_segment_from(dump->ns, dump->id);
	if (seg && seg->id != dump->id)
		dump->inside = false;
	return seg;
}

/* Copies what there is of the segment at hand, which may be nothing. */
static void fetch_one(struct netlink_callback *cb, struct dump *dump, bool all)
{
	struct ipm_rights rights;
	struct ipm_segment *seg;

	seg = fetch_segment(cb, dump);
	if (!seg) {
		dump->done = true;
		return;
	}
	if (!dump->inside)
		dump->place = (struct ipm_place) {};
	dump->id = seg->id;
	ipm_segment_rights(seg, &rights);
	dump->view.all = all || ipm_rights_owner(&rights);
	if (!all && !ipm_rights_permit(&rights, READ_RIGHT)) {
		/* So it is now, whatever it was at the start. */
		dump->inside = false;
	} else if (has_rows(dump)) {
		fetch_rows(cb, dump, seg);
	} else {
		ipm_segment_tell(seg, &dump->info, dump->view.pid_ns);
		dump->nr = 1;
	}
	if (!dump->inside)
		dump->done = dump->only || dump->id == INT_MAX;
	/* Its rows name the segment by dump->id: step on when they are told. */
	if (!dump->inside && !dump->nr)
		dump->id++;
}

/* Copies what comes next of the segments; false at the end. */
static bool fetch(struct netlink_callback *cb, struct dump *dump)
{
	bool all = sees_all(dump->ns);

	dump->at = 0;
	dump->nr = 0;
	while (!dump->nr && !dump->done) {
		cond_resched();
		mutex_lock(&dump->ns->lock);
		fetch_one(cb, dump, all);
		mutex_unlock(&dump->ns->lock);
	}
	if (!dump->only && READ_ONCE(dump->ns->changes) != dump->changes)
		dump_changed(cb);
	return dump->nr;
}

/* Copies the next limits; false at the end. */
static bool fetch_limits(struct dump *dump)
{
	bool all = sees_all(dump->ns);
	struct ipm_user *user;

	dump->at = 0;
	dump->nr = 0;
	while (!dump->nr && !dump->done) {
		cond_resched();
		user = ipm_user_from(dump->next_user);
		if (!user) {
			dump->done = true;
			break;
		}
		dump->next_user = KUIDT_INIT(__kuid_val(user->uid) + 1);
		/* The greatest of them is no user. */
		dump->done = !uid_valid(dump->next_user);
		if (user == dump->own ||
		    (all && kuid_has_mapping(dump->ns->user_ns, user->uid))) {
			ipm_user_limits(user, &dump->limits);
			dump->limits_of = user->uid;
			dump->nr = 1;
		}
		ipm_user_put(user);
	}
	return dump->nr;
}

static int check_version(const struct nlmsghdr *header)
{
	const struct genlmsghdr *genl = nlmsg_data(header);

	return genl->version >= 1 && genl->version <= IPM_NL_VERSION ? 0 : -EOPNOTSUPP;
}

static void dump_free(struct dump *dump)
{
	if (has_rows(dump)) {
		while (dump->at < dump->nr)
			row_free(&dump->rows.row[dump->at++]);
	}
	if (dump->own)
		ipm_user_put(dump->own);
	put_pid_ns(dump->view.pid_ns);
	put_cred(dump->cred);
	kvfree(dump);
}

/* May the dump begin? For one segment, that has to be there, and be readable. */
static int dump_check(struct dump *dump)
{
	struct ipm_rights rights;
	struct ipm_segment *seg;

	if (dump->command == IPM_NL_CMD_LIMITS) {
		dump->own = ipm_user_get();
		return dump->own ? 0 : -ENOMEM;
	}
	if (!dump->only)
		return 0;
	mutex_lock(&dump->ns->lock);
	seg = ipm_segment_get(dump->ns, dump->only);
	if (seg)
		ipm_segment_rights(seg, &rights);
	mutex_unlock(&dump->ns->lock);
	if (!seg)
		return -ENOENT;
	return ipm_rights_permit(&rights, READ_RIGHT) || sees_all(dump->ns) ? 0 : -EACCES;
}

static const struct nla_policy list_policy[] = {
	[IPM_NL_A_SEGMENT] = NLA_POLICY_MIN(NLA_U32, 1),
};

static int dump_start(struct netlink_callback *cb)
{
	const struct genlmsghdr *genl = nlmsg_data(cb->nlh);
	struct nlattr *attrs[ARRAY_SIZE(list_policy)] = {};
	const struct cred *former;
	struct dump *dump;
	int ret;

	ret = check_version(cb->nlh);
	if (ret)
		return ret;
	/* The core has checked them, but keeps them in another place in each kernel. */
	if (genl->cmd != IPM_NL_CMD_LIMITS) {
		ret = genlmsg_parse(cb->nlh, &family, attrs, ARRAY_SIZE(attrs) - 1, list_policy,
				    NULL);
		if (ret)
			return ret;
	}
	dump = kvzalloc(sizeof(*dump), GFP_KERNEL_ACCOUNT);
	if (!dump)
		return -ENOMEM;
	dump->ns = ipm_ns_of(sock_net(NETLINK_CB(cb->skb).sk));
	dump->cred = socket_cred(cb->skb);
	dump->view.pid_ns = get_pid_ns(task_active_pid_ns(current));
	dump->command = genl->cmd;
	if (attrs[IPM_NL_A_SEGMENT])
		dump->only = nla_get_u32(attrs[IPM_NL_A_SEGMENT]);
	dump->id = dump->only ? dump->only : 1;
	dump->next_user = GLOBAL_ROOT_UID;
	dump->changes = READ_ONCE(dump->ns->changes);

	former = override_creds(dump->cred);
	ret = dump_check(dump);
	revert_creds(former);
	if (ret) {
		dump_free(dump);
		return ret;
	}
	cb->args[0] = (long)dump;
	/* Else the largest fits only once the socket has read with a large buffer. */
	if (dump->command == IPM_NL_CMD_CLAIMS || dump->command == IPM_NL_CMD_WAITERS)
		cb->min_dump_alloc = CLAIM_MESSAGE_MAX;
	/* Else a change before the first entry would not count. */
	cb->seq = 1;
	cb->prev_seq = 1;
	return 0;
}

static int dump_next(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump *dump = dump_of(cb);
	const struct cred *former;
	int ret = 0;

	former = override_creds(dump->cred);
	for (;;) {
		while (!ret && dump->at < dump->nr) {
			ret = put_entry(skb, cb, dump);
			if (ret)
				break;
			if (has_rows(dump))
				row_free(&dump->rows.row[dump->at]);
			dump->at++;
		}
		if (ret)
			break;
		if (dump->command == IPM_NL_CMD_LIMITS) {
			if (!fetch_limits(dump))
				break;
		} else {
			if (dump->nr && !dump->inside)
				dump->id++;
			if (!fetch(cb, dump))
				break;
		}
	}
	revert_creds(former);
	return skb->len ? skb->len : ret;
}

static int dump_end(struct netlink_callback *cb)
{
	if (dump_of(cb))
		dump_free(dump_of(cb));
	cb->args[0] = 0;
	return 0;
}

/* Notices. */

/**
 * ipm_notice_who() - names who did it, or whom it happened to
 * @notice: notice
 * @pid: process
 * @tid: thread, or NULL
 * @user: who that is
 */
void ipm_notice_who(struct ipm_notice *notice, struct pid *pid, struct pid *tid, kuid_t user)
{
	put_pid(notice->pid);
	put_pid(notice->tid);
	notice->pid = get_pid(pid);
	notice->tid = get_pid(tid);
	notice->user = user;
	notice->comm[0] = '\0';
	/* Later it may be gone. */
	if (tid ? tid == task_pid(current) : pid == task_tgid(current))
		strscpy(notice->comm, current->comm, sizeof(notice->comm));
}

static void notice_free(struct ipm_notice *notice)
{
	if (notice->charged) {
		atomic_dec(&notice->charged->notices);
		ipm_user_put(notice->charged);
	}
	put_pid(notice->pid);
	put_pid(notice->tid);
	kfree(notice->name);
	kfree(notice);
}

/* One notice of a group was lost: those who listen will be told how many. */
static void notice_lost(struct ipm_ns *ns, u32 group)
{
	spin_lock(&ns->queue);
	if (!ns->closed) {
		ns->lost[__ffs(group)]++;
		queue_work(tellers, &ns->teller);
	}
	spin_unlock(&ns->queue);
}

/**
 * ipm_notice_new() - something has happened to a segment
 * @seg: segment, locked
 * @event: enum ipm_nl_event
 * @group: IPM_NL_GROUP_*
 *
 * Return: a notice that names the caller as who did it, to be completed and given
 * to ipm_notice_send(); NULL without memory, which those who listen are told.
 */
struct ipm_notice *ipm_notice_new(struct ipm_segment *seg, u32 event, u32 group)
{
	struct ipm_notice *notice;

	lockdep_assert_held(&seg->lock);
	notice = kzalloc(sizeof(*notice), GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	if (!notice) {
		notice_lost(seg->ns, group);
		return NULL;
	}
	notice->event = event;
	notice->group = group;
	notice->segment = seg->id;
	notice->time = ktime_get_real_ns();
	notice->slot = IPM_SLOTS_MAX;
	notice->rights = (struct ipm_rights) {
		.mode = seg->mode,
		.uid = seg->uid,
		.cuid = seg->cuid,
		.gid = seg->gid,
		.cgid = seg->cgid,
	};
	ipm_notice_who(notice, task_tgid(current), task_pid(current), current_uid());
	return notice;
}

/**
 * ipm_notice_label() - adds the name or key of the segment
 * @notice: notice or NULL
 * @seg: segment, its namespace locked
 *
 * Return: @notice; NULL without memory, which those who listen are told.
 */
struct ipm_notice *ipm_notice_label(struct ipm_notice *notice, struct ipm_segment *seg)
{
	lockdep_assert_held(&seg->ns->lock);
	if (!notice)
		return NULL;
	notice->key = seg->label.key;
	if (!seg->label.name)
		return notice;
	notice->name = kstrdup(seg->label.name, GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	if (notice->name)
		return notice;
	notice_lost(seg->ns, notice->group);
	notice_free(notice);
	return NULL;
}

/**
 * ipm_notice_send() - hands a notice over to be told
 * @seg: its segment
 * @notice: notice or NULL; belongs to this function
 *
 * Waits for nothing, so that it may be called with the segment locked.
 */
void ipm_notice_send(struct ipm_segment *seg, struct ipm_notice *notice)
{
	struct ipm_ns *ns = seg->ns;

	if (!notice)
		return;
	notice->charged = seg->user;
	refcount_inc(&notice->charged->refs);
	if (atomic_inc_return(&notice->charged->notices) > NOTICES_MAX) {
		notice_lost(ns, notice->group);
		notice_free(notice);
		return;
	}
	spin_lock(&ns->queue);
	if (!ns->closed) {
		if (ns->nr_notices < NOTICES_ALL_MAX) {
			notice->number = ++ns->last_notice;
			list_add_tail(&notice->node, &ns->notices);
			ns->nr_notices++;
			notice = NULL;
		} else {
			ns->lost[__ffs(notice->group)]++;
		}
		queue_work(tellers, &ns->teller);
	}
	spin_unlock(&ns->queue);
	if (notice)
		notice_free(notice);
}

static int put_notice(struct sk_buff *skb, const struct view *view,
		      const struct ipm_notice *notice)
{
	bool rights = notice->event == IPM_NL_EVENT_CREATED || notice->event == IPM_NL_EVENT_SET;
	struct user_namespace *user_ns = current_user_ns();

	if (nla_put_u32(skb, IPM_NL_A_SEGMENT, notice->segment) ||
	    put_who(skb, view, notice->pid, notice->tid, notice->user, notice->comm) ||
	    (notice->name && nla_put_string(skb, IPM_NL_A_NAME, notice->name)) ||
	    (notice->key && nla_put_s32(skb, IPM_NL_A_KEY, notice->key)) ||
	    (notice->handle && put_u64(skb, IPM_NL_A_HANDLE, notice->handle)) ||
	    (notice->slot != IPM_SLOTS_MAX && nla_put_u32(skb, IPM_NL_A_SLOT, notice->slot)))
		return -EMSGSIZE;
	if (rights &&
	    (nla_put_u32(skb, IPM_NL_A_MODE, notice->rights.mode) ||
	     nla_put_u32(skb, IPM_NL_A_UID, from_kuid_munged(user_ns, notice->rights.uid)) ||
	     nla_put_u32(skb, IPM_NL_A_GID, from_kgid_munged(user_ns, notice->rights.gid))))
		return -EMSGSIZE;
	if (notice->group == IPM_NL_GROUP_LIFE)
		return nla_put_u32(skb, IPM_NL_A_STATE, notice->state) ||
		       put_u64(skb, IPM_NL_A_SIZE, notice->size) ||
		       put_u64(skb, IPM_NL_A_CAPACITY, notice->capacity);
	if (notice->group == IPM_NL_GROUP_CLAIMS)
		return put_u64(skb, IPM_NL_A_CLAIM, notice->claim) ||
		       nla_put(skb, IPM_NL_A_RANGES, sizeof(notice->range), &notice->range) ||
		       put_u64(skb, IPM_NL_A_COUNT, notice->nr_ranges) ||
		       nla_put_u32(skb, IPM_NL_A_FLAGS, notice->flags) ||
		       put_u64(skb, IPM_NL_A_AGE, notice->age) ||
		       nla_put_u32(skb, IPM_NL_A_ERROR, notice->error);
	if (notice->event == IPM_NL_EVENT_DEATH)
		return put_u64(skb, IPM_NL_A_COUNT, notice->count) ||
		       put_u64(skb, IPM_NL_A_DOUBTS, notice->doubts);
	return 0;
}

/* Makes a message of an event, or with no notice of a loss. */
static int put_event(struct sk_buff *skb, const struct listener *listener,
		     const struct view *view, const struct ipm_notice *notice, u64 lost)
{
	void *header;

	header = genlmsg_put(skb, 0, 0, &family, 0, IPM_NL_CMD_EVENT);
	if (!header)
		return -EMSGSIZE;
	if (nla_put_u32(skb, IPM_NL_A_EVENT, notice ? notice->event : IPM_NL_EVENT_LOST) ||
	    put_u64(skb, IPM_NL_A_SEQ, listener->seq) ||
	    put_u64(skb, IPM_NL_A_TIME, notice ? notice->time : ktime_get_real_ns()) ||
	    (notice ? put_notice(skb, view, notice) : put_u64(skb, IPM_NL_A_COUNT, lost))) {
		genlmsg_cancel(skb, header);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, header);
	return 0;
}

/*
 * Keeps a socket from being closed; NULL if that has begun. A socket gives its
 * number up before it is marked dead: then it may be another's already.
 */
static struct file *keep_open(struct sock *sock)
{
	struct file *file = NULL;

	/* While sk_socket is there, its release has not passed sock_orphan(). */
	read_lock_bh(&sock->sk_callback_lock);
	if (sock->sk_socket)
		file = ipm_get_file_active(&sock->sk_socket->file);
	read_unlock_bh(&sock->sk_callback_lock);
	return file;
}

/* Sends what was collected; a socket without room notes that it lost something. */
static void flush(struct listener *listener, struct sk_buff **skb)
{
	struct file *file = *skb ? keep_open(listener->sock) : NULL;

	if (file) {
		genlmsg_unicast(sock_net(listener->sock), *skb, listener->portid);
		fput(file);
	} else {
		nlmsg_free(*skb);
	}
	*skb = NULL;
}

/* Adds an event to what is collected. */
static void collect(struct listener *listener, struct sk_buff **skb, const struct view *view,
		    const struct ipm_notice *notice, u64 lost)
{
	if (*skb && !put_event(*skb, listener, view, notice, lost))
		return;
	flush(listener, skb);
	*skb = nlmsg_new(NLMSG_GOODSIZE - NLMSG_HDRLEN, GFP_KERNEL);
	/* Without memory its number is missing in the next one. */
	if (*skb && put_event(*skb, listener, view, notice, lost))
		WARN_ON_ONCE(1);
}

static void tell(struct ipm_ns *ns, struct listener *listener, struct list_head *notices,
		 const u64 *lost)
{
	const struct cred *former = override_creds(listener->cred);
	struct view view = { .pid_ns = listener->pid_ns };
	struct ipm_notice *notice;
	struct sk_buff *skb = NULL;
	bool all = sees_all(ns);
	u64 sum = 0;
	u32 i;

	list_for_each_entry(notice, notices, node) {
		if (!(notice->group & listener->groups) || notice->number <= listener->after ||
		    (listener->segment && listener->segment != notice->segment) ||
		    !(all || ipm_rights_permit(&notice->rights, READ_RIGHT)))
			continue;
		view.all = all || ipm_rights_owner(&notice->rights);
		listener->seq++;
		collect(listener, &skb, &view, notice, 0);
	}
	for (i = 0; i < ARRAY_SIZE(ns->lost); i++) {
		if (listener->groups & BIT(i))
			sum += lost[i];
	}
	if (sum) {
		listener->seq += sum;
		collect(listener, &skb, &view, NULL, sum);
	}
	flush(listener, &skb);
	revert_creds(former);
}

/* Tells all that is in the queue. */
static void tell_all(struct work_struct *work)
{
	struct ipm_ns *ns = container_of(work, struct ipm_ns, teller);
	struct ipm_notice *notice, *after;
	struct listener *listener;
	u64 lost[ARRAY_SIZE(ns->lost)];
	LIST_HEAD(batch);
	u32 nr;

	do {
		mutex_lock(&ns->listening);
		nr = 0;
		memset(lost, 0, sizeof(lost));
		spin_lock(&ns->queue);
		while (nr < TELL_BATCH && !list_empty(&ns->notices)) {
			list_move_tail(ns->notices.next, &batch);
			ns->nr_notices--;
			nr++;
		}
		/* What was lost came after all that was not. */
		if (list_empty(&ns->notices)) {
			memcpy(lost, ns->lost, sizeof(lost));
			memset(ns->lost, 0, sizeof(ns->lost));
		}
		spin_unlock(&ns->queue);
		list_for_each_entry(listener, &ns->listeners, node)
			tell(ns, listener, &batch, lost);
		mutex_unlock(&ns->listening);
		list_for_each_entry_safe(notice, after, &batch, node) {
			list_del(&notice->node);
			notice_free(notice);
		}
		cond_resched();
	} while (nr == TELL_BATCH);
}

/* Listeners. */

/* What anybody listens to. */
static void groups_update(struct ipm_ns *ns)
{
	struct listener *listener;
	u32 groups = 0;

	lockdep_assert_held(&ns->listening);
	list_for_each_entry(listener, &ns->listeners, node)
		groups |= listener->groups;
	WRITE_ONCE(ns->groups, groups);
}

static void listener_free(struct listener *listener)
{
	list_del(&listener->node);
	atomic_dec(&listener->user->listeners);
	ipm_user_put(listener->user);
	put_pid_ns(listener->pid_ns);
	put_cred(listener->cred);
	sock_put(listener->sock);
	kfree(listener);
}

static struct listener *listener_find(struct ipm_ns *ns, const struct sock *sock)
{
	struct listener *listener;

	lockdep_assert_held(&ns->listening);
	list_for_each_entry(listener, &ns->listeners, node) {
		if (listener->sock == sock)
			return listener;
	}
	return NULL;
}

/* Makes the socket of a request a listener. */
static struct listener *listener_new(struct ipm_ns *ns, struct sk_buff *request, u32 portid)
{
	struct listener *listener;

	listener = kzalloc(sizeof(*listener), GFP_KERNEL_ACCOUNT);
	if (!listener)
		return ERR_PTR(-ENOMEM);
	listener->user = ipm_user_get();
	if (!listener->user) {
		kfree(listener);
		return ERR_PTR(-ENOMEM);
	}
	if (atomic_inc_return(&listener->user->listeners) > LISTENERS_MAX) {
		atomic_dec(&listener->user->listeners);
		ipm_user_put(listener->user);
		kfree(listener);
		return ERR_PTR(-ENOSPC);
	}
	listener->sock = NETLINK_CB(request).sk;
	sock_hold(listener->sock);
	listener->portid = portid;
	listener->cred = socket_cred(request);
	listener->pid_ns = get_pid_ns(task_active_pid_ns(current));
	list_add_tail(&listener->node, &ns->listeners);
	return listener;
}

/* Does what a SUBSCRIBE asks for; returns the listener that there is then. */
static struct listener *subscribe_change(struct ipm_ns *ns, struct sk_buff *request,
					 struct genl_info *info)
{
	struct listener *listener = listener_find(ns, NETLINK_CB(request).sk);
	struct nlattr *segment = info->attrs[IPM_NL_A_SEGMENT];
	u32 groups;

	if (!info->attrs[IPM_NL_A_GROUPS])
		return listener;
	groups = nla_get_u32(info->attrs[IPM_NL_A_GROUPS]);
	if (!groups) {
		if (listener)
			listener_free(listener);
		groups_update(ns);
		return NULL;
	}
	if (!listener)
		listener = listener_new(ns, request, info->snd_portid);
	if (IS_ERR(listener))
		return listener;
	listener->groups = groups;
	listener->segment = segment ? nla_get_u32(segment) : 0;
	spin_lock(&ns->queue);
	listener->after = ns->last_notice;
	spin_unlock(&ns->queue);
	groups_update(ns);
	return listener;
}

static int subscribe(struct sk_buff *request, struct genl_info *info)
{
	struct ipm_ns *ns = ipm_ns_of(genl_info_net(info));
	struct listener *listener;
	struct sk_buff *answer;
	void *header;
	int ret;

	ret = check_version(info->nlhdr);
	if (ret)
		return ret;
	if (info->attrs[IPM_NL_A_SEGMENT] && !info->attrs[IPM_NL_A_GROUPS])
		return -EINVAL;
	answer = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!answer)
		return -ENOMEM;
	header = genlmsg_put_reply(answer, info, &family, 0, IPM_NL_CMD_SUBSCRIBE);
	/* The answer takes its place among the events under the lock. */
	mutex_lock(&ns->listening);
	listener = subscribe_change(ns, request, info);
	ret = PTR_ERR_OR_ZERO(listener);
	if (!ret && (!header ||
		     nla_put_u32(answer, IPM_NL_A_GROUPS, listener ? listener->groups : 0) ||
		     put_u64(answer, IPM_NL_A_SEQ, listener ? listener->seq : 0)))
		ret = -EMSGSIZE;
	if (!ret) {
		genlmsg_end(answer, header);
		ret = genlmsg_reply(answer, info);
	} else {
		nlmsg_free(answer);
	}
	mutex_unlock(&ns->listening);
	return ret;
}

/* A socket was closed: it hears nothing any more. */
static int released(struct notifier_block *block, unsigned long event, void *data)
{
	struct netlink_notify *notify = data;
	struct listener *listener, *after;
	struct ipm_ns *ns;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	ns = ipm_ns_of(notify->net);
	if (!READ_ONCE(ns->groups))
		return NOTIFY_DONE;
	mutex_lock(&ns->listening);
	list_for_each_entry_safe(listener, after, &ns->listeners, node) {
		/* Its number may already belong to another. */
		if (listener->portid == notify->portid && sock_flag(listener->sock, SOCK_DEAD))
			listener_free(listener);
	}
	groups_update(ns);
	mutex_unlock(&ns->listening);
	return NOTIFY_DONE;
}

static struct notifier_block release_notifier = {
	.notifier_call = released,
};

/**
 * ipm_netlink_begin() - prepares a namespace, in which nobody listens yet
 * @ns: namespace
 */
void ipm_netlink_begin(struct ipm_ns *ns)
{
	mutex_init(&ns->listening);
	INIT_LIST_HEAD(&ns->listeners);
	spin_lock_init(&ns->queue);
	INIT_LIST_HEAD(&ns->notices);
	INIT_WORK(&ns->teller, tell_all);
}

/**
 * ipm_netlink_end() - the opposite; no request comes any more
 * @ns: namespace
 */
void ipm_netlink_end(struct ipm_ns *ns)
{
	struct ipm_notice *notice, *next;
	struct listener *listener, *after;

	spin_lock(&ns->queue);
	ns->closed = true;
	spin_unlock(&ns->queue);
	cancel_work_sync(&ns->teller);
	list_for_each_entry_safe(notice, next, &ns->notices, node) {
		list_del(&notice->node);
		notice_free(notice);
	}
	/* Sockets keep their namespace: there are some only if the module goes. */
	mutex_lock(&ns->listening);
	list_for_each_entry_safe(listener, after, &ns->listeners, node)
		listener_free(listener);
	groups_update(ns);
	mutex_unlock(&ns->listening);
}

/* The family. */

/* Takes none. */
static const struct nla_policy limits_policy[] = {
	[IPM_NL_A_PAD] = { .type = NLA_REJECT },
};

static const struct nla_policy subscribe_policy[] = {
	[IPM_NL_A_SEGMENT] = NLA_POLICY_MIN(NLA_U32, 1),
	[IPM_NL_A_GROUPS] = NLA_POLICY_MASK(NLA_U32, IPM_NL_GROUP_LIFE | IPM_NL_GROUP_CLAIMS |
						     IPM_NL_GROUP_DEATHS),
};

#define LIST(command, attributes, max) { \
	.cmd = command, \
	.start = dump_start, \
	.dumpit = dump_next, \
	.done = dump_end, \
	.policy = attributes, \
	.maxattr = max, \
}

static const struct genl_ops ops[] = {
	LIST(IPM_NL_CMD_SEGMENTS, list_policy, IPM_NL_A_SEGMENT),
	LIST(IPM_NL_CMD_HANDLES, list_policy, IPM_NL_A_SEGMENT),
	LIST(IPM_NL_CMD_CLAIMS, list_policy, IPM_NL_A_SEGMENT),
	LIST(IPM_NL_CMD_WAITERS, list_policy, IPM_NL_A_SEGMENT),
	LIST(IPM_NL_CMD_DOUBTS, list_policy, IPM_NL_A_SEGMENT),
	LIST(IPM_NL_CMD_LIMITS, limits_policy, IPM_NL_A_PAD),
	{
		.cmd = IPM_NL_CMD_SUBSCRIBE,
		.doit = subscribe,
		.policy = subscribe_policy,
		.maxattr = ARRAY_SIZE(subscribe_policy) - 1,
	},
};

static struct genl_family family = {
	.name = IPM_NL_FAMILY,
	.version = IPM_NL_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.module = THIS_MODULE,
};

/**
 * ipm_netlink_init() - makes the family known
 *
 * Return: 0 or an error.
 */
int __init ipm_netlink_init(void)
{
	int ret;

	tellers = alloc_workqueue("ipm", WQ_UNBOUND, 0);
	if (!tellers)
		return -ENOMEM;
	ret = netlink_register_notifier(&release_notifier);
	if (ret)
		goto destroy;
	ret = genl_register_family(&family);
	if (ret)
		goto unregister;
	return 0;

unregister:
	netlink_unregister_notifier(&release_notifier);
destroy:
	destroy_workqueue(tellers);
	return ret;
}

/**
 * ipm_netlink_exit() - the opposite; there are no segments any more
 */
void ipm_netlink_exit(void)
{
	genl_unregister_family(&family);
	netlink_unregister_notifier(&release_notifier);
	destroy_workqueue(tellers);
}
