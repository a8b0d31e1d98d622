// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

#include "textflag.h"

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET
