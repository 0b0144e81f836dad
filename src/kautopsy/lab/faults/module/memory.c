// SPDX-License-Identifier: GPL-2.0
/* Memory is used after it was freed, written beyond its end, or never given back. */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/version.h>

#include "faults.h"

struct packet {
	u64 sequence;
	struct packet *next;
	char payload[200];
	struct {
		u64 (*checksum)(struct packet *packet);
	} *ops;
};

static struct kmem_cache *packets;

static void packet_init(void *memory)
{
	memset(memory, 0, sizeof(struct packet));
}

/* A constructor keeps the cache from being merged with others: its name survives in the dump. */
static int make_cache(bool constructor)
{
	if (!packets)
		packets = kmem_cache_create("kf_packet", sizeof(struct packet), 0, 0,
					    constructor ? packet_init : NULL);
	return packets ? 0 : -ENOMEM;
}

static kept struct packet *packet_alloc(u64 sequence)
{
	struct packet *packet = kmem_cache_alloc(packets, GFP_KERNEL);

	if (packet) {
		packet->sequence = sequence;
		packet->next = NULL;
	}
	return packet;
}

static kept void packet_free(struct packet *packet)
{
	kmem_cache_free(packets, packet);
}

static kept u64 packet_checksum(struct packet *packet)
{
	return packet->ops->checksum(packet) + packet->sequence;
}

/* Needs slub_debug=FZPU,kf_packet: freed memory is filled with 0x6b, and who freed it is kept. */
static int use_after_free(void)
{
	struct packet *packet;

	if (make_cache(false))
		return -ENOMEM;
	packet = packet_alloc(1);
	if (!packet)
		return -ENOMEM;
	packet_free(packet);
	return packet_checksum(packet) ? 0 : -EAGAIN;
}

/* A chain of packets is walked after its tail went away. */
static kept u64 packet_chain_length(struct packet *packet)
{
	u64 length = 0;

	for (; packet; packet = READ_ONCE(packet->next))
		length++;
	return length;
}

static int use_after_free_chain(void)
{
	struct packet *head, *tail;

	if (make_cache(false))
		return -ENOMEM;
	head = packet_alloc(1);
	tail = packet_alloc(2);
	if (!head || !tail)
		return -ENOMEM;
	head->next = tail;
	packet_free(tail);
	return packet_chain_length(head) ? 0 : -EAGAIN;
}

static int slab_double_free(void)
{
	struct packet *packet;

	if (make_cache(false))
		return -ENOMEM;
	packet = packet_alloc(1);
	if (!packet)
		return -ENOMEM;
	packet_free(packet);
	packet_free(packet);
	return 0;
}

/* Eight bytes behind the object's end: the red zone's pattern is broken. */
static kept void packet_fill(struct packet *packet)
{
	volatile char *byte = (volatile char *)packet;
	size_t i;

	for (i = offsetof(struct packet, payload); i < sizeof(*packet) + 8; i++)
		byte[i] = 0x41;
}

static int slab_redzone(void)
{
	struct packet *packet;

	if (make_cache(false))
		return -ENOMEM;
	packet = packet_alloc(1);
	if (!packet)
		return -ENOMEM;
	packet_fill(packet);
	packet_free(packet);
	return 0;
}

/* A page goes back to the allocator while its descriptor says that it belongs to somebody. */
static kept void buffer_release(struct page *page, unsigned int order)
{
	__free_pages(page, order);
}

static int bad_page(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 4);

	if (!page)
		return -ENOMEM;
	page->mapping = (void *)&packets;
	buffer_release(page, 4);
	return 0;
}

static refcount_t users = REFCOUNT_INIT(1);

static kept void users_put(void)
{
	if (refcount_dec_and_test(&users))
		pr_info("the last user has gone\n");
}

static int refcount_underflow(void)
{
	users_put();
	users_put();
	return 0;
}

static kept void users_get(void)
{
	refcount_inc(&users);
}

static int refcount_saturated(void)
{
	refcount_set(&users, REFCOUNT_MAX);
	users_get();
	users_get();
	return 0;
}

static kept int packets_receive(void)
{
	u64 sequence;

	for (sequence = 0;; sequence++)
		if (!packet_alloc(sequence))
			return -ENOMEM;
}

static int receiver(void *unused)
{
	return packets_receive();
}

static int leak_slab(void)
{
	if (make_cache(true))
		return -ENOMEM;
	return spawn_thread(receiver, NULL, -1, "kf-receiver");
}

static kept int buffers_grow(void)
{
	for (;;)
		if (!alloc_pages(GFP_KERNEL, 0))
			return -ENOMEM;
}

static int grower(void *unused)
{
	return buffers_grow();
}

static int leak_pages(void)
{
	return spawn_thread(grower, NULL, -1, "kf-grower");
}

const struct scene memory_scenes[] = {
	{ "use-after-free", use_after_free },
	{ "use-after-free-chain", use_after_free_chain },
	{ "slab-double-free", slab_double_free },
	{ "slab-redzone", slab_redzone },
	{ "bad-page", bad_page },
	{ "refcount-underflow", refcount_underflow },
	{ "refcount-saturated", refcount_saturated },
	{ "leak-slab", leak_slab },
	{ "leak-pages", leak_pages },
	{ }
};
