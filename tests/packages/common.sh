# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of packages share. Nothing is installed on this machine: they
# work in copies of small Debians (get-chroot), which are then booted.

. "$(dirname "${BASH_SOURCE[0]}")/../vm/common.sh"
cd "$TOP" || exit 1

VERSION=$(make -s print-VERSION)
WORK=$TOP/build/packages
mkdir -p "$WORK"

if [ "$(id -u)" != 0 ]; then
	echo "needs to be root, to install packages in a chroot"
	exit 4
fi

# need WHAT COMMAND...: the test ends where one of its steps fails, with its output.
need()
{
	local what=$1 log=$WORK/$ME.log status
	shift
	"$@" >"$log" 2>&1 </dev/null
	status=$?
	if [ $status -eq 0 ]; then
		echo "# $what"
		return
	fi
	tail -n 30 "$log" | sed 's/^/# /'
	echo "failed ($status): $what"
	exit 1
}

# need_said WHAT PATTERN: the last step said it.
need_said()
{
	grep -qE "$2" "$WORK/$ME.log" && return
	tail -n 30 "$WORK/$ME.log" | sed 's/^/# /'
	echo "failed: it does not say $1 ($2)"
	exit 1
}

# refused WHAT COMMAND...: it has to fail.
refused()
{
	local what=$1
	shift
	if "$@" >"$WORK/$ME.log" 2>&1 </dev/null; then
		echo "failed: this should not work: $what"
		exit 1
	fi
	echo "# refused: $what"
}

# a Debian stable that can build modules and boot
stable()
{
	"$TOP/tests/vm/get-chroot" packages bookworm dkms openssl gcc make libc6-dev kmod pkg-config \
		udev systemd dwarves libelf1 libssl3 libnl-3-dev libnl-genl-3-dev
}

# copy CHROOT NAME: a copy to work in; sets ROOT.
copy()
{
	ROOT=$WORK/$2
	rm -rf "$ROOT"
	cp -a "$1" "$ROOT"
}

# add_kernel FLAVOUR: what its packages would leave in $ROOT, as far as building a
# module needs it; sets KERNEL and RELEASE.
add_kernel()
{
	KERNEL=$("$TOP/tests/vm/get-kernel" "$1") || exit 1
	RELEASE=$(cat "$KERNEL/release")
	mkdir -p "$ROOT/lib/modules/$RELEASE"
	ln -sfn "$(realpath "$KERNEL/kdir")" "$ROOT/lib/modules/$RELEASE/build"
	touch "$ROOT/lib/modules/$RELEASE/modules.order" \
		"$ROOT/lib/modules/$RELEASE/modules.builtin" \
		"$ROOT/lib/modules/$RELEASE/modules.builtin.modinfo"
}

inside()
{
	"$TOP/tests/vm/in-chroot" "$ROOT" -b "$CACHE/kernels" "$@"
}

# boot FLAVOUR COMMAND: in a machine whose root file system is $ROOT
boot()
{
	env KERNEL="$1" DEBUG= ROOT="$ROOT" TIMEOUT=400 LOG="$WORK/$ME-$1" "$TOP/tests/vm/run" "$2"
}
