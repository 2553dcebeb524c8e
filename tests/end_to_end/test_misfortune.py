"""A study of 20 trials whose terminal closes, whose folder is renamed, whose disk is full, whose clock jumps.

Each comes twice. A study ends with an error that says what to do; resumed, it has every trial exactly once.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.interrupted_study import LOG, STUDY
from tests.end_to_end.processes import alive, command_of, descendants
from tests.end_to_end.progress import events_so_far, num_epochs_so_far, wait_for_epochs
from tests.end_to_end.whole_tables import assert_whole

NUM_TRIALS = 20
LONG = (
    STUDY.replace("trials: 8", f"trials: {NUM_TRIALS}")
    .replace("epochs: 4", "epochs: 2")
    .replace("grace_epochs: 2", "grace_epochs: 1")
)
DAY_S = 24 * 3600
SERVERS = (b"raylet", b"gcs_server")
EPOCHS_FIRST, EPOCHS_MORE = 6, 6
"""After how many epochs the first misfortune comes, and how many later the second."""

JUMPING_CLOCK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t offset(void) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = dlsym(RTLD_NEXT, "clock_gettime");
    int status = original(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += offset();
    return status;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *result) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (result) *result = exact.tv_sec;
    return exact.tv_sec;
}
"""
"""A clock that goes by the seconds in a file: it jumps when the file is written."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_terminal_that_closes_ends_a_study_as_ctrl_c_does(cli):
    cli.write("study.yaml", LONG)
    for more, shell_tells in ((EPOCHS_FIRST, False), (EPOCHS_MORE, True)):
        with on_a_terminal(cli, "run", "study.yaml") as (process, hang_up):
            wait_for_epochs(process, cli.folder / LOG, num_epochs_so_far(cli.folder / LOG) + more)
            if shell_tells:  # as a shell does for the whole process group, Ray's processes among them
                os.killpg(process.pid, signal.SIGHUP)
            hang_up()
            assert process.wait(timeout=120) == 130
        assert not (cli.folder / "results/interrupted/lease.json").exists()
        assert "interrupted" in cli("status", "study.yaml")
    cli("run", "study.yaml")
    assert_whole(cli.folder, NUM_TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_study_that_ignores_the_hangup_outlives_its_terminal(cli):
    cli.write("study.yaml", STUDY)
    with on_a_terminal(cli, "run", "study.yaml", ignore_hangup=True) as (process, hang_up):
        wait_for_epochs(process, cli.folder / LOG, 3)
        hang_up()
        assert process.wait(timeout=400) == 0
    assert_whole(cli.folder, 8)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_folder_that_is_renamed_ends_the_study_with_the_remedy(cli):
    cli.write("study.yaml", LONG)
    folder, elsewhere = cli.folder / "results/interrupted", cli.folder / "results/renamed"
    for more in (EPOCHS_FIRST, EPOCHS_MORE):
        process = cli.start("run", "study.yaml")
        wait_for_epochs(process, cli.folder / LOG, num_epochs_so_far(cli.folder / LOG) + more)
        folder.rename(elsewhere)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 1, printed
        assert "was deleted, moved or replaced while the study ran; move the study's folder back and run" in printed
        assert "Traceback" not in printed
        assert not folder.exists(), sorted(folder.rglob("*"))  # `mv renamed interrupted` would move into it
        elsewhere.rename(folder)
    cli("run", "study.yaml")
    assert_whole(cli.folder, NUM_TRIALS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs root and mount for a small disk")
def test_a_disk_that_is_full_while_tables_are_written_loses_nothing(cli):
    disk = cli.folder / "results"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        cli.write("study.yaml", LONG)
        for more in (EPOCHS_FIRST, EPOCHS_MORE):
            process = cli.start("run", "study.yaml")
            wait_for_epochs(process, cli.folder / LOG, num_epochs_so_far(cli.folder / LOG) + more)
            fill(disk)
            printed, _ = process.communicate(timeout=200)
            assert process.returncode == 1, printed
            assert "No space left on device; free some space" in printed
            assert "Traceback" not in printed
            (disk / "filler").unlink()
        cli("run", "study.yaml")
        assert_whole(cli.folder, NUM_TRIALS)
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tables_that_cannot_be_written_end_the_study_and_no_trial_runs_twice(cli):
    cli.write("study.yaml", STUDY)
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, 2)
    table = cli.folder / "results/interrupted/trials.parquet"
    table.unlink(missing_ok=True)
    (table / "in the way").mkdir(parents=True)
    printed, _ = process.communicate(timeout=200)
    assert process.returncode == 1, printed
    assert "trials.parquet: Is a directory; free some space or set another folder, then run again" in printed
    assert "Traceback" not in printed
    shutil.rmtree(table)
    cli("run", "study.yaml")
    assert_whole(cli.folder, 8)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler for a clock that jumps")
@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_by_a_day_changes_nothing(cli, days):
    offset = cli.write("offset", "0")
    cli.write("clock.c", JUMPING_CLOCK)
    library = cli.folder / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, cli.folder / "clock.c", "-ldl"], check=True)
    cli.environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}
    cli.write("study.yaml", LONG)
    started = time.time()
    process = cli.start("run", "study.yaml")
    wait_for_epochs(process, cli.folder / LOG, EPOCHS_FIRST)
    offset.write_text(str(days * DAY_S))
    wait_for_epochs(process, cli.folder / LOG, EPOCHS_FIRST + EPOCHS_MORE)
    os.kill(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    # Forward it jumps once more; backward it is set right again. Ray waits by the kernel's clock, which does not jump,
    # until times that this clock gives, and waits actively where these have passed.
    offset.write_text(str(2 * DAY_S if days > 0 else 0))
    printed = cli("run", "study.yaml")
    assert f"{NUM_TRIALS} of {NUM_TRIALS} trials ended" in printed
    assert_whole(cli.folder, NUM_TRIALS)
    times = [event["time"] - started for event in events_so_far(cli.folder / LOG)]
    assert any(abs(moment - days * DAY_S) < DAY_S / 2 for moment in times)  # or the clock has not jumped
    for command in ("results", "report", "status"):
        cli(command, "study.yaml")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_ray_starts_ends_a_study_as_ctrl_c_does(cli, number):
    cli.write("study.yaml", STUDY)
    for delay_s in (0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0):
        process = cli.start("run", "study.yaml")
        while process.stdout.readline() != "starting Ray ...\n":
            assert process.poll() is None
        time.sleep(delay_s)
        servers = [pid for pid in descendants(process.pid) if program_of(pid) in SERVERS]
        os.killpg(process.pid, number)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 130, (delay_s, printed)
        assert "Traceback" not in printed
        assert "nothing is lost. The same command" in printed, (delay_s, printed)
        assert "SIGTERM" not in printed
        assert not (cli.folder / "results/interrupted/lease.json").exists()
        wait_until_gone(servers)
    cli("run", "study.yaml")
    assert_whole(cli.folder, 8)


@contextmanager
def on_a_terminal(
    cli, *arguments: str, ignore_hangup: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """A command that leads the session of a terminal, and what closes that terminal."""
    ours, theirs = pty.openpty()

    def lead_the_session() -> None:
        os.login_tty(theirs)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignore_hangup else signal.SIG_DFL)

    process = subprocess.Popen(
        [cli.program, *arguments], cwd=cli.folder, env=cli.environment, preexec_fn=lead_the_session
    )
    os.close(theirs)
    reader = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL)  # a command waits if nobody reads
    os.close(ours)

    def hang_up() -> None:
        reader.kill()
        reader.wait()

    try:
        yield process, hang_up
    finally:
        hang_up()
        if process.poll() is None:
            process.kill()
            process.wait()


def program_of(pid: int) -> bytes:
    return command_of(pid).split(b"\0")[0].rpartition(b"/")[2]


def wait_until_gone(pids: list[int]) -> None:
    """Wait for Ray's servers; one may have been an agent that the raylet was just starting under its own name."""
    deadline = time.monotonic() + 30
    while any(alive(pid) and program_of(pid) in SERVERS for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.1)


def fill(disk: Path) -> None:
    """Take all room of a disk but for a few events, so that tables are what fails."""
    room = 6 * 4096
    (disk / "filler").write_bytes(b"0" * (shutil.disk_usage(disk).free - room))
