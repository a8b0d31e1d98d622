// SPDX-License-Identifier: MIT OR GPL-2.0

module go_sched/gosched

go 1.19
