"""Accepts connections, as many at a time as the node asks for."""
import collections
import threading
import time

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds, after a failure
AT_ONCE = 0.01  # seconds in which nobody has connected, so that the failure is the transport's own
PATIENCE = 60.0  # seconds of such failures after which the transport is started anew


class Accepts:
    """Pairs requests of the node with connections.

    Nothing can interrupt a method that waits for a connection. So a request that
    is cancelled leaves its thread behind, and what the thread gets is for the
    next request.
    """

    def __init__(self, accept, deliver, failed):
        """accept waits for a connection, deliver(request, connection) hands it over, failed(error) is told."""
        self._accept = accept
        self._deliver = deliver
        self._failed = failed
        self._lock = threading.Lock()
        self._wanted = collections.deque()  # requests
        self._ready = collections.deque()  # connections without a request
        self._threads = 0
        self._since = None  # when the failures began

    def add(self, request):
        """Takes a request."""
        with self._lock:
            if self._ready:
                work, args = self._deliver, (request, self._ready.popleft())
            else:
                self._wanted.append(request)
                if self._threads >= len(self._wanted):
                    return
                self._threads += 1
                work, args = self._run, ()
        threading.Thread(target=work, args=args, name='accept', daemon=True).start()

    def cancel(self, number):
        """Forgets a request."""
        with self._lock:
            self._wanted = collections.deque(r for r in self._wanted if r['id'] != number)

    def failing(self):
        """For how many seconds it has failed at once, and done nothing else."""
        since = self._since
        return 0 if since is None else time.monotonic() - since

    def _run(self):
        pause = FIRST_PAUSE
        while True:
            start = time.monotonic()
            try:
                conn = self._accept()
            except Exception as e:
                now = time.monotonic()
                self._since = (self._since or now) if now - start < AT_ONCE else None
                self._failed(e)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause, self._since = FIRST_PAUSE, None
            with self._lock:
                request = self._wanted.popleft() if self._wanted else None
                if request is None:
                    self._ready.append(conn)
                leave = self._threads > len(self._wanted)
                self._threads -= leave
            if request is not None:
                self._deliver(request, conn)
            if leave:
                return
