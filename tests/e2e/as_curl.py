"""What curl would send for the arguments that most tests give it, from this process: a curl of its own for each request
takes longer to start than the server to answer. Anything else is None here, and real curl's. test_as_curl.py holds
both against each other; SUBTOKEN_CURL=1 leaves all to the real one."""
import base64, functools, http.client, os, re, socket, subprocess

ADDRESS = re.compile(r"http://(127\.0\.0\.1|localhost):(\d+)(/[!-~]*)?$")
# curl reads these in a URL itself, or leaves a path without its dots.
OWN = re.compile(r"[#{}\[\]]|/\.")
EXPECTS = 1 << 20  # from here on it asks first whether the body is wanted


@functools.cache
def version():
    return subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def request_of(url, args):
    """(address, method, bytes) of the request, or None."""
    found = ADDRESS.match(url)
    if not found or OWN.search(url) or os.environ.get("SUBTOKEN_CURL"):
        return None
    headers, data, method, user, json = [], [], None, None, False
    words = iter(args)
    for word in words:
        value = "" if word == "-I" else next(words, None)
        if value is None or "\r" in value or "\n" in value:
            return None
        if word == "-H" and re.match(r"[\w-]+: *[^\s@;]", value):
            headers.append(value)
        elif word in ("-d", "--data", "--data-raw", "--json") and not value.startswith("@"):
            if word == "--json" and args.count("--json") > 1:
                return None
            json = json or word == "--json"
            data.append(value)
        elif word == "-X":
            method = value
        elif word == "-u" and ":" in value:
            user = value
        elif word == "-I":
            method = method or "HEAD"
        else:
            return None
    if data and "-I" in args or json and len(data) > 1:
        return None
    body = "&".join(data).encode() if data else None
    if body is not None and len(body) >= EXPECTS:
        return None
    method = method or ("POST" if data else "GET")
    if method == "HEAD" and "-I" not in args:
        return None  # it waits for a body
    host, port, target = found.group(1), found.group(2), found.group(3) or "/"
    names = [h.split(":")[0].lower() for h in headers]
    lines = ["%s %s HTTP/1.1" % (method, target)]

    def unless_named(name, value):
        if name.lower() not in names:
            lines.append("%s: %s" % (name, value))

    if "host" in names:
        return None
    lines.append("Host: %s:%s" % (host, port))
    if user is not None:
        unless_named("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    unless_named("User-Agent", "curl/" + version())
    if not json:
        unless_named("Accept", "*/*")
    else:
        unless_named("Content-Type", "application/json")
        unless_named("Accept", "application/json")
    lines += headers
    if body is not None:
        unless_named("Content-Length", str(len(body)))
        if not json:
            unless_named("Content-Type", "application/x-www-form-urlencoded")
    return (host, int(port)), method, "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def ask(url, args, timeout):
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
