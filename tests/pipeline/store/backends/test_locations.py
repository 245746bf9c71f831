"""URLs: one form for each, and no secret in printed or stored text."""

from typing import Any

import fsspec.config
import pytest

from pipeline.config.describe import describe
from pipeline.config.settings import from_mapping
from pipeline.messages.errors import ConfigError
from pipeline.store.backends import locations
from tests.pipeline.toy import STAGES


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:secret@bucket/x", "s3://***@bucket/x"),
        ("at s3://key:se/cr@et@bucket/x: no", "at s3://***@bucket/x: no"),
        ("https://host/a.jpg?token=secret, and", "https://host/a.jpg?*** and"),
        ("a@b is no URL?", "a@b is no URL?"),
        ("s3://bucket/photos", "s3://bucket/photos"),
    ],
)
def test_shown_text_holds_no_secret(text: str, shown: str) -> None:
    assert locations.mask(text) == shown


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("S3://Bucket/Photos//", "s3://Bucket/Photos"),
        ("file:///a/b", "/a/b"),
        ("local:///a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("s3://bucket/a b%20c", "s3://bucket/a b%20c"),
    ],
)
def test_a_url_has_one_form(text: str, form: str) -> None:
    assert locations.canonical(text) == form


@pytest.mark.parametrize("text", ["s3://", "simplecache::s3://b/x", "s3://b/x?sig=secret"])
def test_other_urls_are_refused_without_their_secrets(text: str) -> None:
    with pytest.raises(ValueError, match="expected a URL") as refused:
        locations.canonical(text)
    assert "secret" not in str(refused.value)


def test_credentials_are_removed_from_the_url_and_passed_to_fsspec() -> None:
    options: dict[str, dict[str, Any]] = {"s3": {"anon": False}}
    assert locations.without_credentials("s3://me:hunter2@bucket/x@y", options) == "s3://bucket/x@y"
    assert locations.without_credentials("sftp://me:hunter2@host/x", options) == "sftp://host/x"
    assert options == {
        "s3": {"anon": False, "key": "me", "secret": "hunter2"},
        "sftp": {"username": "me", "password": "hunter2"},
    }
    with pytest.raises(ValueError, match=r"got another \w+ in 's3://") as refused:
        locations.without_credentials("s3://me:other@bucket/x", options)
    assert "hunter2" not in str(refused.value)
    for url in ("https://me:hunter2@host/x", "s3://me:hunt/er2@bucket/x"):
        with pytest.raises(ValueError, match="expected a ") as refused:
            locations.without_credentials(url, options)
        assert "hunt" not in str(refused.value)


def test_options_are_given_to_fsspec_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    locations.use({})  # clear the cache of other tests
    monkeypatch.setitem(fsspec.config.conf, "s3", {"anon": True})
    locations.use({"s3": {"endpoint_url": "x"}, "gs": {"token": "y"}})
    assert fsspec.config.conf["s3"] == {"anon": True, "endpoint_url": "x"}
    locations.use({})
    assert fsspec.config.conf["s3"] == {"anon": True}
    assert "gs" not in fsspec.config.conf
    assert locations.in_use() == {}


def test_messages_hold_no_secret_value() -> None:
    locations.use({"s3": {"key": "AKIA", "secret": "hunter2", "anon": False, "region": "x"}})
    said = locations.mask_all("AKIA may not ask https://u:p@h/x?sig=hunter2 for x: hunter2 is wrong")
    locations.use({})
    assert said == "*** may not ask https://***@h/x?*** for x: *** is wrong"


def config(**data: Any) -> Any:
    return from_mapping({"run": "r", "inputs": {"a": ["/photos"]}, **data}, STAGES)


def test_a_config_keeps_no_secret_where_it_is_shown() -> None:
    found = config(output="s3://me:hunter2@bucket/x", storage={"s3": {"endpoint_url": "http://hunter2"}})
    assert str(found.folder) == "s3://bucket/x/r"
    assert found.storage == {"s3": {"endpoint_url": "http://hunter2", "key": "me", "secret": "hunter2"}}
    for shown in (describe(found, STAGES), str(found.as_dict()), repr(found)):
        assert "hunter2" not in shown
    assert found.as_dict()["storage"] == {"s3": {"endpoint_url": "***", "key": "***", "secret": "***"}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"output": "https://host/x"}, "expected a folder, or the URL of an object store such as s3, gs or az"),
        (
            {"output": "memory://x", "scheduler": {"kind": "local"}},
            "expected scheduler.kind threads for memory",
        ),
        ({"output": "qq://x"}, "URL of an object store"),
        ({"inputs": {"a": ["qq://hunter2@x"]}}, r"inputs.a\[0\]: qq:// is not a protocol of fsspec"),
        ({"inputs": {"a": ["memory://x"]}}, "which other processes can't read"),
        ({"inputs": {"a": ["s3://bucket"]}, "output": "s3a://bucket/out"}, "overlaps"),
        ({"inputs": {"a": ["s3://bucket/out/r/photos"]}, "output": "s3://bucket/out"}, "overlaps"),
        ({"storage": {"s3": {"key": "***"}}}, "storage.s3.key: expected a value, got the mask"),
        ({"storage": {"s3": "hunter2"}}, "storage.s3: expected fsspec's keyword arguments"),
        ({"storage": ["hunter2"]}, "storage: expected protocols and their settings"),
        ({"inputs": {"a": ["s3://me:hunter2@b/?x=hunter2"]}}, "without a query"),
    ],
)
def test_mistakes_about_urls_are_one_line_each(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        config(**data)
    assert len(str(refused.value).splitlines()) == 1
    assert "hunter2" not in str(refused.value)


def test_neighbours_are_not_inside_each_other() -> None:
    config(output="s3://bucket/photos-out", inputs={"a": ["s3://bucket/photos"]})


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(protocol: str) -> None:
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    with pytest.raises(ConfigError, match=r"gs:// needs .* pip install .*'\.\[gcs\]'$"):
        locations.check_installed("gs")
