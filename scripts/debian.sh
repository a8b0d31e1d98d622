# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Functions, to be sourced as root, that make a Debian in a folder.

# bootstrap CODENAME BASE: makes the folder BASE, a minimal Debian of the release CODENAME,
# with packages from where this machine, a Debian too, has its own.
bootstrap() {
	local codename=$1 base=$2 mine sources
	mine=$(. /etc/os-release && echo "$VERSION_CODENAME")
	rm -rf "$base.new" && debootstrap --variant=minbase "$codename" "$base.new" || return
	# The sources include the security archive, from which the compiler may come.
	for sources in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
		[[ ! -e $sources ]] || sed "s/\<$mine\>/$codename/g" "$sources" >"$base.new$sources" || return
	done
	# This policy keeps packages from starting services.
	printf '#!/bin/sh\nexit 101\n' >"$base.new/usr/sbin/policy-rc.d" &&
		chmod 755 "$base.new/usr/sbin/policy-rc.d" &&
		mv "$base.new" "$base"
}
