// SPDX-License-Identifier: GPL-2.0
/* /proc/kautopsy_faults: write a scene's name and it is played. */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "faults.h"

static const struct scene *const families[] = {
	oops_scenes, memory_scenes, lockup_scenes, locks_scenes, storage_scenes, control_scenes,
};

int spawn_thread(int (*fn)(void *), void *data, int cpu, const char *name)
{
	struct task_struct *task = kthread_create(fn, data, "%s", name);

	if (IS_ERR(task))
		return PTR_ERR(task);
	if (cpu >= 0)
		kthread_bind(task, cpu);
	wake_up_process(task);
	return 0;
}

int other_cpu(void)
{
	int cpu = cpumask_next(cpumask_first(cpu_online_mask), cpu_online_mask);

	return cpu < nr_cpu_ids ? cpu : cpumask_first(cpu_online_mask);
}

static const struct scene *find_scene(const char *name)
{
	const struct scene *scene;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(families); i++)
		for (scene = families[i]; scene->name; scene++)
			if (!strcmp(scene->name, name))
				return scene;
	return NULL;
}

static ssize_t faults_write(struct file *file, const char __user *buffer, size_t count,
			    loff_t *offset)
{
	const struct scene *scene;
	char name[64];
	int error;

	if (count >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, buffer, count))
		return -EFAULT;
	name[count] = '\0';
	scene = find_scene(strim(name));
	if (!scene)
		return -ENOENT;
	error = scene->play();
	return error ? error : count;
}

static const struct proc_ops faults_ops = {
	.proc_write = faults_write,
};

/* No module_exit: threads that can never end must not lose their code. */
static int __init faults_init(void)
{
	return proc_create("kautopsy_faults", 0200, NULL, &faults_ops) ? 0 : -ENOMEM;
}
module_init(faults_init);

MODULE_DESCRIPTION("Ways for a kernel to die, for testing crash dump analysis");
MODULE_LICENSE("GPL");
