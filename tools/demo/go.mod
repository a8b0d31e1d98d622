// SPDX-License-Identifier: GPL-2.0

module go_sched/demo

go 1.19
