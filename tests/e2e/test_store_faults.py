"""What can befall the file that holds the journal: full, read-only, damaged, cut, from another program.
Clear words, nothing made worse, and `sluice runs check` says what is whole."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

import kill_shapes
from conftest import ROOT, run_id_in
from test_durable import ends_with, kill, plan_of, start_until, waiting

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MNT_DETACH = 1, 32, 2
STEPS = 300  # of MANY
MUST_MOUNT = "SLUICE_TEST_MUST_MOUNT"  # set: no test does without a disk of its own

# Each `bulk` puts 4 KB, which do not compress, into the journal. `counted.exec` is `once`: what is done
# twice shows as two rows.
MANY = """
sluice: 1
tools:
  numbers: {kind: process, stdout: lines, effect: pure, command: [seq, "1", "300"]}
  random: {kind: sql}
  counted: {kind: sql, database: counted.db, init: create table if not exists counted (id)}
steps:
  line: {tool: numbers}
  bulk:
    for_each: "{{ steps.line.output }}"
    tool: random.query
    with: {sql: "select hex(randomblob(2000)) as bytes"}
  row:
    for_each: "{{ steps.bulk.output }}"
    tool: counted.exec
    with: {sql: "insert into counted values (?)", args: ["{{ index }}"]}
  total:
    after: [row]
    tool: counted.query
    with: {sql: "select count(*) as n, count(distinct id) as different from counted"}
result: "{{ steps.total.output[0].n }} {{ steps.total.output[0].different }}"
"""


def mount(kind, target, flags, data):
    if LIBC.mount(kind.encode(), os.fsencode(target), kind.encode(), flags, data.encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of its own. Mounting is for root."""
    folder.mkdir()
    mount("tmpfs", folder, 0, f"size={size}")
    try:
        yield folder
    finally:
        LIBC.umount2(os.fsencode(folder), MNT_DETACH)


def resize(folder, flags, size):
    mount("tmpfs", folder, MS_REMOUNT | flags, f"size={size}")


def mount_error(folder):
    """Why a file system cannot be mounted; None when it can."""
    try:
        with small_disk(folder, "64k"):
            return None
    except OSError as error:
        return os.strerror(error.errno)


def has_disks(tmp_path):
    """Whether a test can have real disks. Where everything is to be tested (.ci/run), it must."""
    why = mount_error(tmp_path / "probe")
    if why is not None and os.environ.get(MUST_MOUNT):
        pytest.fail(
            f"full and read-only disks are tested on a tmpfs, and none can be mounted here ({why}): run "
            ".ci/run as root with CAP_SYS_ADMIN, or `make test`, which does without what it cannot have")
    return why is None


def test_what_calls_everything_insists_on_disks(monkeypatch, tmp_path):
    assert MUST_MOUNT in (ROOT / ".ci" / "run").read_text()
    monkeypatch.setattr(sys.modules[__name__], "mount", no_mount)
    monkeypatch.delenv(MUST_MOUNT, raising=False)
    (tmp_path / "a").mkdir()
    assert not has_disks(tmp_path / "a")
    monkeypatch.setenv(MUST_MOUNT, "1")
    (tmp_path / "b").mkdir()
    with pytest.raises(pytest.fail.Exception, match="as root with CAP_SYS_ADMIN"):
        has_disks(tmp_path / "b")


def no_mount(*_):
    raise OSError(errno.EPERM, "mount")


def limited_files(size_bytes):
    """For whoever is not root: no file may grow beyond this."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    return limit


def rows_of(done):
    return done.stdout.split()


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(sluice, tmp_path):
    mounts = has_disks(tmp_path)
    plan = sluice.write("plan.yaml", MANY)
    if not mounts:
        place = {"SLUICE_JOURNAL": str(tmp_path / "journal.db")}
        process = sluice.start("run", plan, preexec_fn=limited_files(400_000))
        out, err = (text.decode() for text in process.communicate(timeout=60))
        done = subprocess.CompletedProcess([], process.returncode, out, err)
        stop_and_go_on(sluice, done, place)
        return
    with small_disk(tmp_path / "disk", "700k") as disk:
        place = {"SLUICE_JOURNAL": str(disk / "journal.db")}
        stop_and_go_on(sluice, sluice("run", plan, env=place), place, lambda: resize(disk, 0, "64m"))


def stop_and_go_on(sluice, done, place, make_room=lambda: None):
    assert done.returncode not in (0, -signal.SIGXFSZ, -signal.SIGSEGV), done.stdout + done.stderr
    assert "DISK_FULL" in done.stderr or "IO" in done.stderr, done.stderr
    run_id = run_id_in(done.stderr)
    assert "sluice resume" in done.stderr
    make_room()
    ends_with(sluice("runs", "check", env=place), 0)
    resumed = sluice("resume", run_id, env=place)
    while resumed.returncode == 4:  # a `once` call whose end found no room in the journal
        doubts = sluice("runs", "show", run_id, "--json", env=place)
        settle_by_the_table(sluice, run_id, doubts.stdout, place)
        resumed = sluice("resume", run_id, env=place)
    assert rows_of(ends_with(resumed, 0)) == [str(STEPS), str(STEPS)]


def settle_by_the_table(sluice, run_id, shown, place):
    with sqlite3.connect(sluice.folder / "counted.db") as database:
        done = {row[0] for row in database.execute("select id from counted")}
    for doubt in json.loads(shown)["open"]["doubts"]:
        index = int(doubt["task"].split("[")[1].split("]")[0])
        verdict = ["--done", "{}"] if index in done else ["--retry"]
        ends_with(sluice("resolve", run_id, doubt["task"], *verdict, env=place), 0)


def test_no_room_from_the_start(sluice, tmp_path):
    if not has_disks(tmp_path):
        process = sluice.start("run", sluice.write("plan.yaml", MANY),
                               preexec_fn=limited_files(8192))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1 and b"error" in err, err
        return
    with small_disk(tmp_path / "disk", "16k") as disk:
        place = {"SLUICE_JOURNAL": str(disk / "journal.db")}
        done = sluice("run", sluice.write("plan.yaml", MANY), env=place)
        ends_with(done, 1, "DISK_FULL", "SLUICE_JOURNAL")
        assert not (sluice.folder / "counted.db").exists() or counted(sluice) == 0


def counted(sluice):
    with sqlite3.connect(sluice.folder / "counted.db") as database:
        return database.execute("select count(*) from counted").fetchone()[0]


WITH_A_PAUSE = """
steps:
  a: {tool: put, with: {args: [a]}}
  ask: {after: [a], wait: {signal: go}}
  b: {after: [ask], tool: put, with: {args: [b]}}
"""


def waiting_run(sluice):
    """The id of a run that waits for a signal and that no process has."""
    process, run_id = start_until(sluice, plan_of(sluice, WITH_A_PAUSE), lambda: waiting(sluice))
    kill(process)
    return run_id


def test_a_read_only_store(sluice, tmp_path):
    run_id = waiting_run(sluice)
    writable = {"SLUICE_JOURNAL": str(tmp_path / "journal.db")}
    ends_with(sluice("signal", run_id, "go", "1"), 0)
    if not has_disks(tmp_path):
        assert os.geteuid() != 0, "root must be able to mount a tmpfs"
        for file in tmp_path.glob("journal.db*"):
            file.chmod(0o555 if file.is_dir() else 0o444)
        tmp_path.chmod(0o555)
        try:
            ends_with(sluice("resume", run_id), 1, "journal.db")
        finally:
            tmp_path.chmod(0o755)
            for file in tmp_path.glob("journal.db*"):
                file.chmod(0o755 if file.is_dir() else 0o644)
    else:
        with small_disk(tmp_path / "disk", "8m") as disk:
            for file in tmp_path.glob("journal.db*"):
                (shutil.copytree if file.is_dir() else shutil.copy)(file, disk / file.name)
            resize(disk, MS_RDONLY, "8m")
            place = {"SLUICE_JOURNAL": str(disk / "journal.db")}
            ends_with(sluice("resume", run_id, env=place), 1, "journal.db")
            new = sluice("run", sluice.write("plan.yaml", plan_of(sluice, WITH_A_PAUSE)), env=place)
            ends_with(new, 1, "journal.db")
    assert sluice.ledger() == [("put", "a")]
    ends_with(sluice("resume", run_id, env=writable), 0)
    assert sluice.ledger() == [("put", "a"), ("put", "b")]


def big_and_small(sluice):
    """A store with a run of many pages, and one that waits; their ids."""
    big = run_id_in(ends_with(sluice("run", sluice.write("big.yaml", MANY)), 0).stderr)
    process, small = start_until(sluice, plan_of(sluice, WITH_A_PAUSE),
                                 lambda: any(r["state"] == "waiting" for r in sluice.runs()))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    store = sluice.folder / "journal.db"
    with sqlite3.connect(store) as database:  # everything into the file itself
        database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    return big, small, store


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def page_in_the_middle_of(store, table_bytes):
    """An offset inside a page that holds such bytes."""
    data = store.read_bytes()
    places = []
    at = data.find(table_bytes)
    while at >= 0:
        places.append(at)
        at = data.find(table_bytes, at + 1)
    return places[len(places) // 2]


def test_a_corrupted_page(sluice):
    big, small, store = big_and_small(sluice)
    at = page_in_the_middle_of(store, b"bytes") // 4096 * 4096
    with open(store, "r+b") as file:
        file.seek(at + 1024)
        file.write(os.urandom(2048))
    before = digest(store)
    checked = ends_with(sluice("runs", "check"), 1)
    assert big in checked.stdout + checked.stderr
    for command in (["runs", "show", big], ["replay", big], ["runs", "export", big],
                    ["fork", big, "--from", "total"]):
        ends_with(sluice(*command), 1, "JOURNAL_DAMAGED")
    assert digest(store) == before, "looking at a damaged store changed it"
    ends_with(sluice("signal", small, "go", "1"), 0)
    ends_with(sluice("resume", small), 0)
    assert sluice.ledger() == [("put", "a"), ("put", "b")], "the run beside it is whole"


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_a_truncated_file(sluice, part):
    big, _, store = big_and_small(sluice)
    ledger = sluice.ledger()
    os.truncate(store, int(store.stat().st_size * part))
    before = digest(store)
    checked = sluice("runs", "check")
    assert checked.returncode == 1 and checked.stdout + checked.stderr
    for command in (["resume", big], ["runs"], ["runs", "show", big]):
        done = sluice(*command)
        assert done.returncode in (0, 1, 3), f"{command}: {done.returncode} {done.stderr}"
        if done.returncode == 0:
            assert command != ["resume", big], "a cut run was taken for whole"
    assert digest(store) == before, "looking at a damaged store changed it"
    assert sluice.ledger() == ledger


def test_a_store_from_the_future(sluice):
    run_id = waiting_run(sluice)
    store = sluice.folder / "journal.db"
    with sqlite3.connect(store) as database:
        database.execute("pragma wal_checkpoint(truncate)")
        database.execute("pragma user_version = 99")
        database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    before = digest(store)
    for command in (["resume", run_id], ["runs"], ["runs", "check"], ["signal", run_id, "go", "1"],
                    ["run", "plan.yaml"]):
        ends_with(sluice(*command), 1, "newer")
    assert digest(store) == before
    assert sluice.ledger() == [("put", "a")]


@pytest.mark.parametrize("what", ["database", "text"])
def test_a_file_that_is_no_journal(sluice, what):
    store = sluice.folder / "journal.db"
    if what == "text":
        store.write_text("Dear diary, " * 100)
    else:
        with sqlite3.connect(store) as database:
            database.execute("create table mine (a)")
        database.close()
    before = digest(store)
    plan = sluice.write("plan.yaml", plan_of(sluice, kill_shapes.CHAIN))
    for command in (["run", plan], ["runs"], ["runs", "check"]):
        ends_with(sluice(*command), 1, "journal.db")
    assert digest(store) == before and sluice.ledger() == []


def test_a_folder_that_is_not_there_is_made(sluice):
    place = {"SLUICE_JOURNAL": str(sluice.folder / "a/b/journal.db")}
    ends_with(sluice("runs", env=place), 3, "RUN_UNKNOWN")
    done = sluice("run", sluice.write("plan.yaml", "sluice: 1\nsteps: {a: {value: 1}}\n"), env=place)
    ends_with(done, 0)
    ends_with(sluice("runs", env=place), 0, run_id_in(done.stderr))


def test_many_processes_make_one_store_at_once(sluice):
    plan = sluice.write("plan.yaml", "sluice: 1\nsteps: {a: {value: 1}}\n")
    for turn in range(20):
        place = {"SLUICE_JOURNAL": str(sluice.folder / f"{turn}.db")}
        processes = [sluice.start(*words, env=place)
                     for words in 3 * [["run", "-q", plan], ["runs"]]]
        for process in processes:
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 0 or b"RUN_UNKNOWN" in errors, errors.decode()
