"""The tokens of the benchmarks: the one of the announcement, and a thousand that vary as real ones do."""
import base64, hashlib, hmac, json, os, random, time

PERMISSIONS = ("account inventories characters tradingpost wallet unlocks pvp builds progression "
               "guilds").split()
PATHS = """/v2/account /v2/account/bank /v2/account/achievements /v2/account/materials
/v2/account/wallet /v2/account/mounts/skins /v2/characters /v2/characters/* /v2/commerce/*
/v2/characters/My%20Cool%20Character /v2/characters/Eir%20Stegalkin/inventory
/v2/characters/Zojja/equipmenttabs /v2/characters/Br%C3%BCnhild/core /v2/createsubtoken
/v2/commerce/transactions/current/buys /v2/pvp/stats /v2/pvp/games /v2/tokeninfo
/v2/guild/116E0C0E-0035-44A9-BB22-4AE3E23127E5/log /v2/items GET:/v2/account/inventory
GET:/v2/guild/* /v2/account/raids /v2/wvw/matches /v2/account/masteries
GET:/v2/account/buildstorage /v2/characters/Logan/backstory""".split()
# Our own rows ask for /v2/account/home/cats: each of these lets it through.
CATS = ["/v2/account/home/cats", "/v2/account/home/*", "/v2/account/*"]
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims, secret, alg="HS256", digest=hashlib.sha256):
    header = '{"alg":"%s","typ":"JWT"}' % alg
    text = "%s.%s" % (encode(header.encode()),
                      encode(json.dumps(claims, separators=(",", ":")).encode()))
    return "%s.%s" % (text, encode(hmac.digest(secret, text.encode(), digest)))


def announced(now):
    return {"sub": "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k", "iat": now,
            "exp": now + 30 * 86400, "permissions": ["progression", "account", "unlocks"],
            "urls": ["/v2/characters/My%20Cool%20Character", "/v2/account/home/cats"]}


def varied(dice, now):
    life = dice.choice([3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400])
    iat = now - dice.randrange(life // 2)
    claims = {"sub": "".join(dice.choices(BASE64URL, k=42)) + dice.choice(BASE64URL[::4]),
              "iat": iat, "exp": iat + life,
              "permissions": dice.sample(PERMISSIONS, dice.randrange(11))}
    count = dice.randrange(9)
    if count > 0:
        urls = dice.sample(PATHS, count - 1) + [dice.choice(CATS)]
        dice.shuffle(urls)
        claims["urls"] = urls
    return claims


def made_from_two(claims, dice):
    return dict(claims, via=["".join(dice.choices(BASE64URL, k=16)) for _ in range(2)])


MANY = 1024


class Tokens:
    """Files for the programs: one token, MANY varied ones, and some that are to be refused."""

    def __init__(self, directory):
        dice = random.Random(20240229)
        now = int(time.time())
        secret = dice.randbytes(32)
        self.secret = self.write(directory, "secret", secret)
        one = sign(announced(now), secret)
        assert len(one) == 360, len(one)
        expired = dict(announced(now - 40 * 86400))
        self.one = self.lines(directory, "one", [one])
        self.many = self.lines(directory, "many",
                               [sign(varied(dice, now), secret) for _ in range(MANY)])
        self.one_via = self.lines(directory, "one-via", [sign(made_from_two(announced(now), dice), secret)])
        self.many_via = self.lines(directory, "many-via", [
            sign(made_from_two(varied(dice, now), dice), secret) for _ in range(MANY)])
        self.bad = {
            "an expired token": self.lines(directory, "expired", [sign(expired, secret)]),
            "another secret": self.lines(directory, "other", [sign(announced(now), secret[1:])]),
            "HS512": self.lines(directory, "hs512",
                                [sign(announced(now), secret, "HS512", hashlib.sha512)])}

    def lines(self, directory, name, tokens):
        return self.write(directory, name, "".join(t + "\n" for t in tokens).encode())

    @staticmethod
    def write(directory, name, data):
        path = os.path.join(directory, name)
        with open(path, "wb") as f:
            f.write(data)
        return path
