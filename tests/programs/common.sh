# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of unmodified programs share. They run in the virtual machine and
# speak TAP. A test is a function; it prints what is wrong and returns non-zero.

number=0
failed=0

# IPM's part in it is told by its log, and by what the module counts.
log=/tmp/ipm-preload.log
parameters=/sys/module/ipm/parameters

count()
{
	read -r value <"$parameters/count_$1"
	echo "$value"
}

wrong()
{
	echo "# $*"
	return 1
}

# served WHAT [AT_LEAST]: how many segments the log says IPM served, in lines with this
served()
{
	found=$(grep -c "$1.*: IPM segment" $log)
	[ "$found" -ge "${2:-1}" ] || {
		sed 's/^/# log: /' $log | head -n 20
		wrong "the log has $found lines of '$1' served by IPM, not ${2:-1} or more"
	}
}

# settled COUNT...: waits until these are 0: a process that has ended, or is about to, gives
# back what it had a moment later.
settled()
{
	tries=0
	for one; do
		until [ "$(count "$one")" = 0 ]; do
			tries=$((tries + 1))
			[ $tries -lt 300 ] || return
			sleep 0.1
		done
	done
}

# Neither in IPM nor in the system is anything left, and nothing went to the system.
clean()
{
	settled segments handles
	[ "$(count segments)" = 0 ] || wrong "$(count segments) segments are left in IPM" || return 1
	[ "$(count handles)" = 0 ] || wrong "$(count handles) handles are left in IPM" || return 1
	[ "$(wc -l </proc/sysvipc/shm)" = 1 ] || wrong "the system has a SysV segment" || return 1
	# POSIX semaphores lie there, too, and are none of ours.
	left=$(find /dev/shm -type f ! -name 'sem.*')
	[ -z "$left" ] || wrong "the system has shared memory: $left" || return 1
	! grep 'left to the system' $log || wrong "it was left to the system"
}

# run NAME: runs the function test_NAME with a new log
run()
{
	number=$((number + 1))
	rm -f $log
	: >$log
	chmod 666 $log
	if "test_$1"; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		failed=$((failed + 1))
	fi
}

# skip NAME REASON
skip()
{
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# end: the last line of a test
end()
{
	echo "1..$number"
	[ $failed = 0 ]
	exit
}
