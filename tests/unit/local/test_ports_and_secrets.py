"""Ports stay the same where they can; secrets are made once and read by nobody else."""

import re
import socket
from pathlib import Path

import pytest
from relais_local.errors import LocalStackError
from relais_local.paths import Paths, may_pass, outside_home, write_private
from relais_local.ports import choose_ports, free_port, is_free, load_ports, save_ports
from relais_local.process import last_line
from relais_local.stack_secrets import load_or_make_secrets, make_secrets, parse_secrets


def test_ports_of_last_time_are_kept() -> None:
    first = choose_ports(["a", "b"], {})
    assert choose_ports(["b", "a", "c"], first).items() >= first.items()


def test_taken_port_is_replaced_and_the_others_stay() -> None:
    first = choose_ports(["a", "b"], {})
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["a"]))
        other.listen()
        assert not is_free(first["a"])
        second = choose_ports(["a", "b"], first)
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_preferred_port_is_taken_when_nothing_is_kept() -> None:
    port = free_port()
    assert choose_ports(["a"], {}, prefer={"a": port}) == {"a": port}


def test_no_two_names_share_a_port() -> None:
    port = free_port()
    chosen = choose_ports(["a", "b", "c"], {"a": port, "b": port}, prefer={"c": port})
    assert len(set(chosen.values())) == 3


def test_broken_ports_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    for text in ("", "[]", '{"a": "x"}', "{"):
        path.write_text(text)
        assert load_ports(path) == {}
    save_ports(path, {"a": 21000})
    assert load_ports(path) == {"a": 21000}


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    first = load_or_make_secrets(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_secrets(path) == first
    assert make_secrets() != first
    assert first.api_key not in repr(first)


def test_keys_have_the_documented_form() -> None:
    secrets = make_secrets()
    assert re.fullmatch(r"rk_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", secrets.api_key)
    assert secrets.api_key != secrets.other_key
    assert len(secrets.smsc_password) == 8


def test_missing_secret_is_named() -> None:
    with pytest.raises(LocalStackError, match="lack DATABASE_ANALYTICS"):
        parse_secrets("API_KEY=x\nMASTER_KEY=y\n", Path("secrets.env"))


def test_private_file_is_private_even_over_an_open_one(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


def test_full_disk_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relais_local.paths.MINIMUM_FREE_BYTES", 1 << 62)
    with pytest.raises(LocalStackError, match="free some room"):
        Paths(run=tmp_path / "run").make()


def test_closed_directory_stops_another_user(tmp_path: Path) -> None:
    import pwd

    nobody = pwd.getpwnam("nobody")
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    assert not may_pass(closed / "inner", nobody)
    assert not may_pass(closed / "not" / "yet" / "there", nobody)
    assert may_pass(Path("/usr/bin"), nobody)
    assert outside_home(closed) != outside_home(tmp_path)


def test_last_line_of_a_log_is_its_last_with_words(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert last_line(log) == ""
    log.write_text("first\nFATAL: no\n\n  \n")
    assert last_line(log) == "FATAL: no"
