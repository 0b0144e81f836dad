// SPDX-License-Identifier: GPL-2.0
/* Somebody decides that the machine has to stop. */
#include <linux/kernel.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "faults.h"

static kept void heartbeat_check(const char *peer, int missed)
{
	if (missed > 3)
		panic("cluster: no heartbeat from %s, fencing this node", peer);
}

static int module_panic(void)
{
	heartbeat_check("node7", 4);
	return 0;
}

/*
 * As a segmentation fault in init does (force_sig_info_to_task()). A SIGKILL would not: the kernel
 * ignores it for the first process.
 */
static int crash_init(void)
{
	struct task_struct *init;

	rcu_read_lock();
	init = pid_task(find_vpid(1), PIDTYPE_PID);
	if (init) {
		init->signal->flags &= ~SIGNAL_UNKILLABLE;
		send_sig(SIGSEGV, init, 1);
	}
	rcu_read_unlock();
	return init ? 0 : -ESRCH;
}

const struct scene control_scenes[] = {
	{ "module-panic", module_panic },
	{ "crash-init", crash_init },
	{ }
};
