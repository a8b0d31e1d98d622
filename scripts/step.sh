# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced: long commands with their output in a log, and a sign of life.

# step LOG TITLE COMMAND...: runs COMMAND with its output appended to LOG. When that
# takes a while, says for how long it has been running, on one line of a terminal
# or every 15 s elsewhere. Ends the script, showing the end of LOG, if it fails.
# steps.jsonl beside LOG tells afterwards where the time went.
step() {
	local log=$1 title=$2 start=$SECONDS started ticker status=0
	started=$(date --utc +%FT%TZ)
	shift 2
	step_tick "$title" &
	ticker=$!
	# COMMAND stays in the foreground: an interrupt from the terminal must
	# reach it, and bash has background commands ignore that.
	"$@" >>"$log" 2>&1 </dev/null || status=$?
	kill "$ticker" 2>/dev/null || true
	wait "$ticker" 2>/dev/null || true
	if ((status != 0)); then
		step_say "$title: failed"
		{
			printf '\nThe end of the log:\n\n'
			tail -n 30 "$log"
			printf '\nThe whole log: %s\n' "$log"
			echo "If it does not say what to mend, start afresh: make clean"
		} >&2
		exit 1
	fi
	printf '{"step": "%s", "seconds": %d, "started": "%s"}\n' \
		"$title" "$((SECONDS - start))" "$started" >>"${log%/*}/steps.jsonl"
	if ((SECONDS - start > 1)); then
		step_say "$title: $((SECONDS - start)) s"
		[[ ! -t 2 ]] || echo >&2
	fi
}

# Shows one line, over the one before it when stderr is a terminal.
step_say() {
	if [[ -t 2 ]]; then
		printf '\r\033[K%s' "$1" >&2
	else
		printf '%s\n' "$1" >&2
	fi
}

step_tick() {
	local seconds=0 every=15
	[[ ! -t 2 ]] || every=1
	# A killed script cannot end its ticker: the ticker looks. The script's
	# streams and the lock's file descriptor must not live on in its sleep.
	while sleep 1 >/dev/null 2>&1 9>&- && kill -0 "$$" 2>/dev/null; do
		((++seconds))
		((seconds > 1 && seconds % every)) || step_say "$1 ... $seconds s"
	done
}
