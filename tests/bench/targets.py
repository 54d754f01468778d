# SPDX-License-Identifier: GPL-2.0
"""
The figures that the project wants to reach, computed from results and compared with what
was found. Each is a ratio or an amount of one case; where a run has not measured it, it
says so. What is not reached stands in the table like all else.
"""

from results import BUSY_SHARE, advantage, amount, cases, measured, number, placement

# Those that an exchange has to be ahead of.
OTHERS = ("Open MPI", "socket", "pipe")

REACHED, MISSED, UNKNOWN = "PASS", "MISS", "not measured"


class Target:
    """What is wanted: a @value that is at least, or at most, @limit."""

    def __init__(self, area, name, value, limit, at_least=False, row=None):
        self.area, self.name, self.value, self.limit = area, name, value, limit
        self.at_least = at_least
        # Of which row: where it was measured, and whether others disturbed it.
        self.row = row or {}

    @property
    def verdict(self):
        if self.value is None:
            return UNKNOWN
        good = self.value >= self.limit if self.at_least else self.value <= self.limit
        return REACHED if good else MISSED

    def cells(self):
        return (self.verdict, self.area, self.name,
                "" if self.value is None else exact(self.value),
                f"at {'least' if self.at_least else 'most'} {exact(self.limit)}",
                self.where())

    def where(self):
        notes = [placement(self.row)]
        if self.row.get("others", 0) > BUSY_SHARE:
            notes.append(f"others took {self.row['others']:.0%} of a CPU")
        return "; ".join(filter(None, notes))


def exact(value):
    """With so many digits that a miss by little is seen."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if value < 10 else number(value)


class Found:
    """The rows of results, to be asked for by what they are of."""

    def __init__(self, data):
        self.cases = cases(data)

    def all(self, suite, case, **wanted):
        """The cases with that name, in their order, by size."""
        found = [rows for rows in self.cases
                 if (rows[0]["suite"], rows[0]["case"]) == (suite, case) and
                 all(rows[0][name] == value for name, value in wanted.items())]
        return sorted(found, key=lambda rows: rows[0]["size"])

    def row(self, suite, case, subject, size=0):
        for rows in self.all(suite, case, size=size):
            for row in measured(rows, "ipm", "variant", "rival", "limit"):
                if row["subject"] == subject:
                    return row
        return None

    def ratio(self, area, name, limit, ours, other, at_least=False):
        """
        A target for a ratio of the values of two rows: how many times that of the other, or,
        if it has to be so much at least, how many times as good.
        """
        value = None
        if ours and other:
            value = advantage(ours, other) if at_least else ours["value"] / other["value"]
        return Target(area, name, value, limit, at_least, ours)


def of(rows, subject):
    return next((row for row in measured(rows, "ipm", "variant", "limit")
                 if row["subject"] == subject), None)


def best_rival(rows):
    rivals = measured(rows, "rival")
    return rivals[0] if rivals else None


def size_of(rows):
    return amount(rows[0]["size"], "bytes")


def rings(found):
    for size in (8, 64, 256, 4096):
        rows = next(iter(found.all("ring", "stream", size=size)), [])
        rival = best_rival(rows)
        yield found.ratio("SPSC ring", f"stream of {amount(size, 'bytes')}: times the best rival"
                          f"{' (' + rival['subject'] + ')' if rival else ''}",
                          2 if size < 4096 else 1.1, of(rows, "ipm SPSC"), rival, True)
    for size in (8, 64):
        rows = next(iter(found.all("ring", "round trip", size=size)), [])
        ours, rival = of(rows, "ipm SPSC"), best_rival(rows)
        yield found.ratio("SPSC ring", f"round trip of {size} bytes: of the bare line's", 1.3,
                          ours, of(rows, "bare, a line each way"))
        yield found.ratio("SPSC ring", f"round trip of {size} bytes: of the best rival's"
                          f"{' (' + rival['subject'] + ')' if rival else ''}", 1, ours, rival)
    for subject, limit in (("ipm MPMC", 1), ("ipm lanes", 3)):
        area = "MPMC ring" if limit == 1 else "lanes"
        several = found.all("ring", "stream, MPMC rings")
        if not several:
            yield Target(area, "stream: times the best rival", None, limit, True)
        for rows in several:
            rival = best_rival(rows)
            yield found.ratio(
                area, f"stream of {size_of(rows)}, {rows[0]['participants']}: times the best rival"
                f"{' (' + rival['subject'] + ')' if rival else ''}", limit, of(rows, subject),
                rival, True)
    for rows in found.all("ring", "round trip, MPMC rings"):
        rival = best_rival(rows)
        yield found.ratio("MPMC ring", f"round trip of {size_of(rows)}: of the best rival's"
                          f"{' (' + rival['subject'] + ')' if rival else ''}", 1,
                          of(rows, "ipm MPMC"), rival)
    for subject in ("SPSC", "MPMC", "lanes, for one producer"):
        row = found.row("ring", "memory besides 1 MiB in records", subject, 256)
        yield Target("ring memory", f"bytes besides 1 MiB in records of 256, {subject}",
                     row and row["value"], (1 << 20) // 50 + 8192)


def channels_and_exchanges(found):
    case = "wake-up round trip, both asleep"
    yield found.ratio("channel", "wake-up of a sleeper: of a bare futex pair's", 1.1,
                      found.row("channel", case, "ipm channel", 4),
                      found.row("channel", case, "futex pair", 4))
    several = found.all("exchange", "request and reply")
    several = [rows for rows in several if rows[0]["size"]]
    if not several:
        yield Target("exchange", "times the best of Open MPI, socket and pipe", None, 1, True)
    for rows in several:
        rival = next((row for row in measured(rows, "rival") if row["subject"] in OTHERS), None)
        yield found.ratio("exchange", f"{size_of(rows)}: times the best of Open MPI, socket and "
                          f"pipe{' (' + rival['subject'] + ')' if rival else ''}", 1,
                          of(rows, "exchange"), rival, True)
    for size in (1 << 20, 4 << 20, 64 << 20):
        rows = next(iter(found.all("exchange", "request and reply", size=size)), [])
        copies = [row for row in (of(rows, "passes"), of(rows, "follow")) if row]
        yield found.ratio(
            "exchange", f"{amount(size, 'bytes')}: of what two plain memcpy() each way allow, "
            "whether in turn or at once", 0.9, of(rows, "exchange"),
            min(copies, key=lambda row: row["value"], default=None), True)
    size = 4 << 20
    case = "request and reply"
    yield found.ratio("exchange", f"{amount(size, 'bytes')} in place: of a bare line's round trip",
                      3, found.row("exchange", case, "in place", size),
                      found.row("exchange", case, "line", size))


def module(found):
    alone = "one after the other, nobody else"
    others = "claim and release among others that are held"
    lock = "F_OFD_SETLK lock + unlock"
    for suite, case, subject, name in (
            ("vm_claim", alone, "write claim + release", "write claim and release"),
            ("vm_claim", alone, "read claim + release", "read claim and release"),
            ("vm_library", "claim and release", "ipm_memory_claim_region + _release_region",
             "the same through the library")):
        yield found.ratio("claim", f"{name}: of an OFD lock's instructions (Linux 6.1)", 0.6,
                          found.row(suite, case, subject), found.row(suite, case, lock))
    yield found.ratio("claim", "pair among 100,000 others: of that with none", 2,
                      found.row("vm_claim", others, "claim pair", 100000),
                      found.row("vm_claim", others, "claim pair"))
    for case, words in (("1 MiB made, mapped, one page touched", "created, mapped, touched"),
                        ("1 MiB made, mapped, one page touched, unmapped, closed; all that is to "
                         "memfd's", "the same, unmapped and closed")):
        for kind in ("private", "named"):
            yield found.ratio("segment", f"{kind}, {words}: of memfd_create's instructions", 1.2,
                              found.row("vm_segment", case, f"{kind} segment"),
                              found.row("vm_segment", case, "memfd_create"))
    case = "1 MiB made, mapped, one page touched, given up"
    yield found.ratio("segment", "the same through the library, with a name", 1.2,
                      found.row("vm_library", case, "ipm_memory_create, touch, ipm_memory_close"),
                      found.row("vm_library", case,
                                "memfd_create, ftruncate, mmap, touch, munmap, close"))
    for case, subject in (("found by name and opened", "open and close by name"),
                          ("found by name or key", "info by name")):
        yield found.ratio("segment", f"{subject} of 100,000: of that of 10", 1.5,
                          found.row("vm_segment", case, subject, 100000),
                          found.row("vm_segment", case, subject, 10))
    for case, subject, limit in (
            ("of a claim", "a claim of one range", 200),
            ("in a memory cgroup", "a claim of one range, in a memory cgroup", 200),
            ("of a handle", "a handle, struct file included", 1024),
            ("in a memory cgroup", "a handle, in a memory cgroup", 1024)):
        row = found.row("vm_claim", f"kernel memory {case}", subject)
        yield Target("kernel memory", f"bytes of {subject}", row and row["value"], limit)


def targets(data):
    """All of them, in the order of the library and then the module."""
    found = Found(data)
    return [*rings(found), *channels_and_exchanges(found), *module(found)]


def summary(several):
    counts = {verdict: sum(target.verdict == verdict for target in several)
              for verdict in (REACHED, MISSED, UNKNOWN)}
    return f"{counts[REACHED]} of {len(several)} targets are reached, {counts[MISSED]} are " \
        f"missed, {counts[UNKNOWN]} were not measured"
