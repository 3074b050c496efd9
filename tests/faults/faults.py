"""Makes calls of a program fail, by the preloaded shim beside this (shim.c): one kind of call, the Nth of it, once or
from there on. For tests:

    faults = Faults()                                  # a control file of its own
    faults.arm("memory", at=3)                         # the third malloc fails; times=FOREVER: all from there on
    subprocess.run([...], env=faults.env())            # a program, now or long since running
    faults.failed(), faults.explain(program)           # did it come to that, and where in the code

    for n in faults.each("write", attempt): ...        # N from 1 until nothing fails any more
    for n in faults.each_site("memory", attempt): ...  # of these, one for each way through the code to such a call

A running server is started with faults.env() and told later, by arm() and disarm(). `program` (the name of an
executable) keeps the shim out of others that it starts; `object` and `path` of arm() choose by whose call it is and
which file it is about. As a program, `faults.py KIND[,KIND] N[+] COMMAND...` runs a command with a fault in it and
prints where, and `faults.py count COMMAND...` says how many calls of each kind it makes."""
import mmap, os, re, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SHIM = os.path.join(TOP, "build", "faults", "shim.so")
FOREVER = 2 ** 62
FAIL, SHORT, KILL_BEFORE, KILL_AFTER, STOP_BEFORE = range(5)  # what happens to the call: control.h
NONE, EVERY, OWN = range(3)  # which stacks count as different ones: all, or by the program's own functions alone

with open(os.path.join(HERE, "kinds.def")) as f:
    KINDS = re.findall(r"^KIND\((\w+), ", f.read(), re.M)

# As in control.h: (name, format, how many).
FIELDS = (("on", "I", 1), ("action", "I", 1), ("kinds", "Q", 1), ("at", "Q", 1), ("times", "Q", 1), ("error", "i", 1),
          ("pid", "i", 1), ("record", "I", 1), ("spare_stderr", "I", 1), ("object", "64s", 1), ("path", "128s", 1),
          ("seen", "Q", 1), ("failed", "Q", 1), ("calls", "Q", 64), ("depth", "Q", 1), ("stack", "56sQ", 32),
          ("site_count", "Q", 1), ("sites", "Q", 16384), ("hashes", "Q", 4 * 16384))
OFFSETS, SIZE = {}, 0
for _name, _format, _count in FIELDS:
    OFFSETS[_name] = (SIZE, _format)
    SIZE += struct.calcsize("=" + _format) * _count


def build():
    """The shim, made where it is missing or older than its source."""
    sources = [os.path.join(HERE, name) for name in os.listdir(HERE) if name.endswith((".c", ".h", ".def"))]
    if not os.path.exists(SHIM) or any(os.path.getmtime(s) > os.path.getmtime(SHIM) for s in sources):
        subprocess.run(["make", "-s", "build/faults/shim.so"], cwd=TOP, check=True, stdout=sys.stderr)
    return SHIM


class Faults:
    def __init__(self, program=None):
        self.program = program
        build()
        fd, self.file = tempfile.mkstemp(prefix="subtoken-test-faults-")
        os.ftruncate(fd, SIZE)
        self.memory = mmap.mmap(fd, SIZE)
        os.close(fd)

    def __del__(self):
        try:
            os.unlink(self.file)
        except (OSError, AttributeError, TypeError):
            pass

    def env(self, base=None):
        """The environment in which a program has the shim."""
        env = dict(os.environ if base is None else base)
        env.update(LD_PRELOAD=" ".join([SHIM] + env.get("LD_PRELOAD", "").split()), SUBTOKEN_FAULTS=self.file)
        if self.program:
            env["SUBTOKEN_FAULTS_PROGRAM"] = self.program
        # The sanitizer's allocator comes behind the shim, and says NULL instead of ending the program.
        options = env.get("ASAN_OPTIONS", "")
        env["ASAN_OPTIONS"] = options + (":" if options else "") + "verify_asan_link_order=0:allocator_may_return_null=1"
        return env

    # ---- the control file ----

    def get(self, name, index=0):
        at, form = OFFSETS[name]
        found = struct.unpack_from("=" + form, self.memory, at + index * struct.calcsize("=" + form))
        return found[0] if len(found) == 1 else found

    def set(self, name, value):
        at, form = OFFSETS[name]
        struct.pack_into("=" + form, self.memory, at, value.encode() if isinstance(value, str) else value)

    def _forget(self):
        at = OFFSETS["seen"][0]
        end = SIZE if self.get("record") else OFFSETS["sites"][0]
        self.memory[at:end] = bytes(end - at)

    def arm(self, kinds="", at=0, times=1, error=0, action=FAIL, object="", path="", pid=0, record=NONE,
            spare_stderr=False):
        """From now on. kinds: names of kinds.def, with commas between; at 0: count only. error: an errno, 0 the kind's
        own. object: calls from a file so named, "-" for the program's own; path: calls about a file so named.
        spare_stderr: not what is written to descriptor 2, so that a program can say what is wrong."""
        self.set("on", 0)
        self._forget()
        self.set("kinds", sum(1 << KINDS.index(kind) for kind in kinds.split(",") if kind))
        for name, value in dict(at=at, times=times, error=error, action=action, object=object, path=path, pid=pid,
                                record=record, spare_stderr=int(spare_stderr)).items():
            self.set(name, value)
        self.set("on", 1)

    def disarm(self):
        """Nothing fails any more, and nothing is counted."""
        self.set("on", 0)

    def failed(self):
        """How many calls have been made to fail since arm()."""
        return self.get("failed")

    def seen(self):
        """How many calls of the chosen kinds there were since arm()."""
        return self.get("seen")

    def counts(self):
        """{kind: calls} since arm(), of every kind."""
        return {kind: self.get("calls", i) for i, kind in enumerate(KINDS) if self.get("calls", i)}

    def sites(self):
        """The numbers of the calls to which there was a new way through the code (arm(record=…))."""
        return sorted(self.get("sites", i) for i in range(min(self.get("site_count"), 16384)))

    def where(self):
        """The stack of the first call that failed: [(file, offset)], innermost first; "" is the program itself."""
        frames = [self.get("stack", i) for i in range(min(self.get("depth"), 32))]
        return [(name.rstrip(b"\0").decode(), offset) for name, offset in frames]

    def explain(self, program, most=12):
        """where(), with functions and lines, as text: for the message of a test that failed."""
        where = self.where()[:most]
        own = [hex(offset - 1) for name, offset in where if not name]
        p = subprocess.run(["addr2line", "-Cfsp", "-e", program, *own], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        lines = iter(p.stdout.splitlines())
        return " < ".join("%s+0x%x" % (os.path.basename(name), offset) if name else next(lines, hex(offset))
                          for name, offset in where)

    # ---- N from 1 ----

    def each(self, kinds, attempt, first=1, step=1, most=None, **options):
        """Calls attempt(n) with the Nth call of these kinds failing, until one in which none did; yields each n. What the
        attempt starts has env(). Disarmed before it yields."""
        n, tries = first, 0
        while most is None or tries < most:
            self.arm(kinds, at=n, **options)
            try:
                attempt(n)
            finally:
                self.disarm()
            if self.failed() == 0:
                return
            yield n
            n, tries = n + step, tries + 1

    def each_site(self, kinds, attempt, most=None, record=OWN, **options):
        """The same for one N of each way through the code to such a call; of more than `most`, evenly chosen ones. The
        first attempt, attempt(0), is one in which nothing fails."""
        self.arm(kinds, record=record, **{k: v for k, v in options.items() if k in ("object", "path", "pid", "spare_stderr")})
        try:
            attempt(0)
        finally:
            self.disarm()
        numbers = self.sites()
        if most is not None and len(numbers) > most:
            numbers = [numbers[i * len(numbers) // most] for i in range(most)]
        for n in numbers:
            self.arm(kinds, at=n, **options)
            try:
                attempt(n)
            finally:
                self.disarm()
            yield n


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: faults.py KIND[,KIND] N[+] COMMAND... | faults.py count COMMAND...\nkinds: " + " ".join(KINDS))
    faults = Faults()
    if sys.argv[1] == "count":
        command = sys.argv[2:]
        faults.arm()
    else:
        number, command = sys.argv[2], sys.argv[3:]
        faults.arm(sys.argv[1], at=int(number.rstrip("+")), times=FOREVER if number.endswith("+") else 1)
    code = subprocess.run(command, env=faults.env()).returncode
    faults.disarm()
    print("exit code %d; %d failed" % (code, faults.failed()), file=sys.stderr)
    if sys.argv[1] == "count":
        print("\n".join("%-9s %d" % pair for pair in faults.counts().items()), file=sys.stderr)
    elif faults.failed():
        print(faults.explain(command[0], 32), file=sys.stderr)


if __name__ == "__main__":
    main()
