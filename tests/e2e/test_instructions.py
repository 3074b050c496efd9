"""What a verify costs besides its signature, in instructions: a count of callgrind is
the same whatever else the machine does, so that unlike a time it can fail a test. Its sub
is looked up in a snapshot of a million others, of a feed that is fresh."""
from support import *

VERIFY = os.path.join(os.path.dirname(PROGRAM), "bench", "verify")
SECRET = hashlib.sha256(b"a secret of this test").digest()


def files(directory):
    """The announcement's token, as the bench has it: 360 characters."""
    now = int(time.time())
    payload = ('{"sub":"wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k","iat":%d,"exp":%d,'
               '"permissions":["progression","account","unlocks"],"urls":'
               '["/v2/characters/My%%20Cool%%20Character","/v2/account/home/cats"]}'
               % (now, now + 86400))
    text = b64(b'{"alg":"HS256","typ":"JWT"}') + "." + b64(payload.encode())
    token = text + "." + b64(hmac.digest(SECRET, text.encode(), "sha256"))
    assert len(token) == 360, len(token)
    paths = [os.path.join(directory, name) for name in ("tokens", "secret")]
    for path, data in zip(paths, (token.encode() + b"\n", SECRET)):
        with open(path, "wb") as f:
            f.write(data)
    return paths


def counted(mode, directory, paths, times):
    """Instructions in subtoken_verify, but not in subtoken_mac_check, which is the HMAC and
    its comparing: entering or leaving either turns the counting on or off."""
    out = os.path.join(directory, "callgrind.out")
    p = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=subtoken_verify",
                        "--toggle-collect=subtoken_mac_check", "--callgrind-out-file=" + out, VERIFY, mode, *paths, str(times)], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    text = open(out).read()
    assert "subtoken_feed_revoked" in text and "subtoken_revocations_find" in text
    return int(re.search(r"^totals: (\d+)", text, re.M).group(1))


def for_one(mode):
    """Two runs, so that what happens once falls out."""
    directory = scratch()
    paths = files(directory)
    return (counted(mode, directory, paths, 1100) - counted(mode, directory, paths, 100)) / 1000


def has_sse41():
    with open("/proc/cpuinfo") as f:
        return re.search(r"^flags\s*:.*\bsse4_1\b", f.read(), re.M) is not None


@test
def a_verify_without_its_hash_is_3200_instructions():
    """With the look-up of two names, the sub and the tid."""
    if SANITIZER:
        return "the sanitizers' own instructions are no concern"
    if not has_sse41():
        return "the limit is for processors with SSE4.1"
    count = for_one("count")
    print("# %d" % count)
    assert 1000 < count <= 3200, count  # less: it has not been counted


@test
def a_verify_in_plain_c_is_6000_instructions():
    if SANITIZER:
        return "the sanitizers' own instructions are no concern"
    count = for_one("count-portable")
    print("# %d" % count)
    assert 1000 < count <= 6000, count


@test
def a_verify_of_a_token_seen_before_is_1500_instructions():
    """All of it, for nothing is hashed: the ring and the token are compared, the claims copied, and
    the rules applied."""
    if SANITIZER:
        return "the sanitizers' own instructions are no concern"
    if not has_sse41():
        return "the limit is for processors with SSE4.1"
    count = for_one("count-again")
    print("# %d" % count)
    assert 300 < count <= 1500, count


AARCH64 = os.path.join(os.path.dirname(PROGRAM), "aarch64", "bench", "verify")


def traced(directory, paths, times):
    """The same on AArch64: qemu-user writes a line for each instruction, with its function."""
    out = os.path.join(directory, "qemu.trace")
    p = subprocess.run(["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-singlestep", "-d", "exec,nochain", "-D", out,
                        AARCH64, "count", *paths, str(times), "1000"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    count, hashing = 0, False
    with open(out) as lines:
        for line in lines:
            function = line.rsplit(None, 1)[1]
            if function == "subtoken_mac_check":
                hashing = True
            elif hashing and function.startswith("st_jws"):
                hashing = False
            count += not hashing
    os.unlink(out)
    return count


@test
def a_verify_on_aarch64_is_about_as_many():
    """With the instructions for vectors and SHA-2, which qemu has."""
    if SANITIZER:
        return "the sanitizers' own instructions are no concern"
    if not os.path.exists(AARCH64):
        return "make test-aarch64 builds it"
    if not has_sse41():
        return "there is nothing to compare with"
    directory = scratch()
    paths = files(directory)
    count, here = (traced(directory, paths, 11) - traced(directory, paths, 1)) / 10, for_one("count")
    print("# %d, here %d" % (count, here))
    assert 1000 < count <= 1.3 * here, (count, here)


main()
