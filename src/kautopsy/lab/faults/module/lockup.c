// SPDX-License-Identifier: GPL-2.0
/* A CPU, or everybody on it, gets nowhere. */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "faults.h"

struct ring {
	spinlock_t lock;
	u32 head;
	u32 tail;
};

static struct ring *ring;
static DEFINE_SPINLOCK(config_lock);

static int make_ring(void)
{
	if (ring)
		return 0;
	ring = kzalloc(sizeof(*ring), GFP_KERNEL);
	if (!ring)
		return -ENOMEM;
	spin_lock_init(&ring->lock);
	return 0;
}

/* The device never gets there. */
static kept void ring_poll(struct ring *polled)
{
	while (READ_ONCE(polled->head) == READ_ONCE(polled->tail))
		cpu_relax();
}

static int poller(void *unused)
{
	preempt_disable();
	ring_poll(ring);
	preempt_enable();
	return 0;
}

static int soft_lockup(void)
{
	return make_ring() ?: spawn_thread(poller, NULL, other_cpu(), "kf-poller");
}

struct node {
	struct node *next;
	u64 key;
};

/* A list that bites its tail, walked under a lock by a process in a system call. */
static kept bool nodes_contain(struct node *node, u64 key)
{
	for (; node; node = READ_ONCE(node->next))
		if (READ_ONCE(node->key) == key)
			return true;
	return false;
}

static int soft_lockup_list(void)
{
	struct node *nodes = kcalloc(2, sizeof(*nodes), GFP_KERNEL);
	bool found;

	if (!nodes)
		return -ENOMEM;
	nodes[0].next = &nodes[1];
	nodes[1].next = &nodes[0];
	spin_lock(&config_lock);
	found = nodes_contain(nodes, 42);
	spin_unlock(&config_lock);
	return found;
}

/* The holder went to sleep with the spinlock held; whoever wants it spins. */
static kept void ring_flush(void)
{
	spin_lock(&ring->lock);
	msleep(3600 * 1000);
	spin_unlock(&ring->lock);
}

static kept void ring_push(void)
{
	spin_lock(&ring->lock);
	ring->head++;
	spin_unlock(&ring->lock);
}

static int flusher(void *unused)
{
	ring_flush();
	return 0;
}

static int pusher(void *unused)
{
	msleep(500);
	ring_push();
	return 0;
}

static int spinlock_holder_asleep(void)
{
	return make_ring() ?: spawn_thread(flusher, NULL, other_cpu(), "kf-flusher") ?:
	       spawn_thread(pusher, NULL, other_cpu(), "kf-pusher");
}

/* The holder spins with interrupts off, so no watchdog sees it: it is the victim that is named. */
static kept void ring_drain(void)
{
	unsigned long flags;

	spin_lock_irqsave(&ring->lock, flags);
	ring_poll(ring);
	spin_unlock_irqrestore(&ring->lock, flags);
}

static int drainer(void *unused)
{
	/* The process that started the scene must be gone: as it exits it would wait for this CPU. */
	msleep(600);
	ring_drain();
	return 0;
}

static int late_pusher(void *unused)
{
	msleep(900);
	ring_push();
	return 0;
}

static int spinlock_holder_spins(void)
{
	return make_ring() ?: spawn_thread(drainer, NULL, other_cpu(), "kf-drainer") ?:
	       spawn_thread(late_pusher, NULL, 0, "kf-pusher");
}

/* An error path that forgets to unlock; the next one in finds the lock held by nobody. */
static kept int config_parse(int version)
{
	spin_lock(&config_lock);
	if (version > 2)
		return -EINVAL;
	spin_unlock(&config_lock);
	return 0;
}

static kept void config_commit(void)
{
	spin_lock(&config_lock);
	spin_unlock(&config_lock);
}

static int spinlock_forgotten(void)
{
	if (config_parse(3))
		config_commit();
	return 0;
}

/* ABBA with spinlocks, on two CPUs, each of which waits until the other has its first one. */
static DEFINE_SPINLOCK(route_lock);
static DEFINE_SPINLOCK(neighbour_lock);
static atomic_t updaters = ATOMIC_INIT(0);

static void meet_spinning(void)
{
	atomic_inc(&updaters);
	while (atomic_read(&updaters) < 2)
		cpu_relax();
}

static kept void route_update(void)
{
	spin_lock(&route_lock);
	meet_spinning();
	spin_lock(&neighbour_lock);
	spin_unlock(&neighbour_lock);
	spin_unlock(&route_lock);
}

static kept void neighbour_update(void)
{
	spin_lock(&neighbour_lock);
	meet_spinning();
	spin_lock(&route_lock);
	spin_unlock(&route_lock);
	spin_unlock(&neighbour_lock);
}

static int router(void *unused)
{
	msleep(500);
	route_update();
	return 0;
}

static int resolver(void *unused)
{
	msleep(500);
	neighbour_update();
	return 0;
}

static int spinlock_abba(void)
{
	return spawn_thread(router, NULL, other_cpu(), "kf-router") ?:
	       spawn_thread(resolver, NULL, 0, "kf-resolver");
}

/* Interrupts off for ever on one CPU. */
static kept void device_wait_ready(struct ring *device)
{
	unsigned long flags;

	local_irq_save(flags);
	while (!READ_ONCE(device->tail))
		cpu_relax();
	local_irq_restore(flags);
}

static int waiter(void *unused)
{
	msleep(600);
	device_wait_ready(ring);
	return 0;
}

static int hard_lockup(void)
{
	return make_ring() ?: spawn_thread(waiter, NULL, other_cpu(), "kf-waiter");
}

/* The same, but somebody on CPU 0 needs that CPU's answer, and is the one the watchdog names. */
static void answer(void *unused)
{
}

static kept void firmware_broadcast(void)
{
	on_each_cpu(answer, NULL, 1);
}

static int broadcaster(void *unused)
{
	msleep(900);
	firmware_broadcast();
	return 0;
}

static int hard_lockup_ipi(void)
{
	return make_ring() ?: spawn_thread(waiter, NULL, other_cpu(), "kf-waiter") ?:
	       spawn_thread(broadcaster, NULL, 0, "kf-broadcast");
}

/* A reader that never leaves: no grace period ends. */
static kept void routes_dump(void)
{
	rcu_read_lock();
	ring_poll(ring);
	rcu_read_unlock();
}

static int dumper(void *unused)
{
	routes_dump();
	return 0;
}

static int rcu_stall(void)
{
	return make_ring() ?: spawn_thread(dumper, NULL, other_cpu(), "kf-dumper");
}

/* A work item keeps its per-CPU pool to itself; those queued behind it never run. */
static struct work_struct index_work, refresh_work[3];

static kept void index_rebuild(struct work_struct *work)
{
	while (READ_ONCE(ring->head) == READ_ONCE(ring->tail)) {
		cpu_relax();
		cond_resched();
	}
}

static void index_refresh(struct work_struct *work)
{
	ring->tail = ring->head;
}

static int workqueue_stall(void)
{
	int cpu = other_cpu();
	size_t i;

	if (make_ring())
		return -ENOMEM;
	INIT_WORK(&index_work, index_rebuild);
	schedule_work_on(cpu, &index_work);
	msleep(100);
	for (i = 0; i < ARRAY_SIZE(refresh_work); i++) {
		INIT_WORK(&refresh_work[i], index_refresh);
		schedule_work_on(cpu, &refresh_work[i]);
	}
	return 0;
}

/* An ordered queue runs one item at a time, and this one waits for something that never comes. */
static DECLARE_WAIT_QUEUE_HEAD(replies);

static kept void journal_commit(struct work_struct *work)
{
	wait_event(replies, READ_ONCE(ring->head) != READ_ONCE(ring->tail));
}

static int workqueue_ordered(void)
{
	struct workqueue_struct *journal;
	size_t i;

	if (make_ring())
		return -ENOMEM;
	journal = alloc_ordered_workqueue("kf_journal", 0);
	if (!journal)
		return -ENOMEM;
	INIT_WORK(&index_work, journal_commit);
	queue_work(journal, &index_work);
	for (i = 0; i < ARRAY_SIZE(refresh_work); i++) {
		INIT_WORK(&refresh_work[i], index_refresh);
		queue_work(journal, &refresh_work[i]);
	}
	return 0;
}

/* Sleeping with a spinlock held and softirqs off. */
static kept void config_reload(void)
{
	spin_lock_bh(&config_lock);
	msleep(20);
	spin_unlock_bh(&config_lock);
}

static int atomic_sleep(void)
{
	config_reload();
	return 0;
}

const struct scene lockup_scenes[] = {
	{ "soft-lockup", soft_lockup },
	{ "soft-lockup-list", soft_lockup_list },
	{ "spinlock-holder-asleep", spinlock_holder_asleep },
	{ "spinlock-holder-spins", spinlock_holder_spins },
	{ "spinlock-forgotten", spinlock_forgotten },
	{ "spinlock-abba", spinlock_abba },
	{ "hard-lockup", hard_lockup },
	{ "hard-lockup-ipi", hard_lockup_ipi },
	{ "rcu-stall", rcu_stall },
	{ "workqueue-stall", workqueue_stall },
	{ "workqueue-ordered", workqueue_ordered },
	{ "atomic-sleep", atomic_sleep },
	{ }
};
