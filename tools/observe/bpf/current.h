/* SPDX-License-Identifier: GPL-2.0 */
/* What current.bpf.c tells of each thread that has a goroutine. */
#ifndef CURRENT_H
#define CURRENT_H

#include "record.h"

/* The most processes that are looked at. */
#define MAX_PROCESSES	16384

struct current_thread {
	__s32 tid;
	__u32 status;		/* of the goroutine, as its runtime has it */
	struct goroutine goroutine;
};

#endif /* CURRENT_H */
