# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The results of tests, in a file with one line per test, fields divided by tabs:
#
#	pass	NAME
#	fail	NAME	WHAT HAPPENED
#	skip	NAME	REASON
#
# Every step of "make check" adds to one such file; results_total adds it up.

# results_of_program NAME STATUS OUTPUT: what a test program says in KTAP, or
# without KTAP by its exit status (0 passed, 4 skipped; empty: it did not get to
# exit, and somebody else says why).
results_of_program()
{
	awk -v program="$1" -v status="$2" '
	function result(kind, name, why) {
		gsub(/[\t\033]/, " ", name)
		gsub(/[\t\033]/, " ", why)
		printf "%s\t%s%s%s\n", kind, program, name == "" ? "" : ": " name,
			kind == "pass" ? "" : "\t" why
		count[kind]++
	}
	BEGIN { planned = -1; first = "" }
	{ sub(/\r$/, "") }
	/^1\.\.[0-9]+/ {
		planned = substr($1, 4) + 0
		if (planned == 0) {
			why = $0
			if (sub(/.*# *SKIP */, "", why))
				result("skip", "", why)
		}
		next
	}
	# The harness names a skipped test only where it starts it.
	/^#  RUN / {
		running = $3
		said = ""
		next
	}
	/^(not )?ok / {
		failed = $1 == "not"
		name = $0
		sub(/^(not )?ok +[0-9]* *-? */, "", name)
		if (match(name, /# *[Ss][Kk][Ii][Pp]/)) {
			why = substr(name, RSTART + RLENGTH)
			name = substr(name, 1, RSTART - 1)
			gsub(/^[ :]+|[ ]+$/, "", why)
			gsub(/ +$/, "", name)
			result("skip", name == "" ? running : name, why == "" ? "no reason given" : why)
		} else if (failed) {
			result("fail", name, said == "" ? "see the output" : said)
		} else {
			result("pass", name)
		}
		said = ""
		running = ""
		next
	}
	# The first complaint of a test explains it best.
	/^# / && running != "" && said == "" && !/^# +(OK|FAIL|SKIP) / {
		said = substr($0, 3)
	}
	/^# .*:[0-9]+:/ && said == "" { said = substr($0, 3) }
	!/^#/ && NF { last = $0 }
	END {
		if (status == "")
			exit
		total = count["pass"] + count["fail"] + count["skip"]
		if (total == 0 && planned <= 0) {
			if (status == 0)
				result("pass", "")
			else if (status == 4)
				result("skip", "", last == "" ? "no reason given" : last)
			else
				result("fail", "", "exit status " status (last == "" ? "" : ": " last))
		} else if (planned > total) {
			result("fail", "", "ended after " total " of " planned " tests with exit status " \
				status (running == "" ? "" : ", in " running))
		} else if (status != 0 && status != 4 && !count["fail"]) {
			result("fail", "", "exit status " status " though no test failed")
		}
	}' "$3"
}

# results_count KIND FILE
results_count()
{
	awk -F '\t' -v kind="$1" '$1 == kind { number++ } END { print number + 0 }' "$2"
}

# results_line FILE: "N passed, N failed, N skipped"
results_line()
{
	echo "$(results_count pass "$1") passed, $(results_count fail "$1") failed," \
		"$(results_count skip "$1") skipped"
}

# results_total FILE: skips with their reasons, failures, the one line. Fails
# when something failed, or nothing passed.
results_total()
{
	if grep -q '^skip	' "$1"; then
		echo "Skipped:"
		awk -F '\t' '$1 == "skip" { printf "  %s: %s\n", $2, $3 }' "$1"
	fi
	if grep -q '^fail	' "$1"; then
		echo "Failed:"
		awk -F '\t' '$1 == "fail" { printf "  %s: %s\n", $2, $3 }' "$1"
	fi
	results_line "$1"
	[ "$(results_count fail "$1")" = 0 ] && [ "$(results_count pass "$1")" != 0 ]
}
