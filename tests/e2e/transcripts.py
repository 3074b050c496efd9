"""What a document shows is run: its fenced blocks, and its console transcripts as one shell each. In an expected
line … stands for anything."""
from support import *

ROOT = os.path.dirname(TESTS)


def document(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


def blocks(text, kind):
    return re.findall(r"^```%s\n(.*?)^```" % kind, text, re.S | re.M)


def transcript(block):
    """[(command, expected output)]"""
    steps = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], ""])
        else:
            steps[-1][1] += line + "\n"
    return steps


def place():
    """A folder in which build/subtoken is the program under test."""
    d = scratch()
    os.symlink(os.path.dirname(PROGRAM), os.path.join(d, "build"))
    return d


def play(block, cwd, env=None, port=8080):
    """One shell for all of a block, as a reader has; port: that of the server which is shown as 127.0.0.1:8080. How
    many commands it were."""
    script, expected = "", transcript(block)
    for command, _ in expected:
        script += command.replace("127.0.0.1:8080", "127.0.0.1:%d" % port) + "\necho @@@\n"
    p = subprocess.run(["bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True,
                       timeout=60)
    got = p.stdout.split("@@@\n")
    assert len(got) == len(expected) + 1, (p.stdout, p.stderr)
    for (command, output), shown in zip(expected, got):
        pattern = re.escape(output.strip()).replace("…", ".+")
        assert re.fullmatch(pattern, shown.strip()), (command, output, shown, p.stderr)
    return len(expected)
