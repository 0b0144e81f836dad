// SPDX-License-Identifier: GPL-2.0
/* Disks in memory that work until they are told not to: then what they are given never completes. */
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/spinlock.h>
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

/* The same without requests, as dm and md are: bios are done at once, or kept for ever. */
static struct bio_list journal = BIO_EMPTY_LIST;
static DEFINE_SPINLOCK(journal_lock);

static kept void journal_append(struct bio *bio)
{
	loff_t position = (loff_t)bio->bi_iter.bi_sector << SECTOR_SHIFT;
	struct bio_vec segment;
	struct bvec_iter iterator;

	if (READ_ONCE(stalled)) {
		spin_lock(&journal_lock);
		bio_list_add(&journal, bio);
		spin_unlock(&journal_lock);
		return;
	}
	bio_for_each_segment(segment, bio, iterator) {
		void *page = page_address(segment.bv_page) + segment.bv_offset;

		if (bio_data_dir(bio) == WRITE)
			memcpy(contents + position, page, segment.bv_len);
		else
			memcpy(page, contents + position, segment.bv_len);
		position += segment.bv_len;
	}
	bio_endio(bio);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 16, 0)
static void journal_submit(struct bio *bio)
{
	journal_append(bio);
}
#else
static blk_qc_t journal_submit(struct bio *bio)
{
	journal_append(bio);
	return BLK_QC_T_NONE;
}
#endif

static const struct block_device_operations journal_ops = {
	.owner = THIS_MODULE,
	.submit_bio = journal_submit,
};

static struct gendisk *allocate_journal(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return blk_alloc_disk(NULL, NUMA_NO_NODE);
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(5, 15, 0)
	return blk_alloc_disk(NUMA_NO_NODE) ?: ERR_PTR(-ENOMEM);
#else
	struct gendisk *allocated = alloc_disk(1);

	if (!allocated)
		return ERR_PTR(-ENOMEM);
	allocated->queue = blk_alloc_queue(NUMA_NO_NODE);
	allocated->major = register_blkdev(0, "kfbio");
	return allocated;
#endif
}

/* The disk appears as /dev/kfbio. */
static int disk_create_bio(void)
{
	contents = vzalloc(DISK_BYTES);
	if (!contents)
		return -ENOMEM;
	disk = allocate_journal();
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->fops = &journal_ops;
	strscpy(disk->disk_name, "kfbio", sizeof(disk->disk_name));
	set_capacity(disk, DISK_BYTES >> SECTOR_SHIFT);
	return publish_disk();
}

const struct scene storage_scenes[] = {
	{ "disk-create-bio", disk_create_bio },
	{ "disk-create", disk_create },
	{ "disk-stall", disk_stall },
	{ }
};
