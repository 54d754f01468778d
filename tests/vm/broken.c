// SPDX-License-Identifier: GPL-2.0
/*
 * A module of mistakes, for tests/vm/selftest: what looks for them has to find each.
 * It bears the name of the module that is tested, since reports are told apart by that.
 */
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *mistake = "";
module_param(mistake, charp, 0444);
MODULE_PARM_DESC(mistake, "free, locks, sleep, leak or race");

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);
static unsigned long counter;

static noinline void use_after_free(void)
{
	char *text = kzalloc(64, GFP_KERNEL);
	char *same = text;

	/* So that the compiler does not see it. */
	OPTIMIZER_HIDE_VAR(same);
	kfree(text);
	pr_info("was %d\n", READ_ONCE(same[8]));
}

static noinline void take_both_ways(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);

	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static noinline void sleep_with_lock(void)
{
	spin_lock(&first);
	msleep(1);
	spin_unlock(&first);
}

static noinline void lose(void)
{
	char *text = kmalloc(100, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(text);
}

static int count(void *data)
{
	while (!kthread_should_stop()) {
		for (int i = 0; i < 1000; i++) {
			counter++;
			barrier();
		}
		cond_resched();
	}
	return 0;
}

static noinline void race(void)
{
	struct task_struct *one = kthread_run(count, NULL, "count-one");
	struct task_struct *two = kthread_run(count, NULL, "count-two");

	msleep(10000);
	if (!IS_ERR(one))
		kthread_stop(one);
	if (!IS_ERR(two))
		kthread_stop(two);
}

static int __init broken_init(void)
{
	if (!strcmp(mistake, "free"))
		use_after_free();
	else if (!strcmp(mistake, "locks"))
		take_both_ways();
	else if (!strcmp(mistake, "sleep"))
		sleep_with_lock();
	else if (!strcmp(mistake, "leak"))
		lose();
	else if (!strcmp(mistake, "race"))
		race();
	else
		return -EINVAL;
	return 0;
}

static void __exit broken_exit(void)
{
}

module_init(broken_init);
module_exit(broken_exit);
MODULE_DESCRIPTION("Mistakes on purpose");
MODULE_LICENSE("GPL");
