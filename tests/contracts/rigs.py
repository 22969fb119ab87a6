"""Every broker of the contract suites. Adding one: docs/adding-a-broker.md."""

from __future__ import annotations

from runtime.accounts import Capability
from tests.contracts.paper_rig import PaperRig
from tests.contracts.rig import NetworkRig, Rig, lacks
from tests.contracts.upstox_rig import UpstoxRig

RIGS: dict[str, type[Rig]] = {"paper": PaperRig, "upstox": UpstoxRig}


def rigs_with(*capabilities: Capability) -> list[str]:
    """Names of those whose brokers have all of these."""
    return [name for name, rig in RIGS.items() if all(lacks(rig, capability) is None for capability in capabilities)]


def network_rig(name: str) -> type[NetworkRig]:
    rig = RIGS[name]
    assert issubclass(rig, NetworkRig), (
        f"the broker of {name} does not say that it lacks {Capability.NETWORK}: its rig must be a NetworkRig"
    )
    return rig
