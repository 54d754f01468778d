#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm-run.sh [-s] PROGRAM...: runs benchmarks one after the other in one virtual machine
# that counts instructions. Their rows go to $BENCH_ROWS, the figures and targets of
# programs to build/bench/PROGRAM.json (-s: it is a script that has none). Fails if a
# benchmark does, that is, if a target is missed. KERNEL= chooses the kernel, as for
# tests/vm/run.

set -u
top=$(realpath "$(dirname "$0")/../..")
out=$top/build/bench
mkdir -p "$out" || exit 126

json=1
[ "${1:-}" = -s ] && { json=; shift; }
[ $# -gt 0 ] || { echo "usage: vm-run.sh [-s] PROGRAM..." >&2; exit 2; }

# The first seconds of a machine are busy with other things; to sleep costs
# nothing where time is counted in instructions.
command='sleep 20; failed=0; export BENCH_ROWS=$IPM_OUT/vm-rows'
rm -f "$out/vm-rows"
for program; do
	name=$(basename "$program")
	rm -f "$out/$name.json"
	command+="; $program ${json:+-j \$IPM_OUT/$name.json} || failed=1"
done

ICOUNT=1 MEM=${MEM:-2G} OUT=$out TIMEOUT=${TIMEOUT:-1800} "$top/tests/vm/run" \
	"$command; exit \$failed"
status=$?
[ -z "${BENCH_ROWS:-}" ] || [ ! -e "$out/vm-rows" ] || cat "$out/vm-rows" >>"$BENCH_ROWS"
case $status in
0) echo "bench-vm: all targets met; the figures are in ${out#"$top/"}" ;;
1) echo "bench-vm: a target was missed; the figures are in ${out#"$top/"}" >&2 ;;
esac
exit $status
