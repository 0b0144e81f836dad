/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenes: ways for a kernel to die, each by a mechanism seen in the field.
 *
 * A scene is a function that returns 0 when the damage is done or under way (and often does not
 * return at all). It runs in the context of the process that wrote its name to
 * /proc/kautopsy_faults, or in kernel threads it starts.
 */
#ifndef KAUTOPSY_FAULTS_H
#define KAUTOPSY_FAULTS_H

#include <linux/types.h>

/*
 * What a scene is judged by must exist in the dump under its own name: no inlining, and no clones
 * such as foo.isra.0 or foo.constprop.0, whatever the compiler's release thinks of it.
 */
#define kept noinline __attribute__((noipa))

struct scene {
	const char *name;
	int (*play)(void);
};

extern const struct scene oops_scenes[];
extern const struct scene memory_scenes[];
extern const struct scene lockup_scenes[];
extern const struct scene locks_scenes[];
extern const struct scene storage_scenes[];
extern const struct scene control_scenes[];

/* A kernel thread on @cpu (any if negative); its comm is @name. */
int spawn_thread(int (*fn)(void *), void *data, int cpu, const char *name);

/* A CPU that is online and not the boot CPU, or the boot CPU if it is alone. */
int other_cpu(void);

#endif
