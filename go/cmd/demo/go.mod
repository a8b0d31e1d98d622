// SPDX-License-Identifier: GPL-2.0

module go_sched/demo

go 1.19

require go_sched/gosched v0.0.0

replace go_sched/gosched => ../../go
