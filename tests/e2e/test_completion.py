"""`subtoken completion bash`, in a real bash: as a function, and at a terminal with the TAB key."""
import pty, select
from commands import *

SCRIPT = os.path.join(scratch(), "completion")
BASH = ["bash", "--norc", "--noprofile"]
# Each line of standard input is a command line up to the cursor, as bash cuts it into words; printed is what is offered.
ASK = r"""
. "$1"
compopt() { printf 'compopt %s\n' "$2"; }
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "${line//=/ = }"
  [[ $line == *' ' || $line == *= ]] && [[ ${COMP_WORDS[-1]} != = ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=(unset)
  said=$(_subtoken; printf '%s\n' "${COMPREPLY[@]}")
  printf '%s\n' "${said//$'\n'/ }"
done
"""


def write_script():
    code, out, err = run("completion", "bash", check=0)
    assert err == ""
    with open(SCRIPT, "w") as f:
        f.write(out)
    return out


def offered(*lines):
    """What is offered at the end of each command line, a set each."""
    p = subprocess.run(BASH + ["-c", ASK, "bash", SCRIPT], input="\n".join(lines) + "\n", capture_output=True, text=True,
                       timeout=60, env={"PATH": os.environ["PATH"]})
    assert p.returncode == 0 and p.stderr == "", p.stderr
    answers = p.stdout.split("\n")[:-1]
    assert len(answers) == len(lines), answers
    return [set(a.split()) for a in answers]


def helps(*words):
    """{command: help}, of all commands below words."""
    out = run(*words, "--help", check=0)[1]
    below = re.findall(r"^  ([a-z-]+) ", out, re.M) if "COMMAND" in out.splitlines()[0] else []
    found = {words: (out, below)}
    for word in below:
        found.update(helps(*words, word))
    return found


@test
def every_command_and_option_is_offered():
    script = write_script()
    assert subprocess.run(BASH + ["-n", SCRIPT]).returncode == 0
    known = helps()
    lines = [" ".join(("subtoken",) + words) + " " for words in known]
    for (words, (text, below)), line, got in zip(known.items(), lines, offered(*lines)):
        options = {"--" + o for o in re.findall(r"--([a-z-]+)", re.match(r"usage:.*(?:\n +.*)*", text).group(0))} | {"--help"}
        if below:
            assert got == set(below) | {"help"}, (line, got)
        elif re.match(r"usage: subtoken %s FILE" % " ".join(words), text):
            assert got == {"compopt", "default"}, (line, got)
            assert offered(line + "-")[0] == options, (line, options)
        else:
            assert got == options, (line, got ^ options)
    assert len(known) > 40 and "_subtoken" in script


@test
def what_follows_is_offered():
    write_script()
    cases = {
        "subtoken ": None, "subtoken ke": {"key"}, "subtoken s": {"serve", "secret", "saltpass", "store"}, "subtoken x": set(),
        "subtoken --": {"--help", "--version"}, "subtoken key re": {"revoke-subtokens"}, "subtoken key -": {"--help"},
        "subtoken help": {"help"}, "subtoken help po": {"policy"}, "subtoken help policy ": {"check", "help"},
        "subtoken help serve ": set(), "subtoken key nonsense ": set(), "subtoken nonsense ": set(),
        "subtoken key create --na": {"--name"}, "subtoken key create --name ": set(), "subtoken key create --name x --na": set(),
        "subtoken key create --name=x --na": set(), "subtoken key create --name=": set(), "subtoken key list --expi": {"--expiring"},
        "subtoken key create --data ": {"compopt", "dirnames"}, "subtoken key create --data=": {"compopt", "dirnames"},
        "subtoken key create --data=x": {"compopt", "dirnames"}, "subtoken key create --config ": {"compopt", "default"},
        "subtoken pull --key-file=": {"compopt", "default"}, "subtoken pull --from a --fr": {"--from"}, "subtoken pull --to a --to": set(),
        "subtoken store copy --from ": {"compopt", "default"}, "subtoken policy check x": {"compopt", "default"},
        "subtoken policy check --": {"--json", "--help"}, "subtoken key show X --js": {"--json"},
    }
    for (line, expected), got in zip(cases.items(), offered(*cases)):
        assert expected is None or got == expected, (line, got, expected)


@test
def the_tab_key_completes():
    write_script()
    there = scratch()
    os.mkdir(os.path.join(there, "a dir"))
    for name in ("some file.json", "b"):
        open(os.path.join(there, name), "w").close()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(there)
        os.execvpe("bash", BASH + ["-i"], {"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "READY ", "HOME": there})
    shown = b""

    def read_until(end):
        nonlocal shown
        deadline = time.time() + 60
        while not shown.replace(b"\r", b"").endswith(end.encode()):
            assert time.time() < deadline, (end, shown)
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
    try:
        read_until("READY ")
        os.write(terminal, b". '%s'; bind 'set bell-style none'\n" % SCRIPT.encode())
        read_until("\nREADY ")
        for typed, becomes in (("subtoken k", "subtoken key "), ("subtoken key cr", "subtoken key create "),
                               ("subtoken key create --perm", "subtoken key create --permissions "),
                               ("subtoken policy check so", "subtoken policy check some\\ file.json "),
                               ("subtoken serve --data a", "subtoken serve --data a\\ dir/"),
                               ("subtoken serve --config=so", "subtoken serve --config=some\\ file.json ")):
            shown = b""
            os.write(terminal, typed.encode() + b"\t")
            read_until(becomes)
            os.write(terminal, b"\x15echo next\n")  # the line is taken back
            read_until("next\nREADY ")
    finally:
        os.close(terminal)  # bash is hung up
        os.waitpid(pid, 0)


main()
