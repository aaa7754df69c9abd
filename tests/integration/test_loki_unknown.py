"""What was not seen, not recognised or not read is never "nothing has expired"; Loki's own word counts."""

from __future__ import annotations

import json

import pytest

from tests.integration.lokibuckets import ACROSS, CUT, OLD, YOUNG, chunk, codes, open_bucket
from tests.servers.loki import config_of, period, run_loki


@pytest.fixture
def loki(s3, s3_client, bucket, tmp_path):
    return open_bucket(s3, s3_client, bucket, tmp_path)


def finding(target, code):
    return next(item for item in target["survey"]["findings"] if item["code"] == code)


# --- the bucket -------------------------------------------------------------------------------------------


def test_an_index_of_a_prefix_that_no_period_names_is_an_error(loki):
    """As Helm's chart writes it."""
    loki.add(OLD, YOUNG)
    loki.table(CUT - 1, "acme", [OLD], prefix="loki_index_")
    loki.table(CUT, "acme", [YOUNG], prefix="loki_index_")
    before = loki.present()
    stopped = loki.offline(code=3)
    assert "loki_index_" in stopped["sentence"]
    assert "periods" in stopped["hint"]
    assert loki.present() == before


def test_an_object_prefix_that_was_forgotten_is_an_error(loki):
    loki.prefix = "logs/"
    loki.usual()
    stopped = loki.offline(code=3)
    assert "no index table" in stopped["sentence"]
    assert "object_prefix" in stopped["hint"]
    assert loki.offline(LUXIMA_POLICIES__APPLICATION_LOGS__OBJECT_PREFIX="logs")["done"]["destroyed"] == 2


@pytest.mark.parametrize("arguments", [(), ("--sweep",), ("--dry-run",)])
def test_an_empty_bucket_is_no_clean_bucket(loki, arguments):
    assert "there is no object" in loki.offline(*arguments, code=3)["sentence"]


def test_tenants_whose_names_loki_does_not_allow_today_are_counted(loki):
    """Older releases took more characters; the compactor has split the table by tenant."""
    loki.usual()
    loki.table(CUT - 2, "a b", [chunk(CUT - 2, tenant="a b")])
    loki.add(chunk(CUT - 2, tenant="a b"))
    before = loki.present()
    done = loki.offline(code=3)
    assert (done["done"]["destroyed"], done["survey"]["unknown"]) == (2, 2)
    assert "a b" in finding(done, "strange-tenants")["message"]
    assert {key for key in before if "a b" in key} <= loki.present()


def test_shared_files_of_tenants_who_keep_as_long_as_all_go(loki):
    """Another tenant keeps longer, but not one that this file names."""
    loki.command.variables["LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS"] = '{"luxima": 60}'
    loki.add(OLD, YOUNG)
    loki.table(CUT - 1, None, [OLD], name="1795-ingester-0-17954")
    loki.table(CUT, "acme", [YOUNG])
    assert loki.offline()["done"]["destroyed"] == 2


def test_an_index_of_version_4_is_read_and_counts_backfilled_lines_from_their_ingestion(loki):
    loki.add(OLD, ACROSS, YOUNG)
    loki.table(CUT - 1, "acme", [OLD, ACROSS], version=4)
    loki.table(CUT, "acme", [ACROSS, YOUNG], version=4)
    back = chunk(CUT - 3, checksum=5)
    late = chunk(CUT - 3, 5, checksum=6)
    loki.add(back, late)
    loki.table(CUT - 3, "acme", [back, late], version=4, ingested={back.key: CUT + 3})
    done = loki.offline(
        LUXIMA_POLICIES__APPLICATION_LOGS__PERIODS='[{"start": "2026-01-01", "schema_version": 14}]'
    )
    assert (done["done"]["destroyed"], done["survey"]["locked"]) == (2, 1)
    assert "backfilled" in codes(done)
    assert {back.key, late.key, f"index/index_{CUT - 3}/acme/1-compactor-1-2-a.tsdb.gz"} <= loki.present()


def test_data_objects_are_never_passed_over(loki):
    loki.usual()
    for name in ("dataobj/tenant-acme/objects/ab", "bloom/index_20700/acme/metas/x.json", "rules/acme/x/y"):
        loki.put(name)
    done = loki.offline(code=3)
    assert (done["done"]["destroyed"], done["survey"]["unknown"]) == (2, 1)
    assert "bloom/, rules/" in finding(done, "other-objects")["message"]


# --- Loki's own word -------------------------------------------------------------------------------------


def test_what_the_settings_leave_out_is_read_from_loki(loki):
    loki.prefix = "a/b/"
    loki.usual()
    loki.table(CUT - 1, "acme", [OLD, ACROSS], prefix="loki_index_")
    config = config_of(loki.name, **{"storage_config.object_prefix": "/a/b/"})
    config["schema_config"]["configs"] = [
        period("2024-01-01", prefix="loki_index_"),
        period("2026-10-24", prefix="index_", schema="v14"),
    ]
    with run_loki(config) as stub:
        done = loki.run(code=3, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)
    assert done["done"]["condemned"] == 1
    assert "unknown-tables" in codes(done), "index_ of a day on which loki_index_ was in force"


@pytest.mark.parametrize(
    ("variables", "change", "words"),
    [
        ({}, {"storage_config.aws.bucketnames": "another"}, "buckets"),
        ({"OBJECT_PREFIX": "x"}, {}, "object_prefix"),
        ({"CHUNK_DELIMITER": "_"}, {}, "chunk_delimiter is"),
        ({"INDEX_PATH": "idx/"}, {}, "index_path is"),
        ({"PERIODS": '[{"start": "2026-01-01"}]'}, {}, "periods"),
        ({}, {"schema_config.configs": [period(object_store="filesystem")]}, "filesystem"),
        ({}, {"schema_config.configs": [period(period="1w")]}, "7 days"),
        ({}, {"storage_config.use_thanos_objstore": True}, "not known here"),
    ],
)
@pytest.mark.parametrize("retention", ["off", "on-720h"])
def test_settings_that_contradict_loki_refuse_whoever_deletes(loki, variables, change, words, retention):
    loki.usual()
    before = loki.present()
    named = {f"LUXIMA_POLICIES__APPLICATION_LOGS__{name}": value for name, value in variables.items()}
    with run_loki(config_of(loki.name, retention=retention, **change)) as stub:
        refused = loki.run(code=4, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url, **named)
    assert words in refused["sentence"]
    assert loki.present() == before


YEAR = {"retention_period": "1y"}
STREAM = {"retention_stream": [{"selector": '{app="audit"}', "priority": 1, "period": "52w1d"}]}


@pytest.mark.parametrize("override", [YEAR, STREAM], ids=["tenant", "stream"])
@pytest.mark.parametrize("way", ["runtime", "limits"])
def test_a_chunk_that_loki_promises_to_keep_longer_stays(loki, override, way):
    loki.usual()
    promised = chunk(CUT - 1, tenant="luxima")
    loki.add(promised)
    loki.table(CUT - 1, "luxima", [promised])
    pages = {
        "runtime": {"runtime": {"overrides": {"luxima": override}}},
        "limits": {"limits": {"luxima": {"retention_period": "0s"} | override}},
    }
    config = config_of(loki.name, **{"runtime_config.file": "/etc/overrides.yaml"})
    with run_loki(config, **pages[way]) as stub:
        done = loki.run(LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)
        assert (done["done"]["condemned"], done["done"]["destroyed"]) == (1, 1)
        assert "luxima 365 days" in finding(done, "tenant-keeps-longer")["message"]
        loki.wait()
        assert loki.run(LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)["done"]["destroyed"] == 1
        agreed = loki.run(
            LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url,
            LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS='{"luxima": 365}',
        )
        assert "tenant-keeps-longer" not in codes(agreed)
    assert {promised.key, f"index/index_{CUT - 1}/luxima/1-compactor-1-2-a.tsdb.gz"} <= loki.present()


def test_settings_that_keep_a_tenant_shorter_than_loki_promises_refuse(loki):
    loki.usual()
    with run_loki(config_of(loki.name), runtime={"overrides": {"acme2": YEAR}}) as stub:
        refused = loki.run(
            code=4,
            LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url,
            LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS='{"acme2": 60}',
        )
    assert "promises 365" in refused["sentence"]


@pytest.mark.parametrize(
    ("stated", "code"), [({}, 4), ({"LUXIMA_POLICIES__APPLICATION_LOGS__TENANT_DAYS": "{}"}, 0)]
)
def test_overrides_that_loki_does_not_tell_refuse_unless_the_settings_speak_of_tenants(loki, stated, code):
    """Loki before 3.6, with a file of overrides."""
    loki.usual()
    with run_loki(config_of(loki.name, **{"runtime_config.file": "/etc/overrides.yaml"})) as stub:
        done = loki.run(code=code, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url, **stated)
    assert "/etc/overrides.yaml" in finding(done, "limits-untold")["message"]


@pytest.mark.parametrize("promised", ["1y", "14d"])
def test_a_general_retention_other_than_the_policys_refuses(loki, promised):
    loki.usual()
    with run_loki(config_of(loki.name, **{"limits_config.retention_period": promised})) as stub:
        assert (
            "retention-differs"
            in loki.run(code=4, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)["sentence"]
        )


# --- Loki's own compactor --------------------------------------------------------------------------------


def owned(loki, code, **pages):
    with run_loki(config_of(loki.name, retention="on-720h"), **pages) as stub:
        return loki.run(code=code, LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)


def test_a_compactor_that_leaves_what_has_expired_is_not_compliant(loki):
    loki.add(YOUNG)
    loki.table(CUT, "acme", [YOUNG])
    assert owned(loki, 0)["outcome"] == "compliant"
    loki.add(OLD, chunk(CUT - 40), chunk(CUT - 9))
    found = owned(loki, 8)
    assert found["survey"]["evidence"]["chunks_late"] == 3
    assert "3 chunks are older" in found["sentence"]


def test_a_tenant_to_whom_the_compactor_promises_a_year_is_drift_and_not_late(loki):
    loki.add(YOUNG, chunk(CUT - 40, tenant="luxima"))
    loki.table(CUT, "acme", [YOUNG])
    found = owned(loki, 8, runtime={"overrides": {"luxima": {"retention_period": "1y"}}})
    assert found["survey"]["evidence"]["chunks_late"] == 0
    assert "luxima up to 365 days" in finding(found, "compactor-drift")["message"]


def test_a_compactor_is_not_compliant_while_data_objects_hold_lines(loki):
    loki.add(YOUNG)
    loki.table(CUT, "acme", [YOUNG])
    loki.put("dataobj/objects/ab/cdef")
    found = owned(loki, 3)
    assert "data objects" in found["sentence"]


def test_an_empty_bucket_tells_nothing_of_its_compactor(loki):
    assert "there is no object" in owned(loki, 3)["sentence"]


def test_a_hold_that_the_compactor_does_not_know_is_told(loki):
    loki.add(YOUNG)
    loki.table(CUT, "acme", [YOUNG])
    hold = ("--tenant", "acme", "--reason", "case")
    assert loki.command("hold", "add", "--policy", "application-logs", *hold).returncode == 0
    assert "cannot be kept" in owned(loki, 3)["sentence"]


def test_the_json_of_a_config_is_yaml_as_well(loki):
    """Some gateways answer in JSON."""
    loki.usual()
    with run_loki(json.dumps(config_of(loki.name), default=str)) as stub:
        assert loki.run(LUXIMA_POLICIES__APPLICATION_LOGS__URL=stub.url)["done"]["condemned"] == 1
