"""Revocation data as revocations.h describes it, written without the library: FILE and FILE.alive of a
ring whose first secret is known."""
import array, base64, bisect, hashlib, hmac, os, struct, sys, time

MASK = (1 << 64) - 1


def siphash(key, data):
    """SipHash-2-4 (Aumasson and Bernstein, 2012)."""
    def turn(x, bits):
        return (x << bits | x >> (64 - bits)) & MASK

    def rounds(v, count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1] = turn(v[1], 13) ^ v[0]
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1] = turn(v[1], 17) ^ v[2]
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
         k1 ^ 0x7465646279746573]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 255
    rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


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
    listed = array.array("Q", sorted(set(hashes) | {siphash(key, s.encode()) for s in subs}))
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
