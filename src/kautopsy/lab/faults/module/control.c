// SPDX-License-Identifier: GPL-2.0
/* Somebody decides that the machine has to stop. */
#include <linux/kernel.h>
#include <linux/pid.h>
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

static int kill_init(void)
{
	return kill_pid(find_vpid(1), SIGKILL, 1);
}

const struct scene control_scenes[] = {
	{ "module-panic", module_panic },
	{ "kill-init", kill_init },
	{ }
};
