"""A TCP proxy between an issuer and PostgreSQL that breaks as networks do: it cuts connections now or after a number of
bytes, holds back what it carries (a partition: nothing arrives, nothing is refused), delays it, or refuses to connect.
The test says what and when; one thread does it."""
import os, selectors, socket, struct, threading, time

UP, DOWN = 0, 1  # to the server, to the client
RESET = struct.pack("ii", 1, 0)


class Half:
    """One direction of one connection."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.held = []  # (when it may leave, bytes)
        self.ended = False  # the source has said its last
        self.carried = self.counted = 0
        self.counts = False


class Pair:
    def __init__(self, client, server):
        self.halves = Half(client, server), Half(server, client)
        self.sockets = client, server
        self.lost = False  # a byte of it was swallowed


class BreakingProxy:
    """Listens on 127.0.0.1, at self.port, and carries to the port that target says."""

    def __init__(self, target):
        self.target = target
        self.lock = threading.RLock()
        self.selector = selectors.DefaultSelector()
        self.pairs, self.registered = [], {}
        self.listener = None
        self.partition = [False, False]
        self.delay = 0.0
        self.limit, self.marker, self.swallows, self.times = None, None, False, 1
        self.broken = 0  # connections that break_after has ended
        self.carried = [0, 0]
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        self.selector.register(self.wake_read, selectors.EVENT_READ)
        self.port = 0
        self.running = True
        self.accept()
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    # ---- what a test says ----

    def cut(self):
        """Every connection ends at once, in the middle of whatever it carries."""
        with self.lock:
            for pair in list(self.pairs):
                self.end(pair)
        self.wake()

    def break_after(self, up=None, down=None, marker=None, swallow=False, times=1):
        """A connection is cut once it has carried so many bytes in a direction, counted from now on, or from the moment on
        at which a chunk that it carries to the server has marker in it (that chunk counts): the first one, or so many
        times. swallow: instead of being cut it stays, and carries nothing any more. None, None: no connection is."""
        with self.lock:
            self.limit = None if up is None and down is None else (up, down)
            self.marker, self.swallows, self.broken, self.times = marker, swallow, 0, times
            for pair in self.pairs:
                for half in pair.halves:
                    half.counted, half.counts = 0, marker is None

    def hold(self, up=True, down=True):
        """A partition: connections stay, new ones seem to come about, nothing arrives."""
        with self.lock:
            self.partition = [up, down]

    def heal(self, deliver=True):
        """The partition is over. deliver: what was held back arrives, as TCP sends it again; else the connections
        that lost something are gone."""
        with self.lock:
            self.partition = [False, False]
            for pair in list(self.pairs):
                if pair.lost or not deliver and any(half.held for half in pair.halves):
                    self.end(pair)
        self.wake()

    def refuse(self, refuses=True):
        """Nobody listens, as when the machine's firewall answers. The connections that there are go on."""
        with self.lock:
            if refuses and self.listener:
                self.selector.unregister(self.listener)
                self.listener.close()
                self.listener = None
            elif not refuses and not self.listener:
                self.accept()
        self.wake()

    def counted(self):
        """The most that a connection has carried, each way, since break_after."""
        with self.lock:
            return [max((pair.halves[way].counted for pair in self.pairs), default=0) for way in (UP, DOWN)]

    def connections(self):
        with self.lock:
            return len(self.pairs)

    def close(self):
        with self.lock:
            self.running = False
            self.refuse()
            self.cut()
        self.thread.join()
        self.selector.close()
        os.close(self.wake_read), os.close(self.wake_write)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()

    # ---- what the thread does ----

    def wake(self):
        os.write(self.wake_write, b"x")

    def accept(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(256)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.selector.register(self.listener, selectors.EVENT_READ)

    def loop(self):
        while self.running:
            ready = self.selector.select(self.pause())
            with self.lock:
                for key, _ in ready:
                    if key.fileobj == self.wake_read:
                        os.read(self.wake_read, 4096)
                    elif key.fileobj is self.listener:
                        self.connect()
                    elif key.fileobj in self.registered:
                        self.read(*self.registered[key.fileobj])
                for pair in list(self.pairs):
                    for way in (UP, DOWN):
                        self.pass_on(pair, way)

    def pause(self):
        """Until the next bytes may leave, or somebody who could not take them may be able to."""
        with self.lock:
            waiting = any(half.held and not self.partition[way]
                          for pair in self.pairs if not pair.lost for way, half in enumerate(pair.halves))
            return 0.005 if waiting else 1.0

    def connect(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            return
        pair = Pair(client, server)
        for way, half in enumerate(pair.halves):
            half.source.setblocking(False)
            half.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            half.counts = self.marker is None
            self.registered[half.source] = pair, way
            self.selector.register(half.source, selectors.EVENT_READ)
        self.pairs.append(pair)

    def read(self, pair, way):
        half = pair.halves[way]
        try:
            data = half.source.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self.end(pair)
            return
        if not data:
            half.ended = True
            self.forget(half.source)
        elif way == UP and self.marker is not None and self.marker in data:
            for each in pair.halves:
                each.counts = True
        half.held.append((time.monotonic() + self.delay, data))

    def pass_on(self, pair, way):
        half = pair.halves[way]
        while half.held and pair in self.pairs and not pair.lost and not self.partition[way]:
            when, data = half.held[0]
            if when > time.monotonic():
                return
            if not data:
                try:
                    half.target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                half.held.pop(0)
                if all(each.ended and not each.held for each in pair.halves):
                    self.end(pair, reset=False)
                return
            left = self.left(half, way)
            try:
                sent = 0 if left == 0 else half.target.send(data[:left])
            except BlockingIOError:
                return
            except OSError:
                self.end(pair)
                return
            half.carried += sent
            self.carried[way] += sent
            half.counted += sent if half.counts else 0
            half.held[0] = (when, data[sent:])
            if sent == len(data):
                half.held.pop(0)
            if self.left(half, way) == 0:
                self.broken += 1
                pair.lost = True
                if self.broken >= self.times:
                    self.limit = None
                if not self.swallows:
                    self.end(pair)

    def left(self, half, way):
        """How many bytes it may still carry; None: any number."""
        if self.limit is None or self.limit[way] is None or not half.counts:
            return None
        return max(0, self.limit[way] - half.counted)

    def forget(self, one):
        if self.registered.pop(one, None):
            self.selector.unregister(one)

    def end(self, pair, reset=True):
        if pair not in self.pairs:
            return
        self.pairs.remove(pair)
        for one in pair.sockets:
            self.forget(one)
            if reset and one is pair.sockets[0]:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
