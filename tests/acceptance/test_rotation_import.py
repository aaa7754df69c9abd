"""Coming from logrotate: the command that imports, and the script that stands in for the program."""

from __future__ import annotations

import fcntl
import gzip
import os
import pwd
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.servers import forked
from tests.servers.command import ROOT, Command

STAND_IN = ROOT / "cron" / "logrotate"
DEBIAN = """\
# as Debian ships it
weekly
rotate 4
create
include {tree}/logrotate.d
"""
NGINX = """\
/var/log/nginx/*.log {
	daily
	missingok
	rotate 14
	compress
	delaycompress
	notifempty
	create 0640 www-data adm
	sharedscripts
	prerotate
		if [ -d /etc/logrotate.d/httpd-prerotate ]; then \\
			run-parts /etc/logrotate.d/httpd-prerotate; \\
		fi \\
	endscript
	postrotate
		invoke-rc.d nginx rotate >/dev/null 2>&1
	endscript
}
"""
DPKG = """\
/var/log/dpkg.log {
	monthly
	rotate 12
	compress
	delaycompress
	missingok
	notifempty
	mail root
	create 644 root root
}
"""


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    tree = tmp_path / "etc"
    (tree / "logrotate.d").mkdir(parents=True)
    written(tree / "logrotate.conf", DEBIAN.format(tree=tree))
    written(tree / "logrotate.d" / "nginx", NGINX)
    written(tree / "logrotate.d" / "dpkg", DPKG)
    written(tree / "logrotate.d" / "dpkg.dpkg-old", "garbage!")
    return tree


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def imports(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return Command(cwd=cwd)("rotation", "import", *map(str, arguments))


def test_debians_files_become_sets_that_the_settings_take(etc, tmp_path):
    done = imports(etc / "logrotate.conf")
    assert done.returncode == 0, done.stderr
    lifetime, script = (line.split(": ", 2)[2] for line in done.stderr.splitlines())
    dates = re.findall(r"\d{4}-\d\d-\d\d", lifetime)
    assert lifetime.startswith("rotate 12 keeps a file that is rotated today until ")
    assert (len(dates), dates) == (2, sorted(dates, reverse=True))
    assert script == "prerotate: its script needs /bin/sh where the rotation runs"
    assert f"# note: {etc}/logrotate.d/nginx" in done.stdout
    rotation = tomllib.loads(done.stdout)["rotation"]
    sets = rotation["sets"]
    assert (rotation["time_zone"], list(sets)) == ("local", ["dpkg", "nginx"])
    assert (sets["nginx"]["keep"], sets["nginx"]["expire"]) == (14, False)
    assert sets["dpkg"]["mail"] == "root"
    assert sets["nginx"]["after"] == [{"run": ["invoke-rc.d", "nginx", "rotate"], "timeout": "1h"}]
    settings = written(tmp_path / "luxima-retention.toml", done.stdout)
    matrix = Command(cwd=tmp_path)("--config", str(settings), "matrix")
    assert matrix.returncode == 0, matrix.stderr


def test_a_file_is_written_whole(etc, tmp_path):
    target = tmp_path / "rotation.toml"
    done = imports(etc / "logrotate.conf", "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert list(tomllib.loads(target.read_text())["rotation"]["sets"]) == ["dpkg", "nginx"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["rotation.toml"]


def test_a_file_that_is_there_is_never_overwritten(etc, tmp_path):
    target = written(tmp_path / "rotation.toml", "mine\n")
    done = imports(etc / "logrotate.conf", "-o", target)
    assert done.returncode == 2
    assert "rotation.toml already exists and is not overwritten" in done.stderr
    assert target.read_text() == "mine\n"
    target.unlink()
    target.symlink_to(tmp_path / "elsewhere")
    assert imports(etc / "logrotate.conf", "-o", target).returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_check_lists_what_will_run_and_as_whom_and_writes_nothing(tmp_path):
    packs = "compress\ncompresscmd /usr/bin/pigz\ncompressoptions -9"
    text = f"su games games\n{packs}\npostrotate\nservice a reload\nendscript"
    file = written(tmp_path / "c", f"/var/log/a.log {{\n{text}\nmail me@example.org\nshred\n}}\n")
    done = imports(file, "--check", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    runner = pwd.getpwuid(os.geteuid()).pw_name
    assert done.stdout.splitlines() == [
        f"a ({file}:1): /var/log/a.log",
        "  files: as games, group games",
        "  compress: as games: /usr/bin/pigz -9",
        "  mail: as games: to me@example.org",
        "  shred: as games",
        f"  after: as {runner}: service a reload",
    ]
    assert not (tmp_path / "out").exists()


def test_what_was_imported_runs_without_a_ledger_unless_expiry_was_chosen(tmp_path):
    """The README's two commands, on a machine that has nothing else."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_text("x\n")
    for name in ("a.log.1", "a.log.2"):
        os.utime(written(logs / name, "old\n"), (1_577_836_800, 1_577_836_800))
    file = written(tmp_path / "c", f"{logs}/*.log {{\nweekly\nrotate 4\n}}\n")
    for arguments, code in (((), 0), (("--expire",), 4)):
        settings = tmp_path / f"{code}.toml"
        assert imports(file, "-o", settings, *arguments).returncode == 0
        run = Command(cwd=tmp_path, variables={"LUXIMA_ROTATION__STATE_DIR": str(tmp_path / "own")})
        done = run("--config", str(settings), "run", "log-files")
        assert done.returncode == code, done.stdout + done.stderr
        assert sorted(path.name for path in logs.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert "2 files are older than" in run("--config", str(tmp_path / "0.toml"), "run", "log-files").stdout


def test_root_reads_no_sets_from_a_file_that_others_may_write(tmp_path):
    settings = written(tmp_path / "s.toml", "[rotation.sets.a]\npaths = ['/none/a.log']\nmissing_ok = true\n")
    run = Command(cwd=tmp_path, variables={"LUXIMA_ROTATION__STATE_DIR": str(tmp_path / "own")})
    assert run("--config", str(settings), "run", "log-files").returncode == 0
    settings.chmod(0o666)
    done = run("--config", str(settings), "run", "log-files")
    assert done.returncode == (2 if os.geteuid() == 0 else 0)
    assert ("others than root may write to it" in done.stderr) == (os.geteuid() == 0)


def test_a_target_that_cannot_be_written_is_told(etc, tmp_path):
    done = imports(etc / "logrotate.conf", "-o", tmp_path / "none" / "x.toml")
    assert done.returncode == 2
    assert "x.toml cannot be written: No such file or directory" in done.stderr


def test_what_cannot_be_understood_is_told_and_the_rest_is_there(etc, tmp_path):
    written(
        etc / "logrotate.d" / "bad", "/var/log/bad.log {\n\tsize 3x\n}\n/var/log/good.log {\n\twaeekly\n}\n"
    )
    target = tmp_path / "rotation.toml"
    done = imports(etc / "logrotate.conf", "-o", target)
    assert done.returncode == 2
    assert f"error: {etc}/logrotate.d/bad:2: bad size '3x': unknown unit 'x'" in done.stderr
    assert "error: 1 of what was read could not be understood; 3 sets were written" in done.stderr
    assert list(tomllib.loads(target.read_text())["rotation"]["sets"]) == ["good", "dpkg", "nginx"]


def test_a_directive_that_nobody_knows_is_told_and_passed_over(tmp_path):
    file = written(tmp_path / "c", "/var/log/a.log {\n\twaeekly\n}\n")
    done = imports(file)
    assert done.returncode == 0
    said = f"{file}:2: unknown option 'waeekly' -- ignoring line, as logrotate does"
    assert f"note: {said}" in done.stderr
    assert f"# {said}" in done.stdout


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [(None, 0, "cannot be read: No such file"), ("x", 0o666, "could be written by others than root")],
)
def test_a_file_that_is_missing_or_anybodys_is_not_read(tmp_path, text, mode, said):
    file = tmp_path / "c"
    if text is not None:
        file.write_text("/var/log/a.log {\n}\n")
        file.chmod(mode)
    done = imports(file)
    if mode and os.geteuid() != 0:
        assert done.returncode == 0  # only root runs what others wrote
        return
    assert done.returncode == 2
    assert said in done.stderr
    assert tomllib.loads(done.stdout) == {}


def test_a_file_that_others_could_replace_is_not_read_by_root(tmp_path):
    (tmp_path / "theirs").mkdir()
    written(tmp_path / "theirs" / "c", "/var/log/a.log {\n}\n")
    (tmp_path / "theirs").chmod(0o777)
    done = imports(tmp_path / "theirs" / "c")
    assert ("others than root" in done.stderr) == (os.geteuid() == 0)


def test_a_fifo_does_not_hold_the_import_up(tmp_path):
    os.mkfifo(tmp_path / "c")
    done = imports(tmp_path / "c")
    assert done.returncode == 2
    assert "is not a regular file" in done.stderr


def test_help_is_quick():
    started = time.monotonic()
    done = Command()("rotation", "--help")
    assert done.returncode == 0
    assert time.monotonic() - started < 3  # a loaded machine; the imports are what is tested
    code = (
        "import sys; from luxima_retention.cli import main\n"
        "try: main(['rotation', '--help'])\n"
        "finally: sys.exit(any(name in sys.modules for name in ('pydantic', 'rich', 'zstandard')))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode
        == 0
    )


# The stand-in


class StandIn:
    """``cron/logrotate`` with a directory of logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        environment = Command().environment(LUXIMA_ROTATION__STATE_DIR=str(directory / "own"))
        program = forked.program(directory / "luxima-retention", environment)
        self.environment = {**environment, "LUXIMA_RETENTION": str(program)}
        #: for whoever closes streams, which a fork would open again
        self.started = str(forked.starter(directory / "started"))

    def config(self, *directives: str) -> Path:
        lines = "\n".join(directives)
        return written(self.directory / "conf", f"{self.directory}/*.log {{\n{lines}\n}}\n")

    def log(self, text: str = "zero\n") -> Path:
        return written(self.directory / "a.log", text)

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(STAND_IN), *map(str, arguments)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("a.log*"))


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


def test_the_stand_in_rotates_by_logrotates_own_state(stand_in):
    conf, log = stand_in.config("daily", "rotate 2", "create", "compress"), stand_in.log()
    state = stand_in.directory / "state"
    state.write_text(f'logrotate state -- version 2\n"{log}" 2020-1-2-3:4:5\n')
    done = stand_in("-s", "state", conf)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stand_in.names() == ["a.log", "a.log.1.gz"]
    assert gzip.decompress((stand_in.directory / "a.log.1.gz").read_bytes()) == b"zero\n"
    head, line = state.read_text().splitlines()
    assert head == "logrotate state -- version 2"
    assert line.startswith(f'"{log}" ')
    assert "2020-1-2" not in line


def test_the_stand_in_starts_the_clock_of_a_log_that_it_sees_first(stand_in):
    conf, log = stand_in.config("daily", "rotate 2"), stand_in.log()
    assert stand_in("-s", "state", conf).returncode == 0
    assert stand_in.names() == ["a.log"]
    assert str(log) in (stand_in.directory / "state").read_text()


def test_the_stand_in_forces_and_takes_options_after_the_files(stand_in):
    conf = stand_in.config("daily", "rotate 2")
    stand_in.log()
    done = stand_in("-v", conf, "--force", "--state", "state")
    assert done.returncode == 0
    assert f"reading config file {conf}" in done.stdout
    assert stand_in.names() == ["a.log.1"]


def test_the_stand_in_changes_nothing_in_debug_mode(stand_in):
    conf = stand_in.config("daily", "rotate 2")
    stand_in.log()
    done = stand_in("-d", "-f", "-s", "state", conf)
    assert done.returncode == 0
    assert "would rotate 1 of 1 logs" in done.stdout
    assert stand_in.names() == ["a.log"]
    assert not (stand_in.directory / "state").exists()


def test_the_stand_in_has_nothing_to_do_without_any_log(stand_in):
    conf = written(stand_in.directory / "conf", "create\ntabooext + .x\n")
    done = stand_in("-f", "-s", "state", conf)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written(conf, "daily\nfirstaction {\n")
    assert stand_in("-f", "-s", "state", conf).returncode == 1


def test_the_stand_in_tells_what_it_leaves_alone_in_one_line_each(stand_in):
    conf = stand_in.config("daily", "rotate 2")
    stand_in.log()
    (stand_in.directory / "link.log").symlink_to(stand_in.directory / "a.log")
    os.link(written(stand_in.directory / "b.log", "x"), stand_in.directory / "b.two")
    done = stand_in("-s", "state", conf)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"warning: {stand_in.directory}/b.log has 2 names (hard links): it is left alone",
        f"warning: {stand_in.directory}/link.log is a symbolic link: it is left alone",
    ]


def test_the_stand_in_mails_with_the_program_that_it_is_given(stand_in):
    conf = stand_in.config("daily", "rotate 0", "mail me@example.org")
    stand_in.log()
    mailer = written(stand_in.directory / "mailer", '#!/bin/sh\necho "$@" > sent; cat >> sent\n')
    mailer.chmod(0o755)
    done = stand_in("-f", "-m", "./mailer", "-s", "state", conf)
    assert (done.returncode, stand_in.names()) == (0, [])
    assert (stand_in.directory / "sent").read_text().endswith(" me@example.org\nzero\n")


def test_the_stand_in_logs_into_a_file(stand_in):
    conf = stand_in.config("daily", "rotate 2")
    stand_in.log()
    done = stand_in("-l", "told", "-m", "mail", "-f", "-s", "state", conf)
    assert (done.returncode, done.stdout) == (0, "")
    assert "rotated 1 of 1 logs" in (stand_in.directory / "told").read_text()


def test_the_stand_in_ends_with_one_where_something_is_wrong_and_does_the_rest(stand_in):
    conf = stand_in.config("rotate 1")
    written(conf, f"{conf.read_text()}/var/log/x {{\nsize 3x\n}}\n")
    stand_in.log()
    done = stand_in("-f", "-s", "state", conf)
    assert done.returncode == 1
    assert "unknown unit 'x'" in done.stderr
    assert stand_in.names() == ["a.log.1"]


def test_the_stand_in_ends_with_one_where_a_log_is_missing(stand_in):
    done = stand_in("-s", "state", stand_in.config("rotate 1"))
    assert done.returncode == 1
    assert f"error: stat of {stand_in.directory}/*.log failed: No such file or directory" in done.stderr


def test_the_stand_in_ends_with_three_while_another_has_the_state(stand_in):
    conf = stand_in.config("rotate 1")
    stand_in.log()
    state = stand_in.directory / "state"
    state.touch(mode=0o640)
    with state.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert stand_in("-f", "-s", "state", conf).returncode == 3
    assert stand_in("-f", "-s", "state", conf).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--nonsense", "conf"], 2), (["-s"], 2), ([], 1), (["-vd"], 1), (["--help"], 0)],
)
def test_the_stand_in_tells_its_usage(stand_in, arguments, status):
    assert stand_in(*arguments).returncode == status


@pytest.mark.parametrize("arguments", [["-vfsstate", "-lsyslog"], ["-fv", "--state=state", "-l", "syslog"]])
def test_the_stand_in_takes_options_in_one_word(stand_in, arguments):
    conf = stand_in.config("rotate 1")
    stand_in.log()
    done = stand_in(*arguments, conf)
    assert done.returncode == 0
    assert "rotated 1 of 1 logs" in done.stdout
    assert (stand_in.directory / "state").exists()
    assert not (stand_in.directory / "syslog").exists()


@pytest.mark.parametrize(
    ("directives", "said"),
    [
        (["prerotate\nexit 3\nendscript"], "error running non-shared prerotate script for "),
        (["postrotate\nexit 3\nendscript"], "error running non-shared postrotate script for "),
        (["sharedscripts", "prerotate\nexit 3\nendscript"], "error running shared prerotate script for "),
        (["sharedscripts", "postrotate\nexit 3\nendscript"], "error running shared postrotate script for "),
        (["firstaction\nexit 3\nendscript"], "error running firstaction script for "),
        (["lastaction\nexit 3\nendscript"], "error running lastaction script for "),
        (["preremove\nexit 3\nendscript"], "error running preremove script for "),
    ],
)
def test_the_stand_in_tells_of_a_script_that_fails_as_logrotate_does(stand_in, directives, said):
    stand_in.log()
    done = stand_in("-f", "-s", "state", stand_in.config("rotate 0", *directives))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {said}{stand_in.directory}/")
    assert done.stderr.rstrip().endswith("ended with status 3")
    assert done.stdout == ""


def test_the_stand_in_tells_of_a_damaged_state_as_logrotate_does_and_rotates(stand_in):
    log, conf = stand_in.log(), stand_in.config("daily", "rotate 1")
    state = stand_in.directory / "state"
    state.write_text(f'logrotate state -- version 2\n"{log}" 2020-1-2\n"/x 20\n')
    done = stand_in("-s", "state", conf)
    assert done.returncode == 1
    assert "error: bad line 3 in state file state" in done.stderr
    assert stand_in.names() == ["a.log.1"]


def test_the_stand_in_passes_on_what_a_compressing_program_says(stand_in):
    program = stand_in.directory / "packer"
    program.write_text("#!/bin/sh\necho hot >&2\ngzip\n")
    program.chmod(0o755)
    stand_in.log()
    done = stand_in("-f", "-s", "state", stand_in.config("rotate 1", "compress", "compresscmd ./packer"))
    assert done.returncode == 0
    assert done.stderr.startswith("error: Compressing program wrote to stderr for ")
    assert done.stderr.endswith("a.log.1: hot\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_stand_in_works_where_its_streams_were_closed(stand_in, closed):
    """A file that is opened next would have their number, and get what is printed."""
    conf = stand_in.config("rotate 1", "compress", "postrotate\necho printed; echo printed >&2\nendscript")
    stand_in.log()
    command = f'"$0" -v -f -s state "$1" {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, str(STAND_IN), str(conf)],
        cwd=stand_in.directory, env=stand_in.environment | {"LUXIMA_RETENTION": stand_in.started},
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0
    assert stand_in.names() == ["a.log.1.gz"]
    assert gzip.decompress((stand_in.directory / "a.log.1.gz").read_bytes()) == b"zero\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_works_where_its_streams_were_closed(stand_in, closed):
    conf = stand_in.config("rotate 1", "compress", "postrotate\necho printed; echo printed >&2\nendscript")
    log = stand_in.log()
    program = stand_in.environment["LUXIMA_RETENTION"]
    run = f"'{stand_in.started}' --config conf.toml run log-files --rotate-now"
    command = f'"$0" rotation import -o conf.toml "$1" && {run} {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, program, str(conf)],
        cwd=stand_in.directory, env=stand_in.environment, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0
    assert stand_in.names() == ["a.log.1.gz"]
    assert gzip.decompress(Path(f"{log}.1.gz").read_bytes()) == b"zero\n"


def test_the_stand_in_says_what_scripts_print_where_it_says_everything(stand_in):
    conf = stand_in.config("rotate 1", "sharedscripts", "postrotate\necho from the script\nendscript")
    stand_in.log()
    assert "from the script" in stand_in("-v", "-f", "-s", "state", conf).stdout
    stand_in.log()
    quiet = stand_in("-f", "-s", "state", conf)
    assert (quiet.stdout, quiet.stderr) == ("", "from the script\n")


def test_the_stand_in_warns_as_logrotate_does_of_a_criterion_that_overrides_another(stand_in):
    stand_in.log()
    done = stand_in("-d", "-s", "state", stand_in.config("size 2", "daily"))
    assert "note: 'daily' overrides previously specified 'size'" in done.stderr


def test_the_stand_in_tells_scripts_what_logrotate_tells_them(stand_in):
    conf = stand_in.config(
        "rotate 1",
        "firstaction\necho first $# $1 >> told\nendscript",
        "prerotate\necho pre $# $1 >> told\nendscript",
        "postrotate\necho post $# $1 $2 >> told\nendscript",
        "lastaction\necho last $# $1 >> told\nendscript",
    )
    log = stand_in.log()
    assert stand_in("-f", "-s", "state", conf).returncode == 0
    pattern = f"{stand_in.directory}/*.log"
    assert (stand_in.directory / "told").read_text().splitlines() == [
        f"first 1 {log}",  # the shell expands the pattern, which $1 still is
        f"pre 1 {log}",
        f"post 2 {log} {log}.1",
        f"last 1 {pattern}",  # no log is there any more that it could match
    ]
