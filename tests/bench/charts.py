# SPDX-License-Identifier: GPL-2.0
"""
The page build/bench/index.html: charts that gnuplot makes, SVG and PNG, and the tables. A
case with several sizes becomes lines over the size, one with a single size bars.
"""

import html
import os
import re
import shutil
import subprocess

from results import OUT, amount, measured, placement

STYLE = """body { font: 15px/1.4 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { border: 1px solid #bbb; padding: 2px 8px }
figure { margin: 2em 0 } img { max-width: 100% } .note { color: #555 }"""
COLOURS = ["#888888", "#d95f02", "#7570b3", "#e7298a", "#66a61e", "#e6ab02", "#a6761d", "#1f78b4",
           "#b2df8a", "#fb9a99", "#cab2d6", "#444444"]


def quoted(text):
    """A text for gnuplot that means itself."""
    return '"' + re.sub(r'([\\"])', r"\\\1", text.replace("\n", " ")) + '"'


def groups(data):
    """Rows by case, all sizes together."""
    found = {}
    for row in measured(data["rows"], "ipm", "variant", "rival", "limit"):
        name = tuple(row[k] for k in ("suite", "case", "participants", "metric", "unit", "better"))
        found.setdefault(name, []).append(row)
    return found


def lines(rows, sizes):
    """A plot over sizes: one block of data for each subject."""
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    blocks, plots, colour = [], [], 0
    for i, subject in enumerate(subjects):
        points = sorted((row for row in rows if row["subject"] == subject),
                        key=lambda row: row["size"])
        # On a scale of logarithms there is no nothing.
        points = [row for row in points if row["value"] > 0]
        if not points:
            continue
        blocks.append(f"$d{i} << EOD\n" + "".join(
            "%d %g %g %g\n" % (max(row["size"], 1), row["value"], max(row["low"], 1e-9), row["high"])
            for row in points) + "EOD\n")
        role = points[0]["role"]
        if role == "ipm":
            look = "lw 3 lc rgb '#1b9e77'"
        elif role == "variant":
            look = "lw 2 dt 2 lc rgb '#1b9e77'"
        else:
            look = f"lw 1{'.5' if role == 'rival' else ' dt 3'} lc rgb '{COLOURS[colour % len(COLOURS)]}'"
            colour += 1
        plots.append(f"$d{i} using 1:2:3:4 with yerrorlines pt {i % 13 + 4} ps 0.7 {look} "
                     f"title {quoted(subject)}")
    unit = rows[0].get("size_unit", "bytes")
    tics = ", ".join(f"{quoted(amount(size, unit))} {max(size, 1)}" for size in sizes)
    return ("".join(blocks) + f"set logscale xy\nset xtics ({tics}) rotate by -30\n" +
            "set key outside right top noenhanced\nset grid\nplot " + ", \\\n  ".join(plots) + "\n")


def bars(rows):
    """Bars, best at the top, with the quartiles."""
    rows = sorted(rows, key=lambda row: row["value"], reverse=rows[0]["better"] == "lower")
    colours = {"ipm": 0x1b9e77, "variant": 0x8fd3bf, "rival": 0x888888, "limit": 0xdddddd}
    block = "$d << EOD\n" + "".join(
        "%g %g %g %d %d\n" % (row["value"], row["low"], row["high"], i, colours[row["role"]])
        for i, row in enumerate(rows)) + "EOD\n"
    tics = ", ".join(f"{quoted(row['subject'])} {i}" for i, row in enumerate(rows))
    scale = ""
    values = [row["value"] for row in rows if row["value"] > 0]
    if values and max(values) > 30 * min(values):
        scale = f"set logscale x\nset xrange [{min(values) / 3:g}:]\n"
    else:
        scale = "set xrange [0:]\n"
    return (block + scale + f"set ytics ({tics}) noenhanced\nset yrange [-0.7:{len(rows) - 0.3}]\n"
            "unset key\nset grid x\nset style fill solid\n"
            "plot $d using (0):4:(0):1:($4-0.35):($4+0.35):5 with boxxyerror lc rgb variable, "
            "$d using 1:4:2:3 with xerrorbars pt 0 lc rgb '#000000'\n")


def draw(name, title, rows):
    """Makes OUT/charts/name.svg and .png; returns whether gnuplot did."""
    sizes = sorted({row["size"] for row in rows})
    unit = rows[0]["unit"]
    several = len(sizes) > 1
    plot = lines(rows, sizes) if several else bars(rows)
    height = 480 if several else 140 + 26 * len(rows)
    label = f"set {'y' if several else 'x'}label {quoted(unit + ', ' + rows[0]['better'] + ' is better')}\n"
    script = ""
    for terminal, kind in (("svg size 1000,%d dynamic background '#ffffff'", "svg"),
                           ("pngcairo size 1000,%d", "png")):
        script += ("reset\nset terminal " + terminal % height +
                   f"\nset output {quoted(os.path.join(OUT, 'charts', name + '.' + kind))}\n"
                   f"set title {quoted(title)} noenhanced\n{label}{plot}")
    done = subprocess.run(["gnuplot"], input=script, text=True, capture_output=True, check=False)
    if done.returncode:
        print(f"gnuplot failed on '{title}': {done.stderr.strip()}")
    return not done.returncode


def as_html(text_lines):
    """The few kinds of Markdown that report writes."""
    out, in_table, in_list = [], False, False
    for line in text_lines:
        if in_table and not line.startswith("|"):
            out.append("</table>")
            in_table = False
        if in_list and not line.startswith("- "):
            out.append("</ul>")
            in_list = False
        text = html.escape(line)
        text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
        text = re.sub(r"(?<![*\w])\*([^*]+)\*", r"<i>\1</i>", text)
        text = re.sub(r"`(.+?)`", r"<code>\1</code>", text)
        text = re.sub(r"\[([^]]+)\]\(([\w./]+)\)", r"\1", text)
        if line.startswith("|---"):
            continue
        if line.startswith("|"):
            if not in_table:
                out.append("<table>")
            cell = "td" if in_table else "th"
            in_table = True
            cells = re.split(r"(?<!\\)\|", text)[1:-1]
            out.append("<tr>" + "".join(f"<{cell}>{c.strip()}</{cell}>" for c in cells) + "</tr>")
        elif line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            out.append(f"<h{level}>{text[level:].strip()}</h{level}>")
        elif line.startswith("- "):
            if not in_list:
                out.append("<ul>")
            in_list = True
            out.append(f"<li>{text[2:]}</li>")
        elif line:
            out.append(f"<p>{text}</p>")
    return out + (["</table>"] if in_table else []) + (["</ul>"] if in_list else [])


def write(data, about, text):
    """Writes the page, and returns where it is."""
    page = os.path.join(OUT, "index.html")
    folder = os.path.join(OUT, "charts")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    figures = []
    if not shutil.which("gnuplot"):
        print("skipped: charts: the package gnuplot-nox is not installed")
        figures.append("<p>No charts: the package gnuplot-nox is not installed.</p>")
    else:
        for i, (group, rows) in enumerate(groups(data).items()):
            suite, case, participants, metric = group[:4]
            title = ", ".join(part for part in (f"{suite}: {case}", participants, metric) if part)
            name = f"{i:02d}-" + re.sub(r"[^a-z0-9]+", "-", title.lower())[:60].strip("-")
            if not draw(name, title, rows):
                continue
            where = "; ".join(dict.fromkeys(filter(None, map(placement, rows))))
            figures.append(
                f"<figure><a href='charts/{name}.png'><img src='charts/{name}.svg' "
                f"alt='{html.escape(title, True)}'></a>"
                f"<figcaption class='note'>{html.escape(where)}</figcaption></figure>")
    split = next((i for i, line in enumerate(text) if line == "## All cases"), len(text))
    with open(page, "w", encoding="utf-8") as file:
        file.write("<!DOCTYPE html><meta charset='utf-8'><title>IPM beside its rivals</title>"
                   f"<style>{STYLE}</style>\n")
        file.write("\n".join(as_html(text[:split]) + ["<h2>Charts</h2><p>IPM is green; bars and "
                                                      "points show medians and quartiles.</p>"] +
                             figures + as_html(text[split:])) + "\n")
    return page
