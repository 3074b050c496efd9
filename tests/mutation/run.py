"""run.py ONLY TESTS SAMPLE VARIABLE=... - builds the mutated program, asks which test each mutant makes a difference
to, tries each mutant on those tests until one fails, and counts what none of them sees.

ONLY:   words, of the files whose path contains one of them (`base core/policy`); empty: all
TESTS:  the same of the unit tests (`json vector`); empty: all
SAMPLE: so many mutants of FILES of the files that held.txt names, drawn with SEED (1); tests of their names alone
AGAIN=1 in the environment: only what survived the run before.
PLAIN=1: without sanitizers, three times as fast where tests open a store. What they alone see survives.
CONTINUE=1: goes on where such a run was stopped: what it has tried is in results.txt.
TRY:     of the files of ONLY the mutants of these alone, with the program and the record of all.
Exit 0: what is not equivalent (equivalent_FOLDER.txt) is killed, to 95 of 100. survivors.txt has the rest.
"""
import functools
import glob
import hashlib
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report

OUT = "build/mutation"
LONGEST_MS = int(os.environ.get("LONGEST_MS", "3000"))  # of the processor: a test that takes longer is not used
# Nor are more tests of other names for one mutant, when they take longer together.
MUTANT_MS = int(os.environ.get("MUTANT_MS", "150"))
OWN_MS = int(os.environ.get("OWN_MS", "100000"))  # nor of a file's own
FOLDERS = ("base", "core", "feed", "domain", "service", "store")
CHILDREN = 24           # programs under way at a time, each with tests of its own
KILLERS = 4             # tests that are tried first
FILES = 4               # that a sample is drawn of: each takes a second to build
# What reads a token once more for each of a million chains, or asks the machine.
ENVIRONMENT = {"SUBTOKEN_CHAINS": "2000", "ASAN_OPTIONS":
               "detect_leaks=1:abort_on_error=0:exitcode=1:hard_rss_limit_mb=3000:allocator_may_return_null=1:detect_stack_use_after_return=0:symbolize=0:quarantine_size_mb=4",
               "UBSAN_OPTIONS": "print_stacktrace=0", "CMOCKA_MESSAGE_OUTPUT": "STDOUT", "MALLOC_PERTURB_": "190",
               "SUBTOKEN_MUTATION_SECONDS": str(LONGEST_MS // 1000 + 1)}
if os.access("/dev/shm", os.W_OK):  # a change of a store waits for the disk
    ENVIRONMENT["TMPDIR"] = "/dev/shm"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def chosen(paths, words):
    return [p for p in paths if not words or any(w in p for w in words)]


NAMES = {os.path.basename(s)[:-2] for f in FOLDERS for s in glob.glob(f"src/{f}/*.c")}


@functools.cache
def file_of(test):
    """The name of the file that a test is named after: the longest with which its own begins. test_store_keys is
    one of keys, not of store."""
    test = f"{test}_"
    return max((n for n in NAMES if test.startswith((f"test_{n}_", f"test_store_{n}_"))),
               key=lambda n: (test.startswith(f"test_store_{n}_"), len(n)), default="")


def own_tests(path, tests):
    """Those of its name, and of the file that its name begins with: test_edge_bounds has edge_answer in it."""
    name = os.path.basename(path)[:-2].replace("x86", "vector")
    return {t for t in tests if file_of(t) != "" and f"{name}_".startswith(f"{file_of(t)}_")}


class Run:
    def __init__(self, out, sources, tests, variables):
        self.out, self.sources, self.tests, self.variables = out, sources, tests, variables
        self.path = None   # of the program
        self.mutants = {}  # (path, number): what mutate.py says of it
        self.reach = {}    # (path, number): {(program, test), ...}
        self.ms = {}       # (program, test): what it takes of the processor
        self.wall = {}     # and how long it took
        self.killers = {}  # (path, function): the tests that killed mutants of it, the last one first
        self.unsound = []  # tests that fail without a mutant

    def build(self):
        began = time.monotonic()
        # Of its own, for another run may be under way; PROGRAM=NAME is kept.
        program = self.path = os.path.join(self.out, f"program-{os.environ.get('PROGRAM', os.getpid())}")
        # A make of its own, not one within the make that started us: that is for `make -n`.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        tests = " ".join(f"tests/unit/{t}.c" for t in self.tests)
        result = subprocess.run(["make", "--no-print-directory", *self.variables, f"MUTATED={' '.join(self.sources)}",
                                 f"MUTATION_TESTS={tests}", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, check=False, env=environment)
        if result.returncode != 0:
            sys.exit(f"run.py: the mutated program does not build:\n{result.stdout[-4000:]}")
        self.mutants = report.load(self.out, self.sources)
        print(f"{len(self.mutants)} mutants in {len(self.sources)} files, {len(self.tests)} test programs; "
              f"built in {time.monotonic() - began:.0f} s", flush=True)

    def program(self, *arguments, leaks=False, **more):
        environment = dict(os.environ, **ENVIRONMENT)
        if leaks:
            environment["SUBTOKEN_MUTATION_LEAKS"] = "1"
        environment.pop("SUBTOKEN_TEST_POSTGRES", None)
        return subprocess.Popen([self.path, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True, env=environment, **more)

    def recorded(self):
        """The lines that the program prints; kept for each test program as long as it and what is mutated are the same."""
        mutated = hashlib.sha256(ENVIRONMENT["SUBTOKEN_MUTATION_SECONDS"].encode())
        for path in self.sources:
            mutated.update(read(os.path.join(self.out, path)))
        lines = []
        for test in self.tests:
            digest = mutated.copy()
            digest.update(read(os.path.join(self.out, "tests", test + ".o")))
            kept = os.path.join(self.out, "record", f"{test}-{digest.hexdigest()[:16]}")
            text = read(kept).decode() if os.path.exists(kept) else ""
            if text == "":
                text = self.program("record", test, stdin=subprocess.DEVNULL).communicate()[0]
                os.makedirs(os.path.dirname(kept), exist_ok=True)
                with open(kept, "w", encoding="utf-8") as file:
                    file.write(text)
            lines += text.splitlines()
        return lines

    def record(self):
        began = time.monotonic()
        program = test = None
        for line in self.recorded():
            word, *rest = line.split()
            if word == "program" and len(rest) == 1:
                program = rest[0]
            elif word == "test":
                test = (program, int(rest[0]))
                used = max(int(rest[2]), 1)
                # One that waits for a clock keeps the machine waiting, too. What else it does may make ten of one.
                if rest[1] == "p" and used <= LONGEST_MS and int(rest[3]) < 5000 + 10 * used:
                    self.ms[test], self.wall[test] = used, int(rest[3])
                else:
                    self.unsound.append(f"{program} {rest[4]}: {'fails' if rest[1] == 'f' else 'takes long'}")
                    test = None
            elif word == "seen" and test is not None:
                for number in rest[1].split(","):
                    self.reach.setdefault((rest[0], int(number)), set()).add(test)
        for each in self.unsound:
            print(f"  not used: {each}")
        print(f"{len(self.ms)} tests recorded in {time.monotonic() - began:.0f} s; they make a difference for "
              f"{sum(1 for m in self.mutants if m in self.reach)} mutants", flush=True)

    @functools.cached_property
    def rare(self):
        """{(path, function): {test: how much it reaches of the function that few others do, for its time}}"""
        rare = {}
        for mutant, tests in self.reach.items():
            of = rare.setdefault((mutant[0], self.mutants[mutant]["function"]), {})
            for test in tests:
                of[test] = of.get(test, 0) + 1 / len(tests) / (self.ms[test] + 50)
        return rare

    def plan(self, mutant):
        """The tests to try it on, the best first: what killed others of its function, then those of the file's name, and
        what reaches most of the function."""
        rare = self.rare.get((mutant[0], self.mutants[mutant]["function"]), {})
        mine, before = own_tests(mutant[0], self.tests), self.killers.get((mutant[0], self.mutants[mutant]["function"]), [])
        left, own_left, tests = MUTANT_MS, OWN_MS, []
        for test in sorted(self.reach.get(mutant, ()), key=lambda t: (before.index(t) if t in before else len(before),
                                                                      t[0] not in mine, -rare[t], self.ms[t], t)):
            if test[0] in mine:
                own_left -= self.ms[test]
            elif test not in before:
                left -= self.ms[test]
            if (own_left if test[0] in mine else left) >= 0:
                tests.append(test)
        return tests

    def ask(self, children, mutant, test, leaks):
        """p: it passes, with this mutant; f: it fails; t: it does not end in time."""
        program, number = test
        if program not in children:
            if len(children) == CHILDREN:
                self.close(children.pop(next(iter(children))))
            children[program] = self.program("run", program, leaks=leaks, stdin=subprocess.PIPE)
            children[program].stdout.readline()
        child = children[program]
        # On a machine that does much else a test may take many times as long, but not of the processor.
        clock, seconds = 3000 + 20 * self.ms[test] + 3 * self.wall[test], 1 + self.ms[test] // 100
        child.stdin.write(f"{mutant[0]} {mutant[1]} {number}:{clock}:{seconds}\n")
        child.stdin.flush()
        answer = child.stdout.readline().split()
        if not answer:
            sys.exit(f"run.py: {program} ended at mutant {mutant}")
        return answer[0]

    @staticmethod
    def close(child):
        child.stdin.close()
        child.wait()

    def kill(self, mutants, leaks=False):
        """{mutant: how}, of those that a test sees; leaks: look for leaks when a test has passed."""
        killed, children = {}, {}
        began = time.monotonic()
        before, results = self.results(leaks)
        for at, mutant in enumerate(mutants):
            path, key = mutant[0], report.key(mutant[0], self.mutants[mutant])
            if before.get(key, "p") != "p":
                killed[mutant] = before[key]
            for test in self.plan(mutant) if key not in before else ():
                answer = self.ask(children, mutant, test, leaks)
                if answer != "p":
                    killed[mutant] = answer
                    best = self.killers.setdefault((path, self.mutants[mutant]["function"]), [])
                    best[:] = ([test] + [t for t in best if t != test])[:KILLERS]
                    break
            if key not in before:
                results.write(f"{killed.get(mutant, 'p')} {key}\n")
            if at + 1 == len(mutants) or mutants[at + 1][0] != path:
                of = [m for m in mutants if m[0] == path]
                print(f"  {path}: {sum(m in killed for m in of)} of {len(of)} killed; {time.monotonic() - began:.0f} s",
                      flush=True)
        for child in children.values():
            self.close(child)
        results.close()
        return killed

    def results(self, leaks):
        """{key: answer} of a run that was stopped, and the file for those of this one, a line each."""
        path = report.survivors_path(self.out).replace("survivors", "leaks" if leaks else "results")
        if not os.environ.get("CONTINUE"):
            return {}, open(path, "w", encoding="utf-8", buffering=1)
        results = open(path, "a+", encoding="utf-8", buffering=1)
        results.seek(0)
        return dict(line.split(" ", 1)[::-1] for line in results.read().splitlines()), results


def main():
    only, tests, sample, *variables = sys.argv[1:]
    began = time.monotonic()
    sources = chosen(sorted(s for f in FOLDERS for s in glob.glob(f"src/{f}/*.c")), only.split())
    names = sorted(os.path.basename(t)[:-2] for t in glob.glob("tests/unit/test_*.c")
                   if not t.startswith(tuple(f"tests/unit/test_{other}" for other in ("postgres_", "wasm", "haproxy", "apache"))))
    names = chosen(names, tests.split())
    out, seed = OUT, os.environ.get("SEED", "1")
    drawn = random.Random(int(seed))
    if sample:
        # Files that have been worked through, with the tests of their own names; in a build of its own, quickly.
        held = read(os.path.join(os.path.dirname(__file__), "held.txt")).decode().split()
        sources = [s for s in sources if s in held]
        sources = sorted(drawn.sample(sources, min(FILES, len(sources))))
        names = sorted({t for s in sources for t in own_tests(s, names)})
        out += "/sample"
        variables += [f"MUTATION={out}", "MUTATION_OPT=-O0"]
        print(f"SEED={seed}: {sample} mutants of {', '.join(sources)}", flush=True)
    if os.environ.get("PLAIN"):
        out += "/plain"
        variables = [v for v in variables if v.startswith("CC=")] + [f"MUTATION={out}", "OPT=-O1"]
    run = Run(out, sources, names, variables)
    run.build()
    run.record()
    equivalent = report.Equivalent(run.mutants)
    mutants = sorted(m for m in run.mutants if m not in equivalent.mutants)
    mutants = [m for m in mutants if chosen(m[:1], os.environ.get("TRY", "").split())]
    if sample:
        mutants = sorted(drawn.sample(mutants, min(int(sample), len(mutants))))
    if os.environ.get("AGAIN"):
        before = report.survivors(out)
        mutants = [m for m in mutants if report.key(m[0], run.mutants[m]) in before]
    killed = run.kill(mutants)
    if not os.environ.get("PLAIN"):
        # What is left out may have released something; base and core allocate nothing.
        print("Once more, with an eye on leaks")
        killed.update(run.kill([m for m in mutants if m not in killed and run.mutants[m]["change"].endswith("-> nothing")
                                and not m[0].startswith(("src/base/", "src/core/"))], leaks=True))
    if "PROGRAM" not in os.environ:
        os.unlink(run.path)
    done = report.tell(run, mutants, killed, equivalent, out, time.monotonic() - began)
    sys.exit(0 if done else 1)


main()
