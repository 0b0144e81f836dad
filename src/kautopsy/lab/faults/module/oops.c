// SPDX-License-Identifier: GPL-2.0
/* One CPU does something a CPU refuses to do. */
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "faults.h"

struct session {
	struct list_head link;
	u64 id;
	char peer[48];
	struct session *parent;
	u32 bytes_in;
	u32 bytes_out;
	int (*notify)(struct session *session, int event);
};

static LIST_HEAD(sessions);

static kept struct session *session_lookup(u64 id)
{
	struct session *session;

	list_for_each_entry(session, &sessions, link)
		if (session->id == id)
			return session;
	return NULL;
}

static struct session *session_new(u64 id)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	session->id = id;
	list_add_tail(&session->link, &sessions);
	return session;
}

/* The lookup fails and nobody looks at the result. */
static kept u32 session_bytes(u64 id)
{
	return READ_ONCE(session_lookup(id)->bytes_in);
}

static int null_read(void)
{
	return session_bytes(7) ? 0 : -EAGAIN;
}

static kept void session_account(struct session *session, u32 bytes)
{
	WRITE_ONCE(session->parent->bytes_out, session->parent->bytes_out + bytes);
}

static int null_write(void)
{
	struct session *session = session_new(1);

	if (!session)
		return -ENOMEM;
	session_account(session, 1500);
	return 0;
}

/* A callback that was never set. */
static kept int session_notify(struct session *session)
{
	return session->notify(session, 3) + 1;
}

static int null_call(void)
{
	struct session *session = session_new(2);

	return session ? session_notify(session) : -ENOMEM;
}

/* A function pointer that points into data, which is not executable. */
static int exec_data(void)
{
	struct session *session = session_new(3);

	if (!session)
		return -ENOMEM;
	memset(session->peer, 0x90, sizeof(session->peer));
	session->notify = (void *)session->peer;
	return session_notify(session);
}

/* Text where a pointer should be: an overrun of the peer's name. */
static kept u64 session_root_id(struct session *session)
{
	while (session->parent)
		session = session->parent;
	return session->id;
}

static int bad_pointer_noncanonical(void)
{
	struct session *session = session_new(4);

	if (!session)
		return -ENOMEM;
	memcpy(&session->parent, "example.", sizeof(session->parent));
	return session_root_id(session) ? 0 : -EAGAIN;
}

/* One element too many: the page behind a vmalloc area is a hole. */
static kept u64 table_sum(const u64 *table, size_t entries)
{
	u64 sum = 0;
	size_t i;

	for (i = 0; i <= entries; i++)
		sum += READ_ONCE(table[i]);
	return sum;
}

static int bad_pointer_vmalloc(void)
{
	u64 *table = vzalloc(4 * PAGE_SIZE);

	if (!table)
		return -ENOMEM;
	return table_sum(table, 4 * PAGE_SIZE / sizeof(*table)) ? 0 : -EAGAIN;
}

/* A user's pointer, used as if it were the kernel's. */
static kept u32 request_flags(const u32 *request)
{
	return READ_ONCE(request[3]);
}

static int bad_pointer_user(void)
{
	return request_flags((const u32 *)0x7e0012345000) ? 0 : -EAGAIN;
}

/* The list's walker goes on from an entry that has been taken off it. */
static kept u64 sessions_expire(struct list_head *head)
{
	struct session *session;
	u64 sum = 0;

	list_for_each_entry(session, head, link) {
		list_del(&session->link);
		sum += session->id;
	}
	return sum;
}

static int list_poison_walk(void)
{
	if (!session_new(5) || !session_new(6))
		return -ENOMEM;
	return sessions_expire(&sessions) ? 0 : -EAGAIN;
}

static kept void session_unlink(struct session *session)
{
	list_del(&session->link);
}

static int list_double_del(void)
{
	struct session *session = session_new(8);

	if (!session)
		return -ENOMEM;
	session_unlink(session);
	session_unlink(session);
	return 0;
}

static kept void session_requeue(struct session *session)
{
	list_add(&session->link, &sessions);
}

static int list_double_add(void)
{
	struct session *session = kzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return -ENOMEM;
	session_requeue(session);
	session_requeue(session);
	return 0;
}

/* Some 300 bytes a level: the guard page below the stack is hit within a few dozen levels. */
static kept u64 tree_depth(u64 level)
{
	volatile char path[256];

	memset((char *)path, (int)level, sizeof(path));
	return tree_depth(level + 1) + path[level % sizeof(path)];
}

static int stack_overflow(void)
{
	return tree_depth(0) ? 0 : -EAGAIN;
}

/* Sixteen bytes for a name of up to 31: the canary above the buffer goes. */
static kept size_t label_format(const char *name)
{
	char label[16];
	volatile char *end = label;

	while (*name)
		*end++ = *name++;
	*end = '\0';
	return end - label;
}

static int stack_smash(void)
{
	return label_format("a-name-of-exactly-thirty-chars") ? 0 : -EAGAIN;
}

static kept u32 rate_per_second(u32 bytes, u32 seconds)
{
	return bytes / seconds;
}

static int divide_error(void)
{
	struct session *session = session_new(9);

	return session ? rate_per_second(4096, session->bytes_in) + 1 : -ENOMEM;
}

static kept void session_check(struct session *session)
{
	BUG_ON(session->parent == session);
}

static int bug(void)
{
	struct session *session = session_new(10);

	if (!session)
		return -ENOMEM;
	session->parent = session;
	session_check(session);
	return 0;
}

static kept void session_check_balance(struct session *session)
{
	WARN(session->bytes_in > session->bytes_out, "session %llu: %u bytes in, %u out\n",
	     session->id, session->bytes_in, session->bytes_out);
}

static int warn(void)
{
	struct session *session = session_new(11);

	if (!session)
		return -ENOMEM;
	session->bytes_in = 100;
	session_check_balance(session);
	return 0;
}

/* rsm is invalid outside of system management mode, on every processor. */
static kept void firmware_resume(void)
{
	asm volatile("rsm" ::: "memory");
}

static int invalid_opcode(void)
{
	firmware_resume();
	return 0;
}

const struct scene oops_scenes[] = {
	{ "null-read", null_read },
	{ "null-write", null_write },
	{ "null-call", null_call },
	{ "exec-data", exec_data },
	{ "bad-pointer-noncanonical", bad_pointer_noncanonical },
	{ "bad-pointer-vmalloc", bad_pointer_vmalloc },
	{ "bad-pointer-user", bad_pointer_user },
	{ "list-poison-walk", list_poison_walk },
	{ "list-double-del", list_double_del },
	{ "list-double-add", list_double_add },
	{ "stack-overflow", stack_overflow },
	{ "stack-smash", stack_smash },
	{ "divide-error", divide_error },
	{ "bug", bug },
	{ "warn", warn },
	{ "invalid-opcode", invalid_opcode },
	{ }
};
