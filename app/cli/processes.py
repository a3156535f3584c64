"""Child processes: started, their output passed on, restarted, stopped for good."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from app.cli.heartbeat import BEAT_SECONDS, SILENT_BEATS, falls_silent
from app.cli.output import OURS
from app.domain.errors import CannotStart

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds before a restart: doubled each time up to the longest, so that a child which can't
run costs next to nothing, and one that fell over once is back soon."""
STEADY_AFTER = 60.0
"""Seconds of life after which a child counts as sound again and the pauses start anew."""
LONGEST_LINE = 1 << 20
"""Bytes of one line of output that is passed on; a longer one is cut."""
SWEEP = 1.0
"""Seconds that the kernel may take to be done with processes that were sent SIGKILL."""
_PR_SET_PDEATHSIG = 1

Say = Callable[[str, str], None]
"""Takes a process's name and one line of its output."""


class Process:
    """One child in a process group of its own, so that nothing it starts can outlive it.

    Without `say` its output goes where ours goes. `ways_to_stop` are signals with the seconds
    that each is given before the next; SIGKILL to the whole group always comes last. A child
    with a `heartbeat` gets `--heartbeat` with the pipe to write to, and is ended when it falls
    silent.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        say: Say | None = None,
        environment: Mapping[str, str] | None = None,
        ways_to_stop: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 3.0),),
        heartbeat: bool = False,
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._say = say
        self._ways_to_stop = ways_to_stop
        self._heartbeat = heartbeat
        self._child: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the child as it runs now."""
        return self._child.pid if self._child and self._child.returncode is None else None

    async def start(self) -> None:
        """Starts the child. Raises CannotStart where its program can't be run."""
        if not self._heartbeat:
            await self._execute(self._command)
            return
        ours, childs = os.pipe()
        try:
            await self._execute([*self._command, "--heartbeat", str(childs)], childs)
            self._watch = asyncio.create_task(self._end_when_silent(ours))
        except CannotStart:
            os.close(ours)
            raise
        finally:
            os.close(childs)

    async def _execute(self, command: Sequence[str], *pipes: int) -> None:
        try:
            self._child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._say is not None else None,
                stderr=asyncio.subprocess.STDOUT if self._say is not None else None,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(self._environment or {})},
                start_new_session=True,
                pass_fds=pipes,
                preexec_fn=partial(_end_with_parent, self._ways_to_stop[0][0]),
                limit=LONGEST_LINE,
            )
        except OSError as error:
            raise CannotStart(f"{command[0]} can't be run: {error.strerror}.") from None
        if self._child.stdout is not None and self._say is not None:
            self._output = asyncio.create_task(self._pass_on(self._child.stdout, self._say))

    async def wait(self) -> int:
        """Its exit status, once it has ended and all its output is passed on."""
        if self._child is None:
            return 0
        status = await self._child.wait()
        if self._output is not None:
            await asyncio.wait((self._output,), timeout=SWEEP)
        return status

    async def keep_running(self) -> None:
        """Starts it again whenever it ends, until `stop`; says so each time."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while not self._stopping:
            began = loop.time()
            status = await self.wait()
            if self._stopping:
                return
            self._kill_group()
            if loop.time() - began > STEADY_AFTER:
                pause = FIRST_PAUSE
            self._remark(f"{self.name} {ended(status)}; starting it again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            if not self._stopping:
                with suppress(CannotStart):
                    await self.start()

    async def stop(self) -> None:
        """Returns when neither it nor anything that it started runs any more."""
        self._stopping = True
        if self._child is None:
            return
        for number, patience in self._ways_to_stop:
            if self._child.returncode is not None:
                break
            with suppress(ProcessLookupError):
                self._child.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._child.wait()), patience)
        if self._child.returncode is None:
            self._remark(f"{self.name} did not stop when asked to; killed it")
        self._kill_group()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), SWEEP)

    async def _end_when_silent(self, pipe: int) -> None:
        try:
            if await falls_silent(pipe):
                silence = SILENT_BEATS * BEAT_SECONDS
                self._remark(f"{self.name} has said nothing for {silence:g} s; killing it")
                self._kill_group()
        finally:
            os.close(pipe)

    def _kill_group(self) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _remark(self, sentence: str) -> None:
        if self._say is not None:
            self._say(OURS, sentence)
        else:
            import structlog  # which would keep what is started here waiting

            structlog.get_logger("umbel").warning(sentence)

    async def _pass_on(self, output: asyncio.StreamReader, say: Say) -> None:
        while True:
            try:
                line = await output.readline()
            except ValueError:  # over LONGEST_LINE: what was read of it is dropped
                continue
            if not line:
                return
            say(self.name, line.decode(errors="replace").rstrip("\r\n"))


def ended(status: int) -> str:
    """What became of a process, in words: `ended with status 1`, `was killed by SIGKILL`."""
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_LIBC = _libc()


def _end_with_parent(number: signal.Signals) -> None:
    # Runs in the child between fork and exec. Where the supervisor itself is killed outright,
    # Linux then asks the child to stop; elsewhere it would stay behind.
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
