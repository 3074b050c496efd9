"""report.py - for run.py: what the mutants are, which of them are known to be equivalent, and the table
of a run. A mutant is known by its file, its function, its change and the line it stands in, so that
equivalent_FOLDER.txt lives as long as that line does.
"""
import glob
import json
import os
import sys

LEAST = 95  # of a hundred mutants that are not equivalent, so many have to be killed


def load(out, sources):
    mutants = {}
    for path in sources:
        with open(os.path.join(out, path) + ".json", encoding="utf-8") as file:
            for number, mutant in enumerate(json.load(file), 1):
                mutants[path, number] = mutant
    return mutants


def key(path, mutant):
    return f"{path} {mutant['key']}"


def survivors_path(out):
    return os.path.join(out, os.environ.get("SURVIVORS", "survivors.txt"))


def survivors(out):
    """The keys of what survived the last run: each stands below the line that says where it is."""
    with open(survivors_path(out), encoding="utf-8") as file:
        return set(file.read().splitlines()[1::2])


class Equivalent:
    """equivalent_FOLDER.txt: a reason on lines that begin with `# `, and below it the keys that it holds for."""

    def __init__(self, mutants):
        self.mutants, self.keys = {}, {}
        for path in sorted(glob.glob(os.path.join(os.path.dirname(__file__), "equivalent_*.txt"))):
            self.read(path)
        known = {key(m[0], mutants[m]): m for m in mutants}
        files = {m[0] for m in mutants}
        for text, where in self.keys.items():
            if text in known:
                self.mutants[known[text]] = where
            elif text.split(" ", 1)[0] in files:
                print(f"{where}: there is no such mutant any more: {text}")

    def read(self, path):
        reason = None
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                line = line.rstrip("\n")
                if line.startswith("# "):
                    reason = line
                elif line == "":
                    reason = None
                elif reason is None:
                    sys.exit(f"{path}:{number}: no reason above it")
                else:
                    self.keys[line] = f"{path}:{number}"


def tell(run, mutants, killed, equivalent, out, seconds):
    survivors = [m for m in mutants if m not in killed]
    rows = {}
    for m in list(mutants) + list(equivalent.mutants):
        row = rows.setdefault(m[0].split("/")[1], [0] * 6)
        row[0] += 1
        row[1] += m in run.reach
        row[2] += killed.get(m) == "f"
        row[3] += killed.get(m) == "t"
        row[4] += m in equivalent.mutants
        row[5] += m not in killed and m not in equivalent.mutants
    print(f"\n{'':10} mutants reached  failed not in time equivalent survived  killed")
    rows["all"] = [sum(row[i] for row in rows.values()) for i in range(6)]
    for name, row in rows.items():
        rest = row[0] - row[4]
        print(f"{name:10} {row[0]:7} {row[1]:7} {row[2]:7} {row[3]:11} {row[4]:10} {row[5]:8} "
              f"{100 * (row[2] + row[3]) / max(rest, 1):6.1f} %")
    with open(survivors_path(out), "w", encoding="utf-8") as file:
        for m in survivors:
            mutant = run.mutants[m]
            seen = "" if m in run.reach else " (no test makes a difference)"
            file.write(f"{m[0]}:{mutant['line']}: {m[1]}{seen}\n{key(m[0], mutant)}\n")
    good = len(mutants) - len(survivors)
    share = 100 * good / max(len(mutants), 1)
    print(f"{len(survivors)} survived: {out}/survivors.txt; {seconds:.0f} s")
    for m in survivors[:10]:
        print(f"  {m[0]}:{run.mutants[m]['line']}: {run.mutants[m]['change']}")
    print(f"{good} passed, {0 if share >= LEAST else len(survivors)} failed")
    return share >= LEAST
