"""Another revision of this tree, built from git archive in BUILD/against with the sources of third_party that are here.
The tree is left for the next time."""
import filecmp, os, subprocess, tempfile, time
from common import BRIEF, last_line

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPILER = os.environ.get("BENCH_CC", "gcc").split()


class NotBuilt(Exception):
    """In one line."""


def git(*args):
    return subprocess.run(["git", "-C", TOP, *args], capture_output=True, text=True)


def commit_of(revision):
    """Its full name, or None: it is not in this clone's history."""
    found = git("rev-parse", "--verify", "--quiet", revision + "^{commit}") if revision else None
    return found.stdout.strip() if found and found.returncode == 0 else None


def copy(tree, *parts):
    """What is the same for both and takes long to make."""
    source, target = os.path.join(TOP, *parts), os.path.join(tree, *parts)
    if os.path.isdir(source) and not os.path.isdir(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run(["cp", "-a", source, target], check=True)


def take_objects(tree):
    """Where nothing is measured, objects of sources that are the same are taken from here: a build has no path in it."""
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            here = os.path.join(TOP, os.path.relpath(path, tree))
            same = os.path.isfile(here) and filecmp.cmp(here, path, shallow=False)
            when = os.stat(here).st_mtime if same else time.time() + 1
            os.utime(path, (when, when), follow_symlinks=False)
    for part in ("src", "third_party"):
        source = os.path.join(TOP, "build", part)
        for folder, _, names in os.walk(source):
            target = os.path.join(tree, "build", os.path.relpath(folder, os.path.dirname(source)))
            os.makedirs(target, exist_ok=True)
            for name in names:
                if name.endswith((".o", ".d")):
                    subprocess.run(["cp", "-p", os.path.join(folder, name), target], check=True)


def build(commit, out, *targets):
    """The tree of a commit under out, with these targets of its Makefile made."""
    os.makedirs(out, exist_ok=True)
    tree = os.path.join(out, commit)
    if not os.path.isdir(tree):
        part = tempfile.mkdtemp(dir=out)
        archive = subprocess.Popen(["git", "-C", TOP, "archive", commit], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", part], stdin=archive.stdout, check=True)
        assert archive.wait() == 0
        if BRIEF:
            take_objects(part)
        os.rename(part, tree)
    copy(tree, "third_party", "src")
    copy(tree, "build", "nginx")
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    p = subprocess.run(["make", "-C", tree, "-j%d" % os.cpu_count(), "CC=" + " ".join(COMPILER), *targets],
                       env=env, capture_output=True, text=True)
    if p.returncode != 0:
        raise NotBuilt(last_line(p.stderr))
    return tree
