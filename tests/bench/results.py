# SPDX-License-Identifier: GPL-2.0
"""
Results of benchmarks: what a row is, how rows are collected into one file, and the
statistics that are made of them. README.md beside this file describes the format.

A benchmark appends rows to a file as lines of JSON (report.h, vm_bench.h). Each row is one
figure of one subject, or why there is none. Programs that take turns with each other write
a row for each turn; load_rows() makes one of those. collect() puts the rows of all
benchmarks that were run into one file.
"""

import json
import os
import platform
import subprocess
import sys
from math import erf, sqrt

SCHEMA = 1
TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
OUT = os.path.join(TOP, "build/bench")
ROWS = os.path.join(OUT, "rows")
RESULTS = os.path.join(OUT, "results.json")

# What of a machine others took, before a run counts as disturbed: parts of one CPU.
BUSY_SHARE = 0.05
BUSY_STEAL = 0.02

# By how much a larger message may go through faster, before a case contradicts itself.
CONTRADICTION = 2.0
# How many times the lower quartile the upper one may be.
SCATTER = 2.0

# A figure is that of one subject in one case; what else is in a row describes it.
CASE = ("suite", "case", "size", "size_unit", "participants", "metric")
SUBJECT = CASE + ("subject",)
TEXTS = ("suite", "case", "participants", "subject", "role", "metric", "unit", "better")
NUMBERS = ("line_ns", "others", "processes", "cpus", "held", "buffer")  # those that may be left out
MORE_TEXTS = ("size_unit", "placement", "statistic", "skipped")
PERCENTILES = ("p50", "p99", "p99.9")
ROLES = ("ipm", "variant", "rival", "limit")


class BadResults(Exception):
    """A file that does not hold results; the message says which and why."""


def run_tool(name, main, arguments):
    """The exit status of a program whose main() may find bad results."""
    try:
        return main(arguments)
    except BadResults as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 141


# --- statistics ---

def quantile(values, part):
    """Linear between the two nearest: the quantile most programs mean."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * part
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def summarise(row):
    """Adds to a row with values what is shown: value, low, high."""
    values = row["values"]
    row["low"] = quantile(values, 0.25)
    row["high"] = quantile(values, 0.75)
    # Interrupts only ever add instructions, so there the least is the figure.
    row["value"] = min(values) if row.get("statistic") == "best" else quantile(values, 0.5)


def rank_test(a, b):
    """
    Mann-Whitney: how likely two samples of the same differ as much in their ranks, or
    more (two-sided). Exact for small samples without ties, else by the normal
    distribution with ties accounted for.
    """
    n, m = len(a), len(b)
    both = sorted(a + b)
    # u counts the pairs in which that of a is greater; a tie counts half.
    u = sum((x > y) + (x == y) / 2 for x in a for y in b)
    ties = [both.count(x) for x in set(both)]
    if max(ties) == 1 and n * m <= 900:
        counts = u_counts(n, m)
        least = int(min(u, n * m - u))
        return min(1.0, 2 * sum(counts[:least + 1]) / sum(counts))
    total = n + m
    if total < 2:
        return 1.0
    variance = n * m / 12 * (total + 1 - sum(t ** 3 - t for t in ties) / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    z = max(0.0, abs(u - n * m / 2) - 0.5) / sqrt(variance)
    return 1 - erf(z / sqrt(2))


def u_counts(n, m):
    """In how many of the orders of n and m different values u is 0, 1, ... n * m."""
    # The Gaussian binomial coefficient, (1-x^(m+1))...(1-x^(m+n)) / (1-x)...(1-x^n).
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for k in range(n * m, m + i - 1, -1):
            counts[k] -= counts[k - m - i]
        for k in range(i, n * m + 1):
            counts[k] += counts[k - i]
    return counts


# --- files ---

def is_amount(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e300


def is_text(value):
    return isinstance(value, str)


def is_percentiles(value):
    return isinstance(value, dict) and "p50" in value and set(value) <= set(PERCENTILES) and \
        all(map(is_amount, value.values()))


def check_row(row, where):
    if not isinstance(row, dict):
        raise BadResults(f"{where}: a row is not an object")
    for name in TEXTS:
        if not isinstance(row.get(name), str):
            raise BadResults(f"{where}: a row has no '{name}'")
    if row["better"] not in ("higher", "lower") or row["role"] not in ROLES:
        raise BadResults(f"{where}: a row with better '{row['better']}', role '{row['role']}'")
    size = row.get("size")
    if isinstance(size, bool) or not isinstance(size, int):
        raise BadResults(f"{where}: a row has no 'size'")
    for names, good, what in ((NUMBERS, is_amount, "number"), (MORE_TEXTS, is_text, "text"),
                              (("percentiles",), is_percentiles, "set of percentiles")):
        for name in names:
            if name in row and not good(row[name]):
                raise BadResults(f"{where}: '{name}' of '{row['subject']}' is no {what}")
    if "skipped" in row:
        return
    values = row.get("values")
    if not isinstance(values, list) or not values or not all(map(is_amount, values)):
        raise BadResults(f"{where}: '{row['subject']}' has neither values nor a reason")
    summarise(row)


def what_is_wrong(path, text, error):
    """What to say of a text that is not JSON."""
    if not text.strip():
        return "it is empty; 'make bench' makes such files"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"it is cut off at line {error.lineno}; copy it again, or measure again"
    if path.endswith(".jsonl"):
        return "not a file of results but the rows of one benchmark; " \
            "'tests/bench/report show' makes build/bench/results.json of them"
    return f"not a file of results: {error}"


def check_runs(results, path):
    if not isinstance(results["machine"], dict):
        raise BadResults(f"{path}: 'machine' is not an object")
    if not isinstance(results["runs"], list) or \
            not all(isinstance(run, dict) and is_text(run.get("name", "")) and
                    is_text(run.get("git", "")) and is_amount(run.get("others", 0)) and
                    is_amount(run.get("steal", 0)) for run in results["runs"]):
        raise BadResults(f"{path}: 'runs' is not a list of runs")


def incomplete(run):
    """Why not all of a run's rows may be there, or nothing."""
    if "name" in run and "status" not in run:
        return "was interrupted: it is not complete"
    if run.get("status", 0) not in (0, 4):
        return f"ended with status {run['status']}: it is not complete"
    return ""


def load(path):
    """The results in a file; a BadResults that names what is wrong with it."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        results = json.loads(text)
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror}; 'make bench' makes such files") from error
    except json.JSONDecodeError as error:
        raise BadResults(f"{path}: {what_is_wrong(path, text, error)}") from error
    except ValueError as error:
        raise BadResults(f"{path}: not a file of results: {error}") from error
    if not isinstance(results, dict) or "schema" not in results:
        raise BadResults(f"{path}: not a file of results: it names no schema")
    if results["schema"] != SCHEMA:
        raise BadResults(f"{path}: schema {results['schema']}, this program knows {SCHEMA}; "
                         "measure again, or use the program of that version")
    if not isinstance(results.get("rows"), list):
        raise BadResults(f"{path}: it has no rows")
    for i, row in enumerate(results["rows"]):
        check_row(row, f"{path}: row {i + 1}")
    results.setdefault("runs", [])
    results.setdefault("machine", {})
    check_runs(results, path)
    return results


def median_of(rows, name):
    return quantile([row[name] for row in rows], 0.5)


def together(turns):
    """One row of those that one subject got in one case, turn by turn."""
    turns = [row for row in turns if "skipped" not in row] or turns[:1]
    if len(turns) == 1:
        return turns[0]
    row = dict(turns[0], values=[value for turn in turns for value in turn["values"]])
    # Of the turn in the middle, so that the word and the number fit each other.
    placed = sorted((turn for turn in turns if turn.get("line_ns")), key=lambda t: t["line_ns"])
    if placed:
        middle = placed[(len(placed) - 1) // 2]
        row.update((name, middle[name]) for name in ("placement", "line_ns") if name in middle)
    for name in ("others", "held", "buffer"):
        told = [turn for turn in turns if name in turn]
        if told:
            row[name] = median_of(told, name)
    told = [turn["percentiles"] for turn in turns if turn.get("percentiles")]
    if told:
        row["percentiles"] = {name: median_of(told, name) for name in told[0]
                              if all(name in one for one in told)}
    summarise(row)
    return row


def load_rows(path):
    """One benchmark's file of lines: its run, and its rows."""
    run, turns = {}, {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            where = f"{os.path.relpath(path, TOP)}: line {number}"
            try:
                item = json.loads(line)
            except ValueError as error:
                raise BadResults(f"{where}: {error}; remove this file, or run that benchmark "
                                 "again") from error
            if isinstance(item, dict) and "run" in item:
                run.update(item["run"])
            else:
                check_row(item, where)
                turns.setdefault(key(item, SUBJECT + ("unit", "better")), []).append(item)
    return run, list(map(together, turns.values()))


def collect():
    """Writes what all benchmarks found so far to results.json."""
    runs, rows = [], []
    for name in sorted(os.listdir(ROWS) if os.path.isdir(ROWS) else []):
        if not name.endswith(".jsonl"):
            continue
        run, found = load_rows(os.path.join(ROWS, name))
        for row in found:
            row["run"] = run.get("name", name)
        runs.append(run)
        rows += found
    results = {"schema": SCHEMA, "machine": machine(), "runs": runs, "rows": rows}
    with open(RESULTS + ".new", "w", encoding="utf-8") as file:
        # One row in one line: a person can read it, and so can diff.
        file.write('{"schema": %d,\n"machine": %s,\n"runs": [\n%s\n],\n"rows": [\n%s\n]}\n' % (
            SCHEMA, json.dumps(results["machine"]), ",\n".join(map(json.dumps, runs)),
            ",\n".join(map(json.dumps, rows))))
    os.rename(RESULTS + ".new", RESULTS)
    return results


# --- the machine ---

def output(*command):
    """What a command prints, or an empty text if it fails or is not there."""
    try:
        return subprocess.run(command, cwd=TOP, capture_output=True, text=True,
                              check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def git_version():
    return output("git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--tags") \
        or "unknown (no git)"


def packages():
    """The rivals' packages and their versions, those that are installed."""
    wanted = output("tests/vm/deps", "-l", "bench").split()
    found = {}
    if wanted:
        listed = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n"] + wanted,
            capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            status, _, rest = line.partition(" ")
            if status == "installed":
                name, _, version = rest.partition(" ")
                found[name] = version
    return found


def machine():
    """What kind of machine this is, without what would tell which one."""
    info = {"architecture": platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "compiler": output("gcc", "--version").split("\n")[0],
            "rivals": packages()}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                info["cpu"] = line.split(":", 1)[1].strip()
            elif line.startswith("cpu MHz"):
                info.setdefault("mhz", round(float(line.split(":", 1)[1])))
            elif line.startswith("flags") and " hypervisor" in line:
                info["virtual"] = True
    with open("/proc/meminfo", encoding="utf-8") as file:
        info["memory_mib"] = int(file.readline().split()[1]) // 1024
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    info["system"] = line.split("=", 1)[1].strip().strip('"')
    except OSError:
        pass
    return info


def cpu_times():
    """Seconds that all CPUs were busy, and stolen from, since the start."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


# --- cases ---

def key(row, names):
    return tuple(row.get(name) for name in names)


def cases(results):
    """The rows that can be compared with each other, case by case, best first."""
    found = {}
    for row in results["rows"]:
        found.setdefault(key(row, CASE), []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (
            "skipped" in row,
            0 if "skipped" in row else -row["value"] if row["better"] == "higher" else row["value"]))
    return list(found.values())


def measured(rows, *roles):
    return [row for row in rows if "skipped" not in row and row["role"] in roles]


def advantage(ours, other):
    """How many times as good ours is as the other: above 1 is better, whatever is counted."""
    good, bad = (ours, other) if ours["better"] == "higher" else (other, ours)
    return good["value"] / bad["value"] if bad["value"] else float("inf")


def contests(rows):
    """Each of ours, best first, with the best rival of the case; none if there is no rival."""
    rivals = measured(rows, "rival")
    return [(ours, rivals[0]) for ours in measured(rows, "ipm") if rivals]


def contradictions(all_cases):
    """
    Figures of one subject that hardly all are right: a message that is larger does not go
    through much faster. (Where several write or read, it may: they meet less often.) Pairs of
    the smaller and the larger one.
    """
    found, several = [], {}
    for rows in all_cases:
        for row in measured(rows, *ROLES):
            if row["metric"] in ("throughput", "round trip") and row["participants"] == "1x1" and \
                    row.get("size_unit", "bytes") == "bytes":
                several.setdefault(key(row, ("suite", "case", "participants", "metric",
                                             "subject")), []).append(row)
    for rows in several.values():
        rows.sort(key=lambda row: row["size"])
        for i, large in enumerate(rows):
            worst = [small for small in rows[:i] if advantage(large, small) > CONTRADICTION and
                     (small["high"] < large["low"] or large["high"] < small["low"])]
            if worst:
                found.append((max(worst, key=lambda small: advantage(large, small)), large))
    return found


def scattered(all_cases):
    """Figures whose quartiles are so far from each other that the median says little."""
    return [row for rows in all_cases for row in measured(rows, *ROLES)
            if row["high"] > SCATTER * max(row["low"], 1e-12)]


def amount(number, unit):
    if unit == "bytes" and number >= 1024 and number % 1024 == 0:
        return f"{number >> 20} MiB" if number % (1 << 20) == 0 else f"{number >> 10} KiB"
    return f"{number:,} {unit}".strip()


def title(row):
    """What a case is called."""
    text = f"{row['suite']}: {row['case']}"
    if row["size"]:
        text += f", {amount(row['size'], row.get('size_unit', 'bytes'))}"
    if row["participants"]:
        text += f", {row['participants']}"
    if row["metric"] not in ("throughput", "round trip", "cost"):
        text += f", {row['metric']}"
    return text


def cpus_used(row):
    """On how many CPUs the processes of a case ran, or None if that was not said."""
    return min(row["processes"], row["cpus"]) if "processes" in row and "cpus" in row else None


def placement(row):
    notes = []
    if row.get("placement") and row.get("line_ns"):
        notes.append(f"{row['placement']}, line {row['line_ns']:.0f} ns")
    if cpus_used(row) and row["processes"] > row["cpus"]:
        notes.append(f"{row['processes']} processes on {row['cpus']} CPUs")
    return "; ".join(notes)


def held(row):
    return f"holds {row['held']:,.0f} messages" if row.get("held") else ""


def buffer(row):
    return f"{amount(int(row['buffer']), 'bytes')} buffer" if row.get("buffer") else ""


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    if 0 < value < 0.1:
        return f"{value:.3g}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
