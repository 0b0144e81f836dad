// SPDX-License-Identifier: GPL-2.0
/* Tasks sleep, each waiting for what another will never give. */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/mutex.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/semaphore.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "faults.h"

/* Locks that live in objects, as most do, and locks that are globals. */
struct volume {
	char name[16];
	struct mutex lock;
	struct rw_semaphore tree;
};

static struct volume *left, *right;
static DEFINE_MUTEX(registry_lock);
static DECLARE_RWSEM(catalog_sem);
static DEFINE_RT_MUTEX(clock_lock);
static struct semaphore slots = __SEMAPHORE_INITIALIZER(slots, 1);
static DECLARE_COMPLETION(upload_done);
static DECLARE_WAIT_QUEUE_HEAD(answers);
static bool answered;

static struct volume *volume_new(const char *name)
{
	struct volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);

	if (volume) {
		strscpy(volume->name, name, sizeof(volume->name));
		mutex_init(&volume->lock);
		init_rwsem(&volume->tree);
	}
	return volume;
}

static int make_volumes(void)
{
	if (!left)
		left = volume_new("left");
	if (!right)
		right = volume_new("right");
	return left && right ? 0 : -ENOMEM;
}

/* Nobody goes for a second lock before @expected threads have their first. */
static atomic_t arrived = ATOMIC_INIT(0);

static void meet(int expected)
{
	atomic_inc(&arrived);
	while (atomic_read(&arrived) < expected)
		msleep(20);
}

/* Long enough for whoever comes first to have come. */
static void come_later(void)
{
	msleep(1000);
}

/* abba-mutex: two volumes, copied in both directions at once */
static kept void volume_copy(struct volume *from, struct volume *to)
{
	mutex_lock(&from->lock);
	meet(2);
	mutex_lock(&to->lock);
	mutex_unlock(&to->lock);
	mutex_unlock(&from->lock);
}

static int copier(void *reverse)
{
	volume_copy(reverse ? right : left, reverse ? left : right);
	return 0;
}

static int abba_mutex(void)
{
	return make_volumes() ?: spawn_thread(copier, NULL, -1, "kf-copy-lr") ?:
	       spawn_thread(copier, left, -1, "kf-copy-rl");
}

/* abba-mutex-rwsem: a mutex and a read-write semaphore, the latter for writing */
static kept void volume_resize(struct volume *volume)
{
	mutex_lock(&volume->lock);
	meet(2);
	down_write(&volume->tree);
	up_write(&volume->tree);
	mutex_unlock(&volume->lock);
}

static kept void volume_snapshot(struct volume *volume)
{
	down_write(&volume->tree);
	meet(2);
	mutex_lock(&volume->lock);
	mutex_unlock(&volume->lock);
	up_write(&volume->tree);
}

static int resizer(void *unused)
{
	volume_resize(left);
	return 0;
}

static int snapshotter(void *unused)
{
	volume_snapshot(left);
	return 0;
}

static int abba_mutex_rwsem(void)
{
	return make_volumes() ?: spawn_thread(resizer, NULL, -1, "kf-resize") ?:
	       spawn_thread(snapshotter, NULL, -1, "kf-snapshot");
}

/* rwsem-reader-writer: the reader wants a mutex whose owner wants to write */
static kept void catalog_list(void)
{
	down_read(&catalog_sem);
	meet(2);
	mutex_lock(&registry_lock);
	mutex_unlock(&registry_lock);
	up_read(&catalog_sem);
}

static kept void catalog_insert(void)
{
	mutex_lock(&registry_lock);
	meet(2);
	down_write(&catalog_sem);
	up_write(&catalog_sem);
	mutex_unlock(&registry_lock);
}

static int lister(void *unused)
{
	catalog_list();
	return 0;
}

static int inserter(void *unused)
{
	catalog_insert();
	return 0;
}

static int rwsem_reader_writer(void)
{
	return spawn_thread(lister, NULL, -1, "kf-list") ?:
	       spawn_thread(inserter, NULL, -1, "kf-insert");
}

/* cycle-three: philosophers */
static struct mutex forks[3];

static kept void dine(long seat)
{
	mutex_lock(&forks[seat]);
	meet(3);
	mutex_lock(&forks[(seat + 1) % 3]);
	mutex_unlock(&forks[(seat + 1) % 3]);
	mutex_unlock(&forks[seat]);
}

static int diner(void *seat)
{
	dine((long)seat);
	return 0;
}

static int cycle_three(void)
{
	static const char *const names[] = { "kf-diner-0", "kf-diner-1", "kf-diner-2" };
	long seat;
	int error;

	for (seat = 0; seat < 3; seat++)
		mutex_init(&forks[seat]);
	for (seat = 0; seat < 3; seat++) {
		error = spawn_thread(diner, (void *)seat, -1, names[seat]);
		if (error)
			return error;
	}
	return 0;
}

/* self-mutex: the same task, in a system call, takes its own lock again two calls further down */
static kept void volume_sync(struct volume *volume)
{
	mutex_lock(&volume->lock);
	mutex_unlock(&volume->lock);
}

static kept void volume_close(struct volume *volume)
{
	mutex_lock(&volume->lock);
	volume_sync(volume);
	mutex_unlock(&volume->lock);
}

static int self_mutex(void)
{
	if (make_volumes())
		return -ENOMEM;
	volume_close(left);
	return 0;
}

/* abba-rtmutex: a priority-inheriting lock and a mutex */
static kept void clock_adjust(void)
{
	rt_mutex_lock(&clock_lock);
	meet(2);
	mutex_lock(&registry_lock);
	mutex_unlock(&registry_lock);
	rt_mutex_unlock(&clock_lock);
}

static kept void clock_register(void)
{
	mutex_lock(&registry_lock);
	meet(2);
	rt_mutex_lock(&clock_lock);
	rt_mutex_unlock(&clock_lock);
	mutex_unlock(&registry_lock);
}

static int adjuster(void *unused)
{
	clock_adjust();
	return 0;
}

static int registrar(void *unused)
{
	clock_register();
	return 0;
}

static int abba_rtmutex(void)
{
	return spawn_thread(adjuster, NULL, -1, "kf-adjust") ?:
	       spawn_thread(registrar, NULL, -1, "kf-register");
}

/* mutex-holder-asleep: no cycle; the owner waits for an answer, and everybody for the owner */
static kept void registry_query_remote(void)
{
	mutex_lock(&registry_lock);
	wait_event(answers, READ_ONCE(answered));
	mutex_unlock(&registry_lock);
}

static kept void registry_read(void)
{
	mutex_lock(&registry_lock);
	mutex_unlock(&registry_lock);
}

static int remote_query(void *unused)
{
	registry_query_remote();
	return 0;
}

static int registry_reader(void *unused)
{
	come_later();
	registry_read();
	return 0;
}

static int mutex_holder_asleep(void)
{
	return spawn_thread(remote_query, NULL, -1, "kf-query") ?:
	       spawn_thread(registry_reader, NULL, -1, "kf-reader-0") ?:
	       spawn_thread(registry_reader, NULL, -1, "kf-reader-1") ?:
	       spawn_thread(registry_reader, NULL, -1, "kf-reader-2");
}

/* mutex-holder-idle: the owner's sleep is interruptible, so khungtaskd names a waiter only */
static kept void registry_poll_remote(void)
{
	mutex_lock(&registry_lock);
	while (!READ_ONCE(answered))
		schedule_timeout_interruptible(HZ);
	mutex_unlock(&registry_lock);
}

static int remote_poll(void *unused)
{
	registry_poll_remote();
	return 0;
}

static int mutex_holder_idle(void)
{
	return spawn_thread(remote_poll, NULL, -1, "kf-poll") ?:
	       spawn_thread(registry_reader, NULL, -1, "kf-reader-0");
}

/* rwsem-writer-asleep: a writer sleeps, readers queue up behind it */
static kept void catalog_rebuild(void)
{
	down_write(&catalog_sem);
	wait_event(answers, READ_ONCE(answered));
	up_write(&catalog_sem);
}

static kept void catalog_search(void)
{
	down_read(&catalog_sem);
	up_read(&catalog_sem);
}

static int rebuilder(void *unused)
{
	catalog_rebuild();
	return 0;
}

static int searcher(void *unused)
{
	come_later();
	catalog_search();
	return 0;
}

static int rwsem_writer_asleep(void)
{
	return spawn_thread(rebuilder, NULL, -1, "kf-rebuild") ?:
	       spawn_thread(searcher, NULL, -1, "kf-search-0") ?:
	       spawn_thread(searcher, NULL, -1, "kf-search-1");
}

/* semaphore-leaked: the one slot was taken and never given back */
static kept void slot_take(void)
{
	down(&slots);
}

static int taker(void *unused)
{
	slot_take();
	return 0;
}

static int semaphore_leaked(void)
{
	return spawn_thread(taker, NULL, -1, "kf-taker-0") ?:
	       spawn_thread(taker, NULL, -1, "kf-taker-1");
}

/* completion-lost: nobody will ever complete it */
static kept void upload_wait(void)
{
	wait_for_completion(&upload_done);
}

static int completion_lost(void)
{
	upload_wait();
	return 0;
}

/* completion-mutex: the completer needs the mutex that the waiter holds */
static kept void upload_flush(void)
{
	mutex_lock(&registry_lock);
	wait_for_completion(&upload_done);
	mutex_unlock(&registry_lock);
}

static kept void upload_finish(void)
{
	mutex_lock(&registry_lock);
	complete(&upload_done);
	mutex_unlock(&registry_lock);
}

static int upload_flusher(void *unused)
{
	upload_flush();
	return 0;
}

static int upload_finisher(void *unused)
{
	come_later();
	upload_finish();
	return 0;
}

static int completion_mutex(void)
{
	return spawn_thread(upload_flusher, NULL, -1, "kf-flush") ?:
	       spawn_thread(upload_finisher, NULL, -1, "kf-finish");
}

const struct scene locks_scenes[] = {
	{ "abba-mutex", abba_mutex },
	{ "abba-mutex-rwsem", abba_mutex_rwsem },
	{ "rwsem-reader-writer", rwsem_reader_writer },
	{ "cycle-three", cycle_three },
	{ "self-mutex", self_mutex },
	{ "abba-rtmutex", abba_rtmutex },
	{ "mutex-holder-asleep", mutex_holder_asleep },
	{ "mutex-holder-idle", mutex_holder_idle },
	{ "rwsem-writer-asleep", rwsem_writer_asleep },
	{ "semaphore-leaked", semaphore_leaked },
	{ "completion-lost", completion_lost },
	{ "completion-mutex", completion_mutex },
	{ }
};
