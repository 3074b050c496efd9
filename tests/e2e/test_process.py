"""The process: what it keeps open, what its memory holds, and who may look inside."""
from datadir import *


def limits(pid):
    with open("/proc/%d/limits" % pid) as f:
        return dict(re.findall(r"^(Max .*?)  +(\S+ +\S+)", f.read(), re.M))


@test
def no_core_dump_and_no_descriptor_leaks_from_the_process():
    with SmallServer() as server:
        key = make_key(server.data)["key"]
        token = Client(server).make(key)
        with open(secrets_of(server.data)) as f:
            secret = f.read().strip()[1:]
        pid = server.process.pid
        assert limits(pid)["Max core file size"].split() == ["0", "0"], limits(pid)
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                text = f.read()
            assert (b"subtoken" in text) or name == "environ"
            for hidden in (key, token, secret):
                assert hidden.encode() not in text, name
        for hidden in (key[37:], token, secret):
            assert hidden not in server.log()
    # The short commands, caught while they wait for their standard input.
    for words, text in ((["issue"], key), (["verify"], token), (["inspect"], token)):
        extra = [] if words == ["inspect"] else ["--data", server.data]
        p = subprocess.Popen([PROGRAM] + words + extra, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdin.write(text.encode())
        p.stdin.flush()
        wait(lambda: limits(p.pid)["Max core file size"].split() == ["0", "0"])
        with open("/proc/%d/cmdline" % p.pid, "rb") as f:
            assert text.encode() not in f.read()
        p.communicate()
        assert p.returncode == 0, words


@test
def others_of_its_user_cannot_look_inside():
    """PR_GET_DUMPABLE, seen from outside: the files of a process that is not dumpable
    belong to root, even when the process does not."""
    if os.geteuid() != 0:
        with SmallServer() as server:
            assert os.stat("/proc/%d/environ" % server.process.pid).st_uid == 0
        return
    where = scratch(under="/tmp")
    os.chmod(where, 0o755)
    program = os.path.join(where, "subtoken")
    shutil.copy(PROGRAM, program)
    os.chmod(program, 0o755)
    data = os.path.join(where, "data")
    os.mkdir(data, 0o700)
    os.chown(data, 65534, 65534)

    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    env = dict(os.environ)  # who may not look inside cannot look for leaks either
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    supp = re.search(r"suppressions=([^ :]+)", env.get("TSAN_OPTIONS", ""))
    if supp:  # where the tree lies it may be for its owner alone
        shutil.copy(supp.group(1), where)
        mine = os.path.join(where, os.path.basename(supp.group(1)))
        os.chmod(mine, 0o644)
        env["TSAN_OPTIONS"] = env["TSAN_OPTIONS"].replace(supp.group(1), mine)
    server = Server(os.path.join(data, "var"), env=env, preexec=drop)
    server.cmd[0] = program
    with server:
        pid = server.process.pid
        with open("/proc/%d/status" % pid) as f:
            assert re.search(r"^Uid:\s+65534\b", f.read(), re.M)
        assert os.stat("/proc/%d/environ" % pid).st_uid == 0
        p = subprocess.run(["cat", "/proc/%d/environ" % pid], preexec_fn=drop, capture_output=True)
        assert p.returncode != 0, "another process of the same user reads it"
        assert os.stat(os.path.join(data, "var", "secrets")).st_uid == 65534
        # Root may use what belongs to another? Not without being told: the owner is checked.
        code, _, err = run("key", "list", data=os.path.join(data, "var"))
        assert code == 3 and "65534" in err, (code, err)

main()
