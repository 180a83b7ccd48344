"""What is installed and how it runs: locked by hash, and a container that may do next to nothing."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)


def read_lock(name: str) -> dict[str, str]:
    """Return the versions in a lock."""
    return {canonicalize_name(package): version for package, version in PIN.findall((ROOT / name).read_text())}


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_has_its_hash(name: str) -> None:
    """No line of a lock lets pip take what was not seen before."""
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())

    assert len(entries) > 40
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", LOCKS)
def test_locks_and_constraints_agree(name: str) -> None:
    """One version of everything, wherever it is written down; `make lock` brings the locks up to date."""
    pinned = {
        canonicalize_name(package): version for package, version in PIN.findall((ROOT / "constraints.txt").read_text())
    }
    locked = read_lock(name)

    assert {package for package in locked if locked[package] != pinned.get(package, locked[package])} == set()


@pytest.mark.parametrize(
    ("name", "extras"), [("requirements.lock", ("postgres", "oauth")), ("requirements-dev.lock", ("train", "test"))]
)
def test_a_lock_has_everything_that_is_asked_for(name: str, extras: tuple[str, ...]) -> None:
    """What pyproject.toml names is locked in a version that it allows, torch apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    wanted = [Requirement(line) for line in named]
    locked = read_lock(name)

    for requirement in wanted:
        package = canonicalize_name(requirement.name)
        if package not in {"torch", "apprentice"}:
            assert package in locked, f"{package}: run make lock"
            assert requirement.specifier.contains(locked[package]), f"{package}: run make lock"


def test_containers_may_do_next_to_nothing() -> None:
    """Nobody is root, nothing is written but the data, no capability, no new privilege; ports stay on the machine."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    dockerfile = (ROOT / "Dockerfile").read_text()

    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert all("docker.sock" not in volume and not volume.startswith(("/", ".")) for volume in service["volumes"])
    assert services["postgres"]["user"] == "postgres"
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert dockerfile.rindex("\nUSER ") < dockerfile.rindex("\nENTRYPOINT ")


def test_the_image_installs_by_hash() -> None:
    """Whatever runs in it was named by its hash."""
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = [line for line in dockerfile.splitlines() if "pip install" in line]

    assert len(installs) == 3
    assert all("--require-hashes" in line for line in installs[:2])
    assert '".[${EXTRAS}]"' in installs[2]
