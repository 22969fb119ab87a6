"""The cluster file is what Ray's launcher accepts, and safe by default."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "ray_cluster.yaml").read_text())


def test_it_satisfies_rays_own_schema(cluster: dict[str, Any]) -> None:
    package = find_spec("ray")
    assert package is not None
    assert package.origin is not None
    schema = json.loads((Path(package.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)


def test_every_node_starts_with_token_authentication_and_no_public_dashboard(cluster: dict[str, Any]) -> None:
    starts = [command for kind in ("head", "worker") for command in cluster[f"{kind}_start_ray_commands"] if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_nodes_install_what_is_locked(cluster: dict[str, Any]) -> None:
    assert any("make setup" in command for command in cluster["setup_commands"])
    assert "--require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()


def test_the_lock_names_no_host_and_no_path() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert not [line for line in lock.splitlines() if "://" in line or " @ " in line or line.startswith("-")]
