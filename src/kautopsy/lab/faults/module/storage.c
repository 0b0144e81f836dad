// SPDX-License-Identifier: GPL-2.0
/* A disk in memory that works until it is told not to: then its requests never complete. */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 18, 0)
#include <linux/genhd.h>
#endif

#include "faults.h"

#define DISK_BYTES (16UL << 20)

static struct blk_mq_tag_set tags;
static struct gendisk *disk;
static void *contents;
static bool stalled;

static kept blk_status_t store_queue_rq(struct blk_mq_hw_ctx *hctx,
					const struct blk_mq_queue_data *data)
{
	struct request *request = data->rq;
	loff_t position = blk_rq_pos(request) << SECTOR_SHIFT;
	struct req_iterator iterator;
	struct bio_vec segment;

	blk_mq_start_request(request);
	if (READ_ONCE(stalled))
		return BLK_STS_OK;
	if (req_op(request) == REQ_OP_READ || req_op(request) == REQ_OP_WRITE) {
		rq_for_each_segment(segment, request, iterator) {
			void *page = page_address(segment.bv_page) + segment.bv_offset;

			if (rq_data_dir(request) == WRITE)
				memcpy(contents + position, page, segment.bv_len);
			else
				memcpy(page, contents + position, segment.bv_len);
			position += segment.bv_len;
		}
	}
	blk_mq_end_request(request, BLK_STS_OK);
	return BLK_STS_OK;
}

static const struct blk_mq_ops store_mq_ops = {
	.queue_rq = store_queue_rq,
};

static const struct block_device_operations store_ops = {
	.owner = THIS_MODULE,
};

static struct gendisk *allocate_disk(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return blk_mq_alloc_disk(&tags, NULL, NULL);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	return blk_mq_alloc_disk(&tags, NULL);
#else
	struct gendisk *allocated;
	struct request_queue *queue = blk_mq_init_queue(&tags);

	if (IS_ERR(queue))
		return ERR_CAST(queue);
	allocated = alloc_disk(1);
	if (!allocated)
		return ERR_PTR(-ENOMEM);
	allocated->major = register_blkdev(0, "kfdisk");
	allocated->queue = queue;
	return allocated;
#endif
}

static int publish_disk(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	return add_disk(disk);
#else
	add_disk(disk);
	return 0;
#endif
}

/* The disk appears as /dev/kfdisk; it stays for the life of the machine. */
static int disk_create(void)
{
	int error;

	contents = vzalloc(DISK_BYTES);
	if (!contents)
		return -ENOMEM;
	tags.ops = &store_mq_ops;
	tags.nr_hw_queues = 1;
	tags.queue_depth = 16;
	tags.numa_node = NUMA_NO_NODE;
	error = blk_mq_alloc_tag_set(&tags);
	if (error)
		return error;
	disk = allocate_disk();
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->fops = &store_ops;
	strscpy(disk->disk_name, "kfdisk", sizeof(disk->disk_name));
	set_capacity(disk, DISK_BYTES >> SECTOR_SHIFT);
	return publish_disk();
}

static int disk_stall(void)
{
	WRITE_ONCE(stalled, true);
	return 0;
}

const struct scene storage_scenes[] = {
	{ "disk-create", disk_create },
	{ "disk-stall", disk_stall },
	{ }
};
