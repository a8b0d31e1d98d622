# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions, to be sourced, that run a long command with its output in a log and report
# progress.

# step LOG TITLE COMMAND...: runs COMMAND and appends its output to LOG. Prints the
# elapsed time, every second on a terminal and every 15 s elsewhere, unless the environment
# has GO_SCHED_STEPS=quiet. If COMMAND fails, prints the end of LOG and ends the script.
# steps.jsonl, in the folder of LOG, gets a record of each step that starts, without
# "seconds", and one of each step that ends well.
step() {
	local log=$1 title=$2 start=$SECONDS record status=0
	record=$(printf '{"step": "%s", "started": "%s"' "$title" "$(date --utc +%FT%TZ)")
	shift 2
	printf '%s}\n' "$record" >>"${log%/*}/steps.jsonl"
	# The ticker ends with the pipe, also where the script is killed. A signal that meets a
	# child of bash before that has begun would run the script's trap there.
	exec 8> >(step_tick "$title")
	# COMMAND runs in the foreground, because bash makes background commands
	# ignore an interrupt from the terminal.
	"$@" >>"$log" 2>&1 </dev/null 8>&- || status=$?
	exec 8>&-
	wait "$!" 2>/dev/null || true
	if ((status != 0)); then
		GO_SCHED_STEPS='' step_say "$title: failed"
		{
			printf '\nThe end of the log:\n\n'
			tail -n 30 "$log"
			printf '\nThe whole log: %s\n' "$log"
			# A full disk may be why the log does not tell.
			if (($(df --output=avail --block-size=M "$log" | tr -dc 0-9) < 20)); then
				echo "There is no room left in ${log%/*}: make some, or set GO_SCHED_CACHE to another folder"
			else
				echo "If the log does not explain the failure, build everything anew: make clean"
			fi
		} >&2
		exit 1
	fi
	printf '%s, "seconds": %d}\n' "$record" "$((SECONDS - start))" >>"${log%/*}/steps.jsonl"
	if ((SECONDS - start > 1)); then
		step_say "$title: $((SECONDS - start)) s"
		[[ ! -t 2 ]] || echo >&2
	fi
}

# Prints one line to standard error; on a terminal, in place of the line before it.
step_say() {
	if [[ ${GO_SCHED_STEPS-} == quiet ]]; then
		return
	elif [[ -t 2 ]]; then
		printf '\r\033[K%s' "$1" >&2
	else
		# The work goes on where nobody can be told of it.
		printf '%s\n' "$1" >&2 2>/dev/null || true
	fi
}

step_tick() {
	local seconds=0 every=15 status=0
	[[ ! -t 2 ]] || every=1
	# The lock of the script that runs the step.
	exec 9>&-
	while :; do
		read -r -t 1 || status=$?
		# No timeout: nobody writes to the pipe any more.
		((status > 128)) || return 0
		((++seconds))
		((seconds > 1 && seconds % every)) || step_say "$1 ... $seconds s"
	done
}
