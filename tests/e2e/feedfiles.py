"""Revocation data as revocations.h describes it, written without the library: FILE and FILE.alive of a
ring whose first secret is known."""
import array, base64, bisect, hashlib, hmac, os, struct, sys, time

MASK = (1 << 64) - 1


def sub_hash(key, data):
    """THE HASH of revocations.h."""
    def fold(a, b):
        product = a * b
        return product >> 64 ^ product & MASK

    k, l = struct.unpack("<QQ", key)
    k, l = k ^ 0x243F6A8885A308D3, l ^ 0x13198A2E03707344
    h = k
    for i in range(0, len(data) - 16, 16):
        a, b = struct.unpack_from("<QQ", data, i)
        h = fold(a ^ l, b ^ h)
    x, y = struct.unpack("<QQ", data[-16:].ljust(16, b"\0"))
    h = fold(x ^ l, y ^ h)
    return fold(h ^ l, len(data) ^ k)


assert sub_hash(bytes(range(16)), b"parent") == 0xC070C06ABAFEFFF9


def ring(path):
    """[(kid, secret)] of a secrets file."""
    out = []
    for line in open(path).read().split():
        kid, _, text = line.partition(":")
        out.append((kid, base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    return out


def snapshot(signer, sequence, subs=(), hashes=(), key=b"0123456789abcdef", made=1):
    """hashes: more of them, as numbers, to fill it up."""
    kid, secret = signer
    listed = array.array("Q", sorted(set(hashes) | {sub_hash(key, s.encode()) for s in subs}))
    bits = 1
    while len(listed) > 8 << bits:
        bits += 1
    index = array.array("I", [bisect.bisect_left(listed, p << (64 - bits))
                              for p in range(1 << bits)] + [len(listed), 0])
    assert sys.byteorder == "little"
    length = 128 + 4 * len(index) + 8 * len(listed) + 32
    head = struct.pack("<8sIBBHqqQII16s64s", b"ST-REVOC", 1, bits, len(kid), 0, sequence, made,
                       length, len(listed), 0, key, kid.encode())
    body = head + index.tobytes() + listed.tobytes()
    return body + hmac.new(secret, body, hashlib.sha256).digest()


def heartbeat(signer, sequence, digest, at):
    kid, secret = signer
    body = struct.pack("<8sIBBHqq32s64s", b"ST-ALIVE", 1, 0, len(kid), 0, sequence, int(at), digest,
                       kid.encode())
    return body + hmac.new(secret, body, hashlib.sha256).digest()


def replace(path, data):
    with open(path + ".new", "wb") as f:
        f.write(data)
    os.replace(path + ".new", path)


class Feed:
    """The two files, and what the issuer knows of them."""

    def __init__(self, path, signer):
        self.path, self.signer, self.sequence = path, signer, int(time.time() * 1e6)

    def publish(self, subs=(), at=None, hashes=(), sequence=None):
        self.sequence = sequence or self.sequence + 1
        self.bytes = snapshot(self.signer, self.sequence, subs, hashes)
        replace(self.path, self.bytes)
        self.beat(at)

    def beat(self, at=None):
        replace(self.path + ".alive", heartbeat(self.signer, self.sequence, self.bytes[-32:],
                                                time.time() if at is None else at))
