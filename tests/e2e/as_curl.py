"""What curl is answered. Most of what tests give it is sent from this process, as it would send it: a curl of its own
for each request takes longer to start than the server to answer. Anything else is sent by the real one, and all of it
with SUBTOKEN_CURL=1. test_as_curl.py holds both against each other."""
import base64, functools, http.client, os, re, socket, subprocess

ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost):(\d+)(/[!-~]*)?$")
# curl reads these in a URL itself, or leaves a path without its dots.
OWN = re.compile(r"[#{}\[\]]|/\.")
EXPECTS = 1 << 20  # from here on it asks first whether the body is wanted


@functools.cache
def version():
    return subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def read(args):
    """(headers, pieces of the body, {option: value}) of the arguments, or None where one is not known here."""
    headers, data, options = [], [], {}
    words = iter(args)
    for word in words:
        value = "" if word == "-I" else next(words, None)
        if value is None or "\r" in value or "\n" in value:
            return None
        if word == "-H" and re.match(r"[\w-]+: *[^\s@;]", value) and not value.lower().startswith("host:"):
            headers.append(value)
            continue
        if word in ("-d", "--data", "--data-raw", "--json") and not value.startswith("@"):
            data.append(value)
        elif not (word == "-I" or word == "-X" and value != "HEAD" or word == "-u" and ":" in value):
            return None
        options[word] = value
    sent_alone = "--json" in options and len(data) == 1 or "--json" not in options
    return (headers, data, options) if sent_alone and ("-I" not in options or not data and "-X" not in options) else None


def request_of(url, args):
    """(address, method, bytes) of the request, or None."""
    found, known = ADDRESS.match(url), read(args)
    if not found or OWN.search(url) or known is None:
        return None
    headers, data, options = known
    host, port, target = found.group(1), found.group(2), found.group(3) or "/"
    body = "&".join(data).encode()
    if len(body) >= EXPECTS:
        return None
    method = "HEAD" if "-I" in options else options.get("-X", "POST" if data else "GET")
    own = {"Host": "%s:%s" % (host, port), "User-Agent": "curl/" + version(), "Accept": "*/*"}
    if "-u" in options:
        own["Authorization"] = "Basic " + base64.b64encode(options["-u"].encode()).decode()
    if data:
        own["Content-Length"] = str(len(body))
        own["Content-Type"] = "application/x-www-form-urlencoded"
    if "--json" in options:
        own["Content-Type"] = own["Accept"] = "application/json"
    names = [h.split(":")[0].lower() for h in headers]
    lines = ["%s: %s" % each for each in own.items() if each[0].lower() not in names]
    head = "\r\n".join(["%s %s HTTP/1.1" % (method, target)] + lines + headers)
    return (host, int(port)), method, head.encode() + b"\r\n\r\n" + body


def ask_itself(url, args, timeout):
    """(status, headers, body), or None where real curl has to ask. An answer that is not whole is an OSError or an
    http.client.HTTPException."""
    made = request_of(url, args)
    if made is None:
        return None
    address, method, sent = made
    with socket.create_connection(address, timeout) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            s.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what refuses a body early may have answered
        with http.client.HTTPResponse(s, method=method) as response:
            response.begin()
            return response.status, response.getheaders(), response.read()


def ask_curl(url, args, stdin, timeout):
    p = subprocess.run(["curl", "-s", "-S", "-i", "--max-time", str(timeout), *args, url],
                       capture_output=True, input=stdin)
    assert p.returncode == 0, (p.returncode, p.stderr, url)
    head, _, body = p.stdout.partition(b"\r\n\r\n")
    while re.match(rb"HTTP/1.1 1\d\d", head):
        head, _, body = body.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split()[1]), [tuple(l.split(": ", 1)) for l in lines[1:]], body


def ask(url, args, stdin=None, timeout=120):
    """(status, headers, body); an AssertionError where there is none that is whole. timeout: in seconds, of curl for all
    of it, else for each piece."""
    got = None
    if stdin is None and not os.environ.get("SUBTOKEN_CURL"):
        try:
            got = ask_itself(url, args, timeout)
        except (OSError, http.client.HTTPException) as e:
            raise AssertionError((repr(e), url)) from e
    return got or ask_curl(url, args, stdin, timeout)
