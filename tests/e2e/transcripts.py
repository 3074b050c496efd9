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
    """[[command, expected output]]; a command that ends with \\ or | goes on in the next line."""
    steps, more = [], False
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], ""])
        elif more:
            steps[-1][0] += "\n" + line
        else:
            steps[-1][1] += line + "\n"
        more = (line.startswith("$ ") or more) and line.endswith(("\\", "|"))
    return steps


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def place():
    """A folder in which build/subtoken is the program under test."""
    d = scratch()
    os.symlink(os.path.dirname(PROGRAM), os.path.join(d, "build"))
    return d


def play(block, cwd, env=None, port=8080, errors=False):
    """One shell for all of a block, as a reader has; port: that of the server which is shown as 127.0.0.1:8080;
    errors: what comes on standard error is shown, too. What the shell leaves running is ended. How many commands it
    were."""
    script, expected = "exec 2>&1\n" if errors else "", transcript(block)
    for command, _ in expected:
        script += command.replace("127.0.0.1:8080", "127.0.0.1:%d" % port) + "\necho @@@\n"
    p = subprocess.Popen(["bash", "-c", script], cwd=cwd, env=env, text=True, start_new_session=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = p.communicate(timeout=120)
    finally:
        try:
            os.killpg(p.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    got = out.split("@@@\n")
    assert len(got) == len(expected) + 1, (out, err)
    for (command, output), shown in zip(expected, got):
        pattern = re.escape(output.strip()).replace("…", ".+")
        assert re.fullmatch(pattern, shown.strip()), (command, output, shown, err)
    return len(expected)
