#!/bin/sh
# nginx 1.22.1 with proxy_cache_revalidate on: when an upstream answers 304, the stored response
# lives on with the header fields of the first 200. What the 304 says anew (RFC 9111 section 4.3.4:
# the cache MUST update the stored fields with those of the 304) is thrown away, and no setting
# takes it over. So a value that changes while the body does not, a heartbeat, a signature with a
# date, a new Cache-Control, stands still behind such a cache, though the upstream is asked.
#
# Seen 2026-11-29 (Debian 12): the upstream counts its answers in X-Count; behind nginx it stays 1.
#   upstream: 200 count=1, 304 count=2, 304 count=3
#   client:   200 count=1 MISS, 200 count=1 REVALIDATED, 200 count=1 REVALIDATED
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cd "$dir"
apt-get download -qq 'nginx=1.22.1-*' >apt.log 2>&1
dpkg -x nginx_*.deb root
cat >look.py <<'PY'
import http.client, http.server, socket, subprocess, sys, threading, time
count, upstream = 0, []
class Upstream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count
        count += 1
        known = self.headers.get("If-None-Match") == '"same"'
        upstream.append("%d count=%d" % (304 if known else 200, count))
        self.send_response(304 if known else 200)
        self.send_header("ETag", '"same"')
        self.send_header("Cache-Control", "max-age=1")
        self.send_header("X-Count", str(count))
        if not known:
            self.send_header("Content-Length", "5")
        self.end_headers()
        if not known:
            self.wfile.write(b"hello")
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=server.serve_forever, daemon=True).start()
conf = """daemon off; master_process off; pid nginx.pid; error_log error.log;
events {}
http {
  access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
  uwsgi_temp_path t4; scgi_temp_path t5;
  proxy_cache_path cache keys_zone=one:1m;
  server {
    listen unix:front.sock;
    location / {
      proxy_cache one; proxy_cache_revalidate on;
      add_header X-Cache $upstream_cache_status;
      proxy_pass http://127.0.0.1:%d;
    }
  }
}
""" % server.server_port
open("nginx.conf", "w").write(conf.replace("unix:front.sock", "unix:" + sys.argv[1] + "/front.sock"))
nginx = subprocess.Popen(["root/usr/sbin/nginx", "-p", sys.argv[1], "-c", "nginx.conf", "-e", "error.log"])
client = []
try:
    for turn in range(3):
        for tries in range(100):
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(sys.argv[1] + "/front.sock")
                break
            except OSError:
                time.sleep(0.1)
        c = http.client.HTTPConnection("front")
        c.sock = s
        c.request("GET", "/")
        r = c.getresponse()
        r.read()
        client.append("%d count=%s %s" % (r.status, r.headers["X-Count"], r.headers["X-Cache"]))
        c.close()
        time.sleep(2.1)
finally:
    nginx.terminate()
    nginx.wait()
print("upstream: " + ", ".join(upstream))
print("client:   " + ", ".join(client))
PY
python3 look.py "$dir" >seen
cat seen
cat >expected <<'TEXT'
upstream: 200 count=1, 304 count=2, 304 count=3
client:   200 count=1 MISS, 200 count=1 REVALIDATED, 200 count=1 REVALIDATED
TEXT
diff -u expected seen
