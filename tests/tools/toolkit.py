# SPDX-License-Identifier: GPL-2.0
"""What the tests of ipm(8) share: running it as anybody, in a terminal, and TAP."""

import fcntl
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

BUILD = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
TOP = os.path.dirname(BUILD)
NOBODY = 65534
LIMIT = 120     # seconds that nothing here should ever take

os.environ['LC_ALL'] = 'C.UTF-8'
os.environ['TERM'] = 'xterm'
for name in ('NO_COLOR', 'COLUMNS', 'LINES', 'LD_LIBRARY_PATH'):
    os.environ.pop(name, None)

# Ordinary users may not be able to look into the tree: a place that they can see.
PLACE = tempfile.mkdtemp(prefix='ipm-tool.', dir='/tmp')
os.chmod(PLACE, 0o755)
os.mkdir(PLACE + '/bin')
os.mkdir(PLACE + '/lib')
IPM = PLACE + '/bin/ipm'
shutil.copy(BUILD + '/tools/ipm', IPM)
shutil.copy(BUILD + '/tests/tools/hold', PLACE + '/bin/hold')
for entry in os.listdir(BUILD + '/lib'):
    if '.so' in entry:
        shutil.copy(os.path.join(BUILD, 'lib', entry), PLACE + '/lib/')
os.environ['PATH'] = PLACE + '/bin:' + os.environ['PATH']
os.environ['LD_LIBRARY_PATH'] = PLACE + '/lib'
WORK = PLACE + '/work'
os.mkdir(WORK)
os.chmod(WORK, 0o777)
os.chdir(WORK)


class Skip(Exception):
    """There is a reason why this cannot be tested here."""


class Ran:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


def as_user(uid):
    if uid is None:
        return {}
    return {'user': uid, 'group': uid, 'extra_groups': []}


def ipm(*arguments, data=b'', uid=None, status=0, env=None, raw=False):
    """Runs the command, which has to end with that status (or one of these)."""
    done = subprocess.run([IPM, *arguments], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=LIMIT, check=False,
                          env={**os.environ, **(env or {})}, **as_user(uid))
    wanted = status if isinstance(status, tuple) else (status,)
    assert done.returncode in wanted, (
        f'ipm {arguments}: status {done.returncode}, not {status}: {done.stderr!r}')
    if raw:
        return Ran(done.returncode, done.stdout, done.stderr)
    err = done.stderr.decode('utf-8', 'strict')
    if done.returncode not in (0, 126, 127):
        # One sentence for each thing that went wrong; it says what to do.
        for line in err.splitlines():
            assert line.startswith('ipm'), f'not a sentence of ours: {line!r}'
    return Ran(done.returncode, done.stdout.decode('utf-8', 'strict'), err)


def listed(*arguments, **how):
    """Runs a command with --json and returns its one array."""
    answer = json.loads(ipm(*arguments, '--json', **how).out)
    assert len(answer) == 1, answer
    return next(iter(answer.values()))


def start(*arguments, uid=None, **how):
    return subprocess.Popen([IPM, *arguments], **{
        'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
        **as_user(uid), **how})


class Hold:
    """A process that holds claims, or waits for the last of them."""

    def __init__(self, segment, *claims, waits=False, uid=None):
        words = [str(word) for claim in claims for word in claim]
        self.process = subprocess.Popen(
            [PLACE + '/bin/hold', segment, *words], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, **as_user(uid))
        self.pid = self.process.pid
        for number, _ in enumerate(claims):
            line = self.process.stdout.readline().strip()
            if waits and number == len(claims) - 1:
                assert line == 'waiting', line
            else:
                assert line == 'held', line

    def granted(self):
        assert self.process.stdout.readline().strip() == 'held'

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)
        self.process.stdin.close()
        self.process.stdout.close()


def until(condition, what):
    """Waits for something that has to happen."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f'{what}: did not happen'
        time.sleep(0.02)


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, arguments, columns=80, rows=24, env=None, stdin=None, stdout=None):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = b''

        def own():
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(
            arguments, stdin=self.slave if stdin is None else stdin,
            stdout=self.slave if stdout is None else stdout, stderr=self.slave,
            preexec_fn=own, env={**os.environ, **(env or {})})

    def read(self, seconds=0.0):
        if select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536)

    def wait_for(self, text):
        end = time.monotonic() + LIMIT
        while text not in self.seen:
            assert time.monotonic() < end, f'{text!r} did not come: {self.seen!r}'
            self.read(0.1)

    def keys(self, text):
        os.write(self.master, text)

    def end(self):
        """Its status, when all that it has written was read."""
        end = time.monotonic() + LIMIT
        while self.process.poll() is None:
            assert time.monotonic() < end, f'it does not end: {self.seen!r}'
            self.read(0.05)
        self.after = termios.tcgetattr(self.slave)
        # With the last who could write, what is left to read has an end: an error.
        os.close(self.slave)
        try:
            while select.select([self.master], [], [], LIMIT)[0]:
                self.seen += os.read(self.master, 65536)
        except OSError:
            pass
        os.close(self.master)
        return self.process.returncode


def plain(text):
    """Without what switches colours, and the \r of a terminal."""
    return re.sub(r'\x1b\[[0-9;]*m', '', text.replace('\r', ''))


def lines_of(terminal):
    return plain(terminal.seen.decode('utf-8', 'strict')).splitlines()


def counts():
    path = '/sys/module/ipm/parameters/'
    return {name: int(open(path + name, encoding='ascii').read())
            for name in os.listdir(path) if name.startswith('count_')}


def nothing_left():
    until(lambda: not any(counts().values()), f'all gone, but {counts()}')


def kill_what_is_left():
    """After a failure: what the test has started and not ended."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.readlink(f'/proc/{pid}/exe').startswith(PLACE):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass    # it has ended


def clean_up():
    if not os.path.exists('/sys/module/ipm'):
        return
    left = [f'id:{one["id"]}' for one in listed('ls')]
    if left:
        ipm('rm', '--force', *left)
    nothing_left()


TESTS = []


def test(function):
    TESTS.append(function)
    return function


def main():
    """Runs the tests in the order of the file; KTAP."""
    wanted = sys.argv[1:]
    tests = [one for one in TESTS if not wanted or one.__name__ in wanted]
    seed = int(os.environ.get('SEED', random.SystemRandom().randrange(1 << 32)))
    random.seed(seed)
    print('TAP version 13')
    print(f'# SEED={seed}')
    print(f'1..{len(tests)}', flush=True)
    bad = False
    for number, one in enumerate(tests, 1):
        begin = time.monotonic()
        print(f'#  RUN           {one.__name__} ...', flush=True)
        try:
            one()
            clean_up()
            verdict, why = 'ok', ''
        except Skip as reason:
            verdict, why = 'ok', f' # SKIP {reason}'
        except Exception:   # whatever it is, the other tests go on
            bad = True
            for line in traceback.format_exc().splitlines():
                print('# ' + repr(line)[1:-1])
            verdict, why = 'not ok', ''
            kill_what_is_left()
            try:
                clean_up()
            except Exception as left:
                print(f'# {left!r}')
        print(f'# {time.monotonic() - begin:.1f} s')
        print(f'{verdict} {number} {one.__name__}{why}', flush=True)
    os.chdir('/')
    shutil.rmtree(PLACE)
    sys.exit(bad)
