# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the scripts in this directory share: where things are kept, how they
# speak, how packages are fetched without installing them.

set -u -o pipefail

TOP=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
CACHE=${IPM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ipm}
ME=$(basename "$0")

say()
{
	printf '  %-8s %s\n' "$1" "$2" >&2
}

die()
{
	printf '%s: %s\n' "$ME" "$*" >&2
	exit 126
}

# with_lock NAME COMMAND...: one process at a time, over all checkouts.
with_lock()
{
	local name=$1
	shift
	mkdir -p "$CACHE/locks" || die "cannot make $CACHE/locks"
	(
		if ! flock -n 9; then
			say WAIT "another run works on $name"
			flock 9 || exit 1
		fi
		"$@" 9>&-
	) 9>"$CACHE/locks/$name"
}

# temporary DIRECTORY NAME: make a directory there (in $TEMPORARY) that goes away
# with this shell if it was not moved to its place until then. For use under the
# lock of NAME: removes what a killed run left behind.
temporary()
{
	rm -rf "$1/tmp-$2".*
	TEMPORARY=$(mktemp -d "$1/tmp-$2.XXXXXX") || return 1
	chmod 755 "$TEMPORARY"
	trap 'rm -rf "$TEMPORARY"' EXIT
	trap 'exit 143' INT TERM HUP
}

# logged LOG COMMAND...: silent unless it fails, then the end of the log.
logged()
{
	local log=$1 status
	shift
	mkdir -p "$(dirname "$log")"
	"$@" >"$log" 2>&1 </dev/null
	status=$?
	if [ $status -ne 0 ]; then
		{
			echo "--- failed ($status): $*"
			tail -n 40 "$log" | sed 's/^/    /'
			echo "--- the whole log: $log"
		} >&2
	fi
	return $status
}

# --- packages: downloaded and unpacked, never installed ---

# A mirror that does not answer is asked again, at longer and longer intervals, for a minute.
APT_OPTIONS=(-q -o APT::Sandbox::User=root -o Acquire::Retries=6)

# apt_mirror: the Debian mirror that this machine uses.
apt_mirror()
{
	local mirror=${IPM_MIRROR:-}

	if [ -z "$mirror" ]; then
		# shellcheck disable=SC2016 # apt expands these, not the shell
		mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' \
			'Created-By: Packages' 2>/dev/null |
			awk '$3 == "main" && $1 ~ /\/debian\/?$/ { print $1; exit }')
	fi
	[ -n "$mirror" ] || die "no Debian mirror in the lists of apt: run apt-get update, or set IPM_MIRROR"
	echo "$mirror"
}

# apt_use_suite SUITE: look only into SUITE, on the mirror that this machine uses.
apt_use_suite()
{
	local suite=$1 mirror dir=$CACHE/apt/$1

	mirror=$(apt_mirror) || exit 126
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" || die "cannot make $dir"
	echo "deb $mirror $suite main" >"$dir/sources.list"
	APT_OPTIONS+=(-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::Lists="$dir/lists" -o Dir::Cache="$dir/cache")
}

apt_candidate()
{
	apt-cache "${APT_OPTIONS[@]}" policy "$1" 2>/dev/null |
		awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

apt_refresh()
{
	local log=$CACHE/apt/update.log

	mkdir -p "$CACHE/apt"
	if [ "$(id -u)" != 0 ] && [[ "${APT_OPTIONS[*]}" != *Dir::State::Lists* ]]; then
		# The system's lists are root's: keep our own of the same sources.
		mkdir -p "$CACHE/apt/own/lists/partial" "$CACHE/apt/own/cache/archives/partial"
		APT_OPTIONS+=(-o Dir::State::Lists="$CACHE/apt/own/lists"
			-o Dir::Cache="$CACHE/apt/own/cache")
	fi
	say APT "reads the package lists"
	logged "$log" apt-get "${APT_OPTIONS[@]}" update
}

# apt_need PACKAGE: see to it that apt knows the package; prints its version.
apt_need()
{
	local version

	version=$(apt_candidate "$1")
	if [ -z "$version" ]; then
		apt_refresh || return 1
		version=$(apt_candidate "$1")
	fi
	if [ -z "$version" ]; then
		printf '%s: no package %s: is this Debian 12 with "main" in its sources?\n' \
			"$ME" "$1" >&2
		return 1
	fi
	echo "$version"
}

# apt_depends PACKAGE PATTERN: the package it depends on whose name matches.
apt_depends()
{
	apt-cache "${APT_OPTIONS[@]}" show --no-all-versions "$1" | sed -n 's/^Depends: //p' |
		tr ',|' '\n\n' | sed 's/ *(.*//; s/^ *//; s/ *$//' | grep -Em1 "$2"
}

# apt_all_depends PACKAGE: all that it depends on, on one line; of alternatives the first.
apt_all_depends()
{
	apt-cache "${APT_OPTIONS[@]}" show --no-all-versions "$1" | sed -n 's/^Depends: //p' |
		tr ',' '\n' | sed 's/|.*//; s/ *(.*//; s/ //g' | tr '\n' ' '
}

# apt_fetch DIRECTORY PACKAGE...: download into it; lists that are too old are
# read again once.
apt_fetch()
{
	local dir=$1 log=$CACHE/apt/download.$$.log status
	shift
	mkdir -p "$dir" "$CACHE/apt"
	say FETCH "$*"
	if ! (cd "$dir" && apt-get "${APT_OPTIONS[@]}" download "$@") >"$log" 2>&1 </dev/null; then
		apt_refresh && (cd "$dir" && logged "$log" apt-get "${APT_OPTIONS[@]}" download "$@")
	fi
	status=$?
	rm -f "$log"
	return $status
}
