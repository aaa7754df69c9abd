"""logrotate's configuration as our own: each directive, scripts as hooks, whatever else a file may hold."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxima_retention.core.errors import ConfigurationError
from luxima_retention.stores.logfiles.importer import TABOO, import_files
from luxima_retention.stores.logfiles.importer_directives import DIRECTIVES
from luxima_retention.stores.logfiles.importer_scripts import hook_of
from luxima_retention.stores.logfiles.importer_syntax import Takes
from luxima_retention.stores.logfiles.importer_toml import render
from luxima_retention.stores.logfiles.options import RotationSetSettings
from tests.configured import settings_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "rotation.md").read_text()
#: what logrotate does without any directive
PLAIN = {
    "expire": False,
    "paths": ["/var/log/a.log"],
    "every": "size",
    "rotate_empty": True,
    "first_run": "wait",
    "keep": 0,
    "create": False,
    "dated": False,
    "compress": "none",
    "delay_compress": False,
}


class Tree:
    """Files by their path; what ends with / is a directory."""

    home = "/root"

    def __init__(self, **files):
        self.files_ = files

    def text(self, path):
        if path not in self.files_:
            raise ConfigurationError(f"{path} cannot be read")
        return self.files_[path]

    def files(self, path):
        inside = [name for name in self.files_ if name.startswith(f"{path.rstrip('/')}/")]
        return sorted(name.rsplit("/", 1)[1] for name in inside) if inside else None


def imported(text, **files):
    """The text as file ``c``, beside others."""
    return import_files(["c"], Tree(**{"c": text, **files}))


def one(*directives):
    """The values of a set with these directives; nothing is wrong with it."""
    result = imported("/var/log/a.log {\n" + "\n".join(directives) + "\n}\n")
    assert result.problems == ()
    (found,) = result.sets
    RotationSetSettings.model_validate(dict(found.values))
    return found


def changed(found):
    """What differs from a set without directives; ``None`` for what is gone."""
    values = dict(found.values)
    lost = {key: None for key in PLAIN if key not in values}
    return lost | {key: value for key, value in values.items() if PLAIN.get(key, ...) != value}


def wrong(text, **files):
    return [str(problem) for problem in imported(text, **files).problems]


def test_a_set_without_directives_does_what_logrotate_does_then():
    assert dict(one().values) == PLAIN
    assert RotationSetSettings.model_validate(PLAIN).size == 1024 * 1024
    assert RotationSetSettings.model_validate(PLAIN).method == "rename"
    assert RotationSetSettings.model_validate(PLAIN).missing_ok is False


COMPRESSED = {"compress": "gzip"}
#: directives → what they change; each directive stands in at least one row
ROWS = [
    (["hourly"], {"every": "hourly", "date_format": "-%Y%m%d%H"}),
    (["hourly", "dateformat -%s"], {"every": "hourly", "date_format": "-%s"}),
    (["daily"], {"every": "daily"}),
    (["weekly"], {"every": None}),
    (["weekly 3"], {"every": None, "weekday": 3}),
    (["weekly=7"], {"every": None, "weekday": 7}),
    (["monthly"], {"every": "monthly"}),
    (["monthly 31"], {"every": "monthly", "month_day": 31}),
    (["yearly"], {"every": "yearly"}),
    (["size 5"], {"size": 5}),
    (["size=100k"], {"size": 102400}),
    (["size = 2M"], {"size": 2 * 1024**2}),
    (["size 3G", "daily"], {"every": "daily", "size": 3 * 1024**3}),
    (["daily", "size 10"], {"size": 10}),
    (["minsize 1k"], {"min_size": 1024}),
    (["maxsize 1G"], {"max_size": 1024**3}),
    (["minage 5"], {"min_age_days": 5}),
    (["maxage 30"], {"max_age_days": 30}),
    (["maxage 30", "maxage 0"], {}),
    (["rotate 4"], {"keep": 4}),
    (["rotate 0x10"], {"keep": 16}),
    (["rotate 010"], {"keep": 8}),
    (["rotate 3", "rotate -1"], {"keep": None}),
    (["start 9"], {"start": 9}),
    (["dateext"], {"dated": None}),
    (["dateext", "nodateext"], {}),
    (["dateformat .%Y-%m-%d"], {"date_format": ".%Y-%m-%d"}),
    (["dateyesterday"], {"date_ago": "day"}),
    (["dateyesterday", "nodateyesterday"], {}),
    (["datehourago"], {"date_ago": "hour"}),
    (["datehourago", "nodatehourago"], {}),
    (["extension .log"], {"extension": ".log"}),
    (["addextension .old"], {"add_extension": ".old"}),
    (["compress"], COMPRESSED),
    (["compress", "nocompress"], {}),
    (
        ["compresscmd /usr/bin/xz", "compress"],
        {"compress": "program", "compress_program": ["/usr/bin/xz"], "compress_extension": ".xz"},
    ),
    (["compresscmd /usr/bin/xz"], {}),
    (
        ["compress", "compresscmd zstd", "compressoptions -19 -T0"],
        {"compress": "program", "compress_program": ["zstd", "-19", "-T0"], "compress_extension": ".zst"},
    ),
    (["compress", "compressoptions -9 -f"], {**COMPRESSED, "compress_level": 9}),
    (["compress", "compressoptions --fast"], {**COMPRESSED, "compress_level": 1}),
    (
        ["compress", "compresscmd pigz", "compressext .gz"],
        {"compress": "program", "compress_program": ["pigz"], "compress_extension": ".gz"},
    ),
    (["compress", "compressext .gzip"], {**COMPRESSED, "compress_extension": ".gzip"}),
    (["compressext .Z"], {"compress_extension": ".Z"}),
    (["delaycompress"], {"delay_compress": None}),
    (["delaycompress", "nodelaycompress"], {}),
    (["copy"], {"method": "copy"}),
    (["copy", "nocopy"], {}),
    (["copytruncate"], {"method": "copytruncate"}),
    (["copytruncate", "copy"], {"method": "copytruncate"}),
    (["copytruncate", "nocopytruncate"], {}),
    (["renamecopy"], {"method": "renamecopy"}),
    (["copytruncate", "renamecopy"], {"method": "renamecopy"}),
    (["renamecopy", "copytruncate"], {"method": "copytruncate"}),
    (["renamecopy", "norenamecopy"], {}),
    (["create"], {"create": None}),
    (
        ["create 0640 root adm"],
        {"create": None, "create_mode": "0640", "create_owner": "root", "create_group": "adm"},
    ),
    (["create 640 root"], {"create": None, "create_mode": "0640", "create_owner": "root"}),
    (["create root adm"], {"create": None, "create_owner": "root", "create_group": "adm"}),
    (["create 0600"], {"create": None, "create_mode": "0600"}),
    (["create 0755 1 2"], {"create": None, "create_mode": "0755", "create_owner": "1", "create_group": "2"}),
    (["create 1 2"], {"create": None, "create_owner": "1", "create_group": "2"}),
    (["create 1000 1001"], {"create": None, "create_owner": "1000", "create_group": "1001"}),
    (
        ['create 0640 "a b" adm'],
        {"create": None, "create_mode": "0640", "create_owner": "a b", "create_group": "adm"},
    ),
    (["create 0640 root adm", "create"], {"create": None}),
    (["create", "nocreate"], {}),
    (["olddir old"], {"old_dir": "old", "trust_old_dir": True}),
    (["olddir /srv/old"], {"old_dir": "/srv/old", "trust_old_dir": True}),
    (["olddir ~/old"], {"old_dir": "/root/old", "trust_old_dir": True}),
    (["olddir old", "noolddir"], {}),
    (["createolddir"], {"create_old_dir": True}),
    (
        ["createolddir 700 root adm"],
        {"create_old_dir": True, "old_dir_mode": "0700", "old_dir_owner": "root", "old_dir_group": "adm"},
    ),
    (["createolddir", "nocreateolddir"], {}),
    (["missingok"], {"missing_ok": True}),
    (["missingok", "nomissingok"], {}),
    (["notifempty"], {"rotate_empty": None}),
    (["notifempty", "ifempty"], {}),
    (["ignoreduplicates"], {"ignore_duplicates": True}),
    (["allowhardlink"], {"allow_hard_links": True}),
    (["allowhardlink", "noallowhardlink"], {}),
    (["su www-data adm"], {"user": "www-data", "group": "adm"}),
    (["su \"foo bar\" 'bar baz'"], {"user": "foo bar", "group": "bar baz"}),
    (["sharedscripts"], {"shared_hooks": True}),
    (["sharedscripts", "nosharedscripts"], {}),
    (["firstaction", "f", "endscript"], {"first": [{"run": ["f"], "timeout": "1h"}]}),
    (["prerotate", "f", "endscript"], {"before": [{"run": ["f"], "timeout": "1h"}]}),
    (["postrotate", "f", "endscript"], {"after": [{"run": ["f"], "timeout": "1h"}]}),
    (["preremove", "f", "endscript"], {"before_removal": [{"run": ["f"], "timeout": "1h"}]}),
    (["lastaction", "f", "endscript"], {"last": [{"run": ["f"], "timeout": "1h"}]}),
    (
        ["postrotate", "f", "endscript", "postrotate", "g", "endscript"],
        {"after": [{"run": ["g"], "timeout": "1h"}]},
    ),
    (["postrotate", "# nothing", "endscript"], {}),
    (["minutes 5"], {"every": "minutes", "minutes": 5, "date_format": "-%Y%m%d%H%M"}),
    (["size +2048k"], {"size": 2048 * 1024}),
    (["size 0x800"], {"size": 2048}),
    (["size 0x800k"], {"size": 2048 * 1024}),
    (["size 010"], {"size": 8}),
    (["maxsize 100M"], {"max_size": 100 * 1024**2}),
    (["rotate +010"], {"keep": 8}),
    (["mail me@example.org"], {"mail": "me@example.org"}),
    (['mail "me@example.org"', "mailfirst"], {"mail": "me@example.org", "mail_newest": True}),
    (["mail me@example.org", "mailfirst", "maillast"], {"mail": "me@example.org"}),
    (["mail me@example.org", "nomail"], {}),
    (["shred"], {"shred": True}),
    (["shred", "noshred"], {}),
    (["shred", "shredcycles 7"], {"shred": True, "shred_cycles": 7}),
    (["nomail"], {}),
    (["noshred"], {}),
    (["daily notifempty"], {"every": "daily", "rotate_empty": None}),
    (
        ["daily # a comment after a word without value", "  # of its own", "rotate 2   "],
        {"every": "daily", "keep": 2},
    ),
]


@pytest.mark.parametrize(("directives", "expected"), ROWS, ids=lambda value: " ".join(map(str, value)))
def test_a_directive_becomes_its_setting(directives, expected):
    found = one(*directives)
    assert changed(found) == expected


#: directives that have no counterpart → the line that is named, and what is said
NOTES = [
    (["errors me"], 2, "errors me: obsolete"),
    (["uncompresscmd gunzip"], 2, "uncompresscmd gunzip: compressed files are read back without a program"),
    (["compress", "compresscmd lz4"], 3, "compresscmd lz4: the program must be there"),
    (["compress", "compressoptions -9 --rsyncable"], 3, "only the level counts, not --rsyncable"),
    (["compress", "compressoptions -0"], 3, "only the level counts, not -0"),
    (["compressext gz"], 2, "compressext gz: an extension begins with a dot; it is .gz instead"),
    (["create 1 2"], 2, "create 1 2: read as owner 1 and group 2"),
    (["createolddir 1000 1001"], 2, "createolddir 1000 1001: read as owner 1000 and group 1001"),
    (["daily", "size 4"], 3, "'size' overrides previously specified 'daily'"),
    (["size 4", "weekly"], 3, "'weekly' overrides previously specified 'size'"),
    (["postrotate", "f | g", "endscript"], 2, "postrotate: its script needs /bin/sh"),
]


@pytest.mark.parametrize(("directives", "line", "said"), NOTES, ids=str)
def test_what_has_no_counterpart_is_named_with_its_line(directives, line, said):
    (note,) = one(*directives).notes
    assert (note.file, note.line) == ("c", line)
    assert said in note.said


def test_what_takes_a_note_back_takes_the_note_away():
    assert one("mail me", "nomail", "shred", "noshred").notes == ()


def test_every_directive_stands_in_a_row():
    tried = {re.match("[a-z]*", line)[0] for rows in (ROWS, NOTES) for row in rows for line in row[0]}
    assert len(DIRECTIVES) == 69
    assert set(DIRECTIVES) - tried == {"include", "tabooext", "taboopat"}


def test_the_documented_table_is_the_importers():
    rows = re.findall(
        r"^\| `([a-z]+)` \| (.+) \|$", DOCUMENT.partition("## Coming from logrotate")[2], re.MULTILINE
    )
    assert dict(rows) == {word: meaning.becomes for word, meaning in DIRECTIVES.items()}
    for _, becomes in rows:
        for name in re.findall(r"`([a-z_]+)(?: = [^`]*)?`", becomes):
            assert name in {*RotationSetSettings.model_fields, *DIRECTIVES}, becomes


def test_a_program_that_is_no_codec_compresses_as_program():
    found = one("compress", "compresscmd ./compress", "compressoptions -f -9")
    assert changed(found) == {
        "compress": "program",
        "compress_program": ["./compress", "-f", "-9"],
        "compress_extension": ".Z",
    }


# Globals, blocks, includes


def test_globals_hold_for_the_sets_after_them_and_a_set_overrides_them():
    text = "weekly\nrotate 4\n/a {\nrotate 9\n}\ncreate\n/b {\n}\n/c {\nnocreate\n}\n"
    a, b, c = (found.values for found in imported(text).sets)
    assert (a["keep"], b["keep"], c["keep"]) == (9, 4, 4)
    assert (a["create"], "create" in b, c["create"]) == (False, False, False)


def test_a_global_script_is_every_sets_until_it_has_its_own():
    text = "postrotate\nf\nendscript\n/a {\n}\n/b {\npostrotate\ng\nendscript\n}\n"
    a, b = (found.values["after"][0]["run"] for found in imported(text).sets)
    assert (a, b) == (["f"], ["g"])


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("/a {\n}", ["/a"]),
        ("/a{\n}", ["/a"]),
        ("/a { }", ["/a"]),
        ("/a\n{\n}", ["/a"]),
        ("  /a\n\n  {\n}", ["/a"]),
        ("/a /b\t/c {\n}", ["/a", "/b", "/c"]),
        ("/a\n/b\n# /c {\n/d {\n}", ["/a", "/b", "/d"]),
        ("\"/a b\" '/c d' /e\\ f {\n}", ["/a b", "/c d", "/e f"]),
        ('"/a{b}c" {\n}', ["/a{b}c"]),
        ('"/a\\"b" {\n}', ['/a"b']),
        ("/var/log/*.log /x[0-9]? {\n}", ["/var/log/*.log", "/x[0-9]?"]),
        ("~/b.log {\n}", ["/root/b.log"]),
        ("/a /a {\n}", ["/a"]),
        ("/a {\r\n}\r\n", ["/a"]),
        ("/ä/ö {\n}", ["/ä/ö"]),
        ("# a comment with { and }\n/a {\n# }\n}", ["/a"]),
        ("/a { daily }", ["/a"]),
        ("/a {\nweekly }", ["/a"]),
    ],
)
def test_patterns_are_read_as_the_shell_quotes_them(written, paths):
    result = imported(written)
    assert result.problems == ()
    assert [found.values["paths"] for found in result.sets] == [paths]


def test_a_brace_in_a_script_ends_nothing():
    (found,) = imported("/a {\npostrotate\n}\nendscript_not\n  endscript\nrotate 3\n}\n").sets
    assert found.values["keep"] == 3
    assert found.values["after"][0]["run"][2] == "}\nendscript_not\n"


def test_an_include_stands_for_its_text():
    result = imported("rotate 1\ninclude /d/x\n/b {\n}\n", **{"/d/x": "/a {\n}\nrotate 2\n"})
    assert [(found.values["keep"], found.file, found.line) for found in result.sets] == [
        (1, "/d/x", 1),
        (2, "c", 3),
    ]


def test_an_included_directory_is_read_in_order_without_what_is_taboo():
    files = {
        f"/d/{name}": f"/{name} {{\n}}\n"
        for name in ("b", "a", "x.bak", "y~", "z.swp", "v,v", "q.rhn-cfg-tmp-1")
    }
    assert [found.values["paths"] for found in imported("include /d\n", **files).sets] == [["/a"], ["/b"]]
    assert {".bak", ",v", "~", ".dpkg-tmp"} <= set(TABOO)


@pytest.mark.parametrize(
    ("taboo", "read"),
    [
        ("tabooext + .x", ["/b", "/c"]),
        ("tabooext + .x,.y", ["/b", "/c"]),
        ("tabooext .x", ["/a.bak", "/b", "/c", "/e,v"]),
        ("tabooext ,v , .x", ["/a.bak", "/b", "/c"]),
        ("taboopat + b*", ["/c", "/d.x"]),
        ("taboopat ? .*", ["/d.x"]),
    ],
)
def test_taboos_are_added_with_a_plus_and_replaced_without(taboo, read):
    files = {f"/d/{name}": f"/{name} {{\n}}\n" for name in ("a.bak", "b", "c", "d.x", "e,v")}
    result = imported(f"{taboo}\ninclude /d\n", **files)
    assert [found.values["paths"][0] for found in result.sets] == read
    assert result.notes == ()


def test_a_taboo_without_an_include_after_it_is_noted():
    (note,) = imported("tabooext + .x\n/a {\n}\n").notes
    assert str(note) == "c:1: tabooext + .x: nothing is included after it"


def test_a_file_that_includes_itself_ends():
    (said,) = wrong("include c\n")
    assert "is included more than 16 deep" in said


def test_several_files_share_their_globals():
    result = import_files(["c", "d"], Tree(c="rotate 7\n", d="/a {\n}\n"))
    assert result.sets[0].values["keep"] == 7


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("/var/log/nginx/*.log", "nginx"),
        ("/var/log/nginx/access.log", "nginx-access"),
        ("/var/log/syslog", "syslog"),
        ("/srv/app/logs/api.log", "logs-api"),
        ('"/var/log/a b/ü.log"', "a-b"),
        ("/*", "logs"),
    ],
)
def test_a_set_is_named_after_its_first_pattern(pattern, name):
    assert imported(f"{pattern} {{\n}}\n").sets[0].name == name


def test_no_two_sets_have_one_name():
    names = [
        found.name for found in imported("/var/log/a {\n}\n/var/log/a.log {\n}\n/var/log/a* {\n}\n").sets
    ]
    assert names == ["a", "a-2", "a-3"]


# Scripts

PIDS = [
    ("kill -HUP `cat /run/x.pid`", "HUP", None),
    ("kill -USR1 $(cat /run/x.pid)", "USR1", None),
    ('/bin/kill -s SIGUSR2 "$(cat /run/x.pid)"', "USR2", None),
    ("/usr/bin/kill -1 $(< /run/x.pid);", "HUP", None),
    ("kill -HUP `cat /run/x.pid 2>/dev/null` 2>/dev/null || true", "HUP", "failure"),
    ("kill -HUP $(cat '/run/x.pid') >/dev/null 2>&1 || :", "HUP", "failure"),
    ("[ -f /run/x.pid ] && kill -USR1 `cat /run/x.pid`", "USR1", None),
    ("test -f /run/x.pid && kill -USR1 $(cat /run/x.pid) || true", "USR1", "failure"),
    ("[ ! -f /run/x.pid ] || kill -USR1 `cat /run/x.pid`", "USR1", "missing"),
    ("test ! -e /run/x.pid || kill -USR1 `cat /run/x.pid`", "USR1", "missing"),
    ("if [ -f /run/x.pid ]; then kill -USR1 `cat /run/x.pid`; fi", "USR1", "missing"),
    ("if test -r /run/x.pid; then\n  kill -USR1 `cat /run/x.pid`\nfi", "USR1", "missing"),
    ("# tell it\nif [ -f /run/x.pid ]\nthen\n kill -HUP $(cat /run/x.pid) || true\nfi\n", "HUP", "failure"),
    ("if [ -f /run/x.pid ]; then \\\n kill -HUP $(cat /run/x.pid); \\\nfi", "HUP", "missing"),
]


@pytest.mark.parametrize(("script", "signal", "tolerate"), PIDS)
def test_a_signal_to_a_pid_file_is_one(script, signal, tolerate):
    expected = {"pid_file": "/run/x.pid", "signal": signal} | ({"tolerate": tolerate} if tolerate else {})
    assert hook_of(script, rotated=True) == expected


@pytest.mark.parametrize(
    ("script", "words", "tolerate"),
    [
        ("invoke-rc.d nginx rotate >/dev/null 2>&1", ["invoke-rc.d", "nginx", "rotate"], None),
        (
            "systemctl kill -s HUP rsyslog.service || true",
            ["systemctl", "kill", "-s", "HUP", "rsyslog.service"],
            "failure",
        ),
        ("\n\t/usr/lib/rsyslog/rsyslog-rotate\n", ["/usr/lib/rsyslog/rsyslog-rotate"], None),
        ("systemctl reload 'a b'", ["systemctl", "reload", "a b"], None),
        ("/usr/bin/killall -HUP syslogd", ["/usr/bin/killall", "-HUP", "syslogd"], None),
    ],
)
def test_one_program_runs_without_a_shell(script, words, tolerate):
    expected = {"run": words, "timeout": "1h"} | ({"tolerate": tolerate} if tolerate else {})
    assert hook_of(script, rotated=True) == expected


@pytest.mark.parametrize(
    "script",
    [
        "kill -HUP 1234",
        "kill -HUP $(cat /run/a.pid) $(cat /run/b.pid)",
        "kill -HUP $(cat $PIDFILE)",
        "kill -HUP $(cat run/x.pid)",
        "kill -99 $(cat /run/x.pid)",
        "[ -f /run/other ] && kill -HUP $(cat /run/x.pid)",
        "[ -f /run/x.pid ] || kill -HUP $(cat /run/x.pid)",
        "[ ! -f /run/x.pid ] && kill -HUP $(cat /run/x.pid)",
        "[ -s /run/x.pid ] && kill -HUP $(cat /run/x.pid)",
        "if [ ! -f /run/x.pid ]; then kill -HUP $(cat /run/x.pid); fi",
        "kill -HUP $(cat /run/x.pid)\nsleep 1",
        "if [ -f /run/x.pid ]; then kill -HUP $(cat /run/x.pid); else exit 1; fi",
        "a; b",
        "a\nb",
        "echo $1",
        "cd /tmp",
        "exit 1",
        "VAR=1 program",
        "a 'b",
        "a > /var/log/x",
        "a || b",
        "~/bin/x",
        "ls *",
        "{path}",
    ],
)
def test_anything_else_is_left_to_the_shell_with_its_arguments(script):
    assert hook_of(script, rotated=True) == {
        "run": ["/bin/sh", "-c", f"{script}\n", "luxima-retention", "{path}", "{rotated}"],
        "timeout": "1h",
    }
    assert hook_of(script, rotated=False)["run"][3:] == ["luxima-retention", "{path}"]


@pytest.mark.parametrize(
    ("word", "shared", "arguments"),
    [
        ("postrotate", "", ["{path}", "{rotated}"]),
        ("postrotate", "sharedscripts", ["{path}"]),
        ("prerotate", "", ["{path}"]),
        ("preremove", "", ["{path}"]),
        ("firstaction", "", ["{path}"]),
        ("lastaction", "", ["{path}"]),
    ],
)
def test_only_postrotate_of_one_log_is_told_what_it_became(word, shared, arguments):
    found = one(word, "echo $1", "endscript", shared)
    (hook,) = next(
        value
        for key, value in found.values.items()
        if key in {"after", "before", "first", "last", "before_removal"}
    )
    assert hook["run"][4:] == arguments


# What is wrong

REST = "; skipping the rest of the file"
BAD = [
    "rotate",
    "rotate x",
    "rotate -2",
    "rotate 1 2",
    "rotate 1 # invalid comment",
    "rotate 08",
    "rotate 99999999999999999999",
    "rotate 4 }",
    "size",
    "size 300x",
    "size 10KB",
    "size -1",
    "size 99999999999G",
    "minsize x",
    "maxsize",
    "minage -1",
    "maxage x",
    "weekly 8",
    "weekly monday",
    "monthly 32",
    "minutes",
    "start -1",
    "dateformat",
    "dateformat %X",
    "dateformat .old",
    "dateformat %Y/%m",
    "extension a/b",
    "addextension",
    "compressext ./x",
    "compresscmd",
    'compresscmd "x',
    "create 640 0 0 0",
    "create x y z",
    "create 77777",
    "createolddir a b c",
    "olddir",
    "olddir a b",
    "su root",
    "su a b c",
    "mail",
    "shredcycles x",
    "tabooext + .x",
    "taboopat x",
    "include /x",
    "notifempty}",
    "g@rbag€[]+#*",
    "/b",
    "{",
    '"/x {',
    "\0",
]


@pytest.mark.parametrize("line", BAD)
def test_a_line_that_is_wrong_costs_its_set_and_no_other(line):
    result = imported(f"/before {{\n}}\n/wrong {{\n{line}\nrotate 3\n}}\n/after {{\n}}\n")
    paths = [found.values["paths"][0] for found in result.sets]
    assert "/wrong" not in paths
    assert paths[0] == "/before"
    assert result.problems
    assert re.match(r"c:\d+: ", str(result.problems[0]))
    assert any(problem.line in {3, 4, 7} for problem in result.problems)
    if line not in {"rotate 4 }", "notifempty}", "/b", "{", '"/x {'}:
        assert paths == ["/before", "/after"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "/a\nweekly\nrotate 1\n}\n",
            "c:4: unexpected } (missing previous '{')" + REST,
        ),
        ("/a\nweekly\n", "c:1: missing '{' after log files definition '/a'" + REST),
        ("/a {\ndaily\n", "c:1: missing } of the set that begins here; skipping the set of /a"),
        ("}\n/a {\n}\n", "c:1: unexpected }" + REST),
        (
            "/a {\nsize 3x\n}\n",
            "c:2: bad size '3x': unknown unit 'x'; write k, M or G; skipping the set of /a",
        ),
        ("/a {\nprerotate\nf\n}\n", "c:2: prerotate without endscript; skipping the set of /a"),
        (
            "rotate x\n/a {\n}\n",
            "c:1: bad rotation count 'x': it is not a number from 0 to 999999999" + REST,
        ),
        (
            "*.log {\n}\n",
            "c:1: lines must begin with a keyword or a filename (possibly in double quotes), not '*.log {'"
            + REST,
        ),
        (
            "abc.log {\n}\n",
            "c:1: keyword 'abc' not properly separated, found '.' in 'abc.log {'" + REST,
        ),
        ('"/a {\n}\n', "c:1: no closing quotation in '\"/a {'" + REST),
        (
            '"a b" {\n}\n',
            "c:1: paths names 'a b': it must begin with /, ~/ or ~user/; skipping the set of a b",
        ),
        (
            "/a\udcff {\n}\n",
            "c:1: a name that is not UTF-8 cannot be written into settings; skipping the set of /a\udcff",
        ),
        (
            "/a {\n}\nrotate x\n/b {\n}\n",
            "c:3: bad rotation count 'x': it is not a number from 0 to 999999999" + REST,
        ),
        ("include /none\n/a {\n}\n", "/none: /none cannot be read"),
    ],
)
def test_a_problem_is_told_with_file_line_and_text(text, said):
    assert wrong(text)[0] == said


def test_text_after_a_closing_brace_is_not_passed_over():
    result = imported("/a {\n} daily\n/b {\n}\n")
    assert [found.values["paths"] for found in result.sets] == [["/a"]]
    assert str(result.problems[0]) == "c:2: unexpected text after }: 'daily'" + REST


def test_a_set_that_is_not_closed_does_not_swallow_the_next():
    result = imported("/a {\nrotate 1\n/b {\nrotate 2\n}\n")
    assert [found.values["paths"] for found in result.sets] == [["/b"]]
    assert str(result.problems[0]) == "c:1: missing } of the set that begins here; skipping the set of /a"


@pytest.mark.parametrize("word", ["waeekly", "DAILY", "newkeyword 3", "endscript"])
def test_a_word_that_nobody_knows_is_told_and_its_line_ignored(word):
    result = imported(f"/a {{\n{word}\nrotate 1\n}}\n")
    assert [found.values["keep"] for found in result.sets] == [1]
    (note,) = result.notes
    assert str(note) == f"c:2: unknown option {word.split()[0]!r} -- ignoring line, as logrotate does"


# Any text at all

PIECES = st.sampled_from(
    [
        *DIRECTIVES,
        "/a",
        "/b*.log",
        '"',
        "'",
        "\\",
        "{",
        "}",
        "#",
        "=",
        " ",
        "\n",
        "\n",
        "\t",
        "\r\n",
        "1",
        "-1",
        "0640",
        *("100k", "%Y", "root", "$(cat /x)", "`", "é", "\0", "\udc80", "~/", "c", "'''", ",", ".gz"),
    ]
)
TEXTS = st.one_of(
    st.text(), st.lists(PIECES, max_size=60).map(" ".join), st.lists(PIECES, max_size=60).map("".join)
)


@given(TEXTS)
def test_any_text_ends_in_sets_or_problems_and_its_toml_reads_back(text):
    result = imported(text)
    written = tomllib.loads(render(result))
    read = settings_of(written).policies["log-files"].sets
    assert {name: found.paths for name, found in read.items()} == {
        found.name: tuple(found.values["paths"]) for found in result.sets
    }
    assert written.get("rotation", {}).get("sets", {}) == {
        found.name: dict(found.values) for found in result.sets
    }
    for problem in result.problems:
        assert problem.said
        assert problem.line <= text.count("\n") + 1


@given(st.sampled_from(list(DIRECTIVES)), st.text(max_size=30))
def test_no_value_of_a_directive_is_a_fault(word, value):
    text = (
        f"/a {{\n{word} {value}\n" + ("endscript\n" if DIRECTIVES[word].takes is Takes.SCRIPT else "") + "}\n"
    )
    result = imported(text)
    assert result.sets or result.problems
    tomllib.loads(render(result))


@given(st.text(st.sampled_from("kill -HUP$(cat/)`[]&|;if then fi\n\\'\"!")))
def test_no_script_is_a_fault(script):
    hooks = list(filter(None, [hook_of(script, rotated=True)]))
    made = RotationSetSettings.model_validate({"paths": ["/a"], "after": hooks})
    assert len(made.after) == len(hooks)
