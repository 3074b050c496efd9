#!/usr/bin/env python3
"""coverage.py clear BUILD [--more] | report BUILD [FOLDER...] [--hold FOLDER=PERCENT...] - what of src was run by a build
that counts (make coverage): lines, and branches, a folder a row; of each FOLDER (or file) also a line for each branch
and line that was not reached. With --hold the exit status is 1 when a folder has fewer percent of its branches.

What is counted: gcc -O0 keeps each condition as a jump of its own (--param logical-op-non-short-circuit=0), so a
branch is one way out of an if, ?:, loop, &&, || or switch as they stand in the source; both ways of each have to be
taken. What gcc adds by itself (calls that might not return) is not counted, nor is what another processor compiles
(base/arm.c, base/wasm.c), nor the branch of st_impossible (base/impossible.h), which ends the program in this build and
in those with sanitizers; nor what is inside of the macros of httpd and nginx by which a line is logged or an event posted
(MACROS). A line of a header is counted once, as reached by any file that includes it."""
import argparse, collections, concurrent.futures, functools, glob, json, os, re, subprocess, sys


UNCOUNTED = "src/base/impossible.h"
MACROS = re.compile(r"\s*(ap_log_r?error|ngx_log_error|ngx_log_debug\d|ngx_post_event|ngx_delete_posted_event)\(")


def counters(build, kind):
    """Those of the program; and of the tests, whose part of a header counts."""
    return sorted(glob.glob(os.path.join(build, "src", "**", "*." + kind), recursive=True) +
                  glob.glob(os.path.join(build, "tests", "*." + kind)) + glob.glob(os.path.join(build, "held", "*." + kind)))


def make_room(build, fresh=lambda notes, counts: False):
    """Whoever a program runs as may count: a worker of a proxy is another user than the one who made the file, so
    each file is there before, empty. Those that are not fresh are emptied."""
    for folder, _, files in os.walk(build):
        os.chmod(folder, 0o777)
        for name in (f for f in files if f.endswith(".gcno")):
            notes, counts = (os.path.join(folder, name[:-2] + kind) for kind in ("no", "da"))
            if not os.path.exists(counts) or not fresh(notes, counts):
                open(counts, "w").close()
            os.chmod(counts, 0o666)


def clear(build, more):
    """Forgets what was run, with more only of what was built anew."""
    make_room(build, lambda notes, counts: more and os.path.getmtime(notes) <= os.path.getmtime(counts))


def read(notes):
    """gcov's own account of some objects: a JSON text a line."""
    p = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", *notes],
                       capture_output=True, text=True)
    stale = re.findall(r"^(.*\.gcda):stamp mismatch", p.stderr, re.M)
    for path in stale:  # a test wrote it that was linked before
        os.remove(path)
    if stale:
        return read(notes)
    if p.returncode != 0:
        sys.exit("coverage: gcov failed:\n" + p.stderr[-2000:])
    return [json.loads(text) for text in p.stdout.splitlines()]


class File:
    def __init__(self):
        self.lines = collections.Counter()  # line: how often
        self.branches = collections.Counter()  # (line, function, which of it): how often taken


def collect(build):
    """All objects of BUILD/src: path in the tree -> File."""
    notes = counters(build, "gcno")
    if not notes:
        sys.exit(f"coverage: {build}/src has no object that counts: make coverage builds it")
    files = collections.defaultdict(File)
    for path in counters(build, "gcda"):
        if os.path.getsize(path) == 0:  # nothing of it was run: gcov wants none then
            os.remove(path)
    groups = [notes[i::8] for i in range(8) if notes[i::8]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for account in (a for texts in pool.map(read, groups) for a in texts):
            for each in account["files"]:
                path = os.path.relpath(each["file"])
                if path.startswith(("src/", "include/")) and path != UNCOUNTED:
                    add(files[path], each["lines"], macro_lines(path))
    make_room(build, lambda notes, counts: True)
    return files


@functools.lru_cache(None)
def macro_lines(path):
    with open(path) as f:
        return {n for n, text in enumerate(f, 1) if MACROS.match(text)} if path.startswith("src/edge/") else set()


def add(file, lines, macros):
    seen = collections.Counter()  # a function's line may come in several parts
    for line in lines:
        number, function = line["line_number"], line.get("function_name", "")
        file.lines[number] += line["count"]
        for branch in line["branches"]:
            if not branch["throw"] and number not in macros:
                which = (number, function, seen[number, function])
                seen[number, function] += 1
                file.branches[which] += branch["count"]


def reached(counts):
    return sum(count > 0 for count in counts.values())


def percent(part, whole):
    return 100 * part / whole if whole else 100.0


class Sum:
    def __init__(self):
        self.lines = self.lines_run = self.branches = self.branches_run = 0

    def add(self, file):
        self.lines += len(file.lines)
        self.lines_run += reached(file.lines)
        self.branches += len(file.branches)
        self.branches_run += reached(file.branches)

    def row(self, name):
        shown = lambda run, of: f"{run:>6} of {of:>6} {int(10 * percent(run, of)) / 10:6.1f} %"
        return f"{name:<18} {shown(self.branches_run, self.branches)}   {shown(self.lines_run, self.lines)}"


def folder_of(path):
    folder = os.path.dirname(path)
    return folder[4:] if folder.startswith("src/") else folder


def show_missing(path, file):
    """A line for each place of a file at which something was never run."""
    with open(path) as f:
        source = f.read().split("\n")
    missing = collections.defaultdict(list)
    total = collections.Counter(line for line, _, _ in file.branches)
    for (line, _, which), count in file.branches.items():
        if count == 0:
            missing[line].append(which)
    for line in sorted(set(missing) | {n for n, count in file.lines.items() if count == 0}):
        what = "never run" if file.lines[line] == 0 else \
            f"branch {', '.join(str(w + 1) for w in sorted(missing[line]))} of {total[line]} never taken"
        print(f"{path}:{line}: {what}: {source[line - 1].strip()}")


def report(build, chosen, hold):
    files = collect(build)
    sums, whole = collections.defaultdict(Sum), Sum()
    for path, file in sorted(files.items()):
        sums[folder_of(path)].add(file)
        whole.add(file)
        if any(path.startswith((f"src/{c}/", f"{c}/")) or path in (f"src/{c}", c) for c in chosen):
            show_missing(path, file)
    print(f"{'':<18} {'branches':^25}   {'lines':^25}")
    for folder in sorted(sums):
        print(sums[folder].row(folder))
    print(whole.row("all"))
    good = True
    for folder, least in (h.split("=") for h in hold):
        run, of = sums[folder].branches_run, sums[folder].branches
        enough = of > 0 and 100 * run >= float(least) * of
        print(f"{'ok' if enough else 'not ok'} {folder}: {run} of {of} branches, at least {least} %")
        good = good and enough
        if not enough:
            for path in sorted(p for p in files if folder_of(p) == folder):
                show_missing(path, files[path])
    return good


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split(" - ")[0])
    parser.add_argument("what", choices=["clear", "report"])
    parser.add_argument("build")
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--more", action="store_true")
    parser.add_argument("--hold", nargs="+", default=[], metavar="FOLDER=PERCENT")
    a = parser.parse_args()
    if a.what == "clear":
        return clear(a.build, a.more)
    sys.exit(0 if report(a.build, a.folders, a.hold) else 1)


main()
