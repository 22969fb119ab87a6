"""Ray: places, starts, restarts and ends actors. The only file that knows it.

No actor class has an `async def`, since Ray reorders the calls of async actors: each runs its service on an event loop of
its own, in a thread. Ray never retries a call (`max_task_retries=0`): a retried call could place an order twice; the
journal makes redelivery safe instead. Actors are detached and named, since an owned child dies with a killed supervisor.
"""

# Ray's own annotations are partial, some are wrong, and its decorator hides what a class inherits:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportPrivateUsage=false
from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from actors.placement import Placement, PlacementKind
from actors.services import RunSpec, serve_market_data, serve_option_chain, serve_supervisor, serve_trader_host
from configs.logging import configure_logging
from runtime.errors import ServerUnavailable

NAMESPACE = "shoal"
SUPERVISOR, MARKET_DATA, OPTION_CHAIN = "supervisor", "market-data", "option-chain"
TOKEN_FILE = "ray.token"  # noqa: S105 - a file name

os.environ.setdefault("RAY_AUTH_MODE", "token")  # before ray is imported: it reads this once
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray would run its workers at 15: behind everything else on the machine

import ray  # noqa: E402
import ray.exceptions  # noqa: E402

_ANSWER_SECONDS = 5.0
_AHEAD = 2
"""Tasks handed to Ray for each core: one runs, one waits, and the rest cost no memory there."""
_RESTARTED = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": 0}


class _Service(ABC):
    """Runs one coroutine on a loop in a thread; the process ends with it, so that Ray starts a fresh one."""

    def __init__(self, spec: RunSpec, name: str) -> None:
        configure_logging(Path(spec.state) / "logs" / f"{name}.jsonl")
        self._name = name
        self._ready = threading.Event()
        threading.Thread(target=self._run, args=(self._service(spec),), name=name, daemon=True).start()

    @abstractmethod
    def _service(self, spec: RunSpec) -> Coroutine[Any, Any, None]: ...

    def _run(self, service: Coroutine[Any, Any, None]) -> None:
        from loguru import logger

        try:
            asyncio.run(service)
        except BaseException as error:  # noqa: BLE001 - the last line of defence: say why, then let Ray restart the process
            logger.opt(exception=True).critical("{} ends: {}", self._name, error)
            logger.complete()
            os._exit(1)

    def ready(self, timeout: float) -> bool:
        return self._ready.wait(timeout)

    def pid(self) -> int:
        return os.getpid()


class _Host(_Service):
    def __init__(self, spec: RunSpec, host_id: str) -> None:
        self._host_id = host_id
        super().__init__(spec, host_id)

    def _service(self, spec: RunSpec) -> Coroutine[Any, Any, None]:
        return serve_trader_host(spec, self._host_id, self._ready.set)


@ray.remote(**_RESTARTED)
class TraderHostActor(_Host):
    """Packed placement: one process, thousands of user traders."""


@ray.remote(**_RESTARTED)
class UserTraderActor(_Host):
    """Dedicated placement: one process, one user trader."""


@ray.remote(**_RESTARTED)
class SupervisorActor(_Service):
    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec, SUPERVISOR)

    def _service(self, spec: RunSpec) -> Coroutine[Any, Any, None]:
        return serve_supervisor(spec, RayPlacer(spec), self._ready.set)


@ray.remote(**_RESTARTED)
class MarketDataActor(_Service):
    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec, MARKET_DATA)

    def _service(self, spec: RunSpec) -> Coroutine[Any, Any, None]:
        return serve_market_data(spec, self._ready.set)


@ray.remote(**_RESTARTED)
class OptionChainActor(_Service):
    def __init__(self, spec: RunSpec) -> None:
        super().__init__(spec, OPTION_CHAIN)

    def _service(self, spec: RunSpec) -> Coroutine[Any, Any, None]:
        return serve_option_chain(spec, self._ready.set)


class RayPlacer:
    """`actors.placement.Placer` on Ray. Its calls block for milliseconds, so they run in a thread."""

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec

    async def ensure(self, placement: Placement) -> None:
        actor = UserTraderActor if placement.kind is PlacementKind.DEDICATED else TraderHostActor
        await asyncio.to_thread(_start, actor, placement.host_id, self._spec, placement.host_id)

    async def remove(self, host_id: str) -> None:
        await asyncio.to_thread(_end, host_id)


def _is_ready(actor: Any, timeout: float) -> bool:
    """False when it is not ready in time or is being restarted just now."""
    try:
        return bool(ray.get(actor.ready.remote(max(timeout, 0.0)), timeout=max(timeout, 0.0) + 1))
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        return False


def _start(actor: Any, name: str, *arguments: object) -> Any:
    return actor.options(name=name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True).remote(*arguments)


def _end(name: str) -> None:
    try:
        ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
    except ValueError:  # it is gone already
        return


def _pid(name: str) -> int | None:
    try:
        actor: Any = ray.get_actor(name, namespace=NAMESPACE)
        return int(ray.get(actor.pid.remote(), timeout=_ANSWER_SECONDS))
    except (ValueError, ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        return None


class Cluster:
    """The Ray side of a running system: joins `address`, or starts a local Ray that ends with this process."""

    def __init__(self, spec: RunSpec, *, address: str | None = None) -> None:
        self._spec = spec
        self._address = address

    def start(self) -> str:
        """Connect and return the cluster's address. Raises `ServerUnavailable` when it cannot be reached."""
        return _connect(Path(self._spec.state), self._address)

    def start_actors(self, *, timeout: float = 60.0) -> None:
        """Start the shared actors and wait until all of them serve; the supervisor starts the hosts."""
        actors = [
            _start(OptionChainActor, OPTION_CHAIN, self._spec),
            _start(MarketDataActor, MARKET_DATA, self._spec),
            _start(SupervisorActor, SUPERVISOR, self._spec),
        ]
        deadline = time.monotonic() + timeout
        for name, actor in zip((OPTION_CHAIN, MARKET_DATA, SUPERVISOR), actors, strict=True):
            while not _is_ready(actor, deadline - time.monotonic()):
                if time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"the actor {name} did not become ready within {timeout:.0f} s: see {self._spec.state}/logs/{name}.jsonl"
                    )

    def pids(self) -> dict[str, int]:
        """Process of each actor, by name, less those being restarted just now: for operators and for tests that end one."""
        names = [item["name"] for item in ray.util.list_named_actors(all_namespaces=True) if item["namespace"] == NAMESPACE]
        found = {name: _pid(name) for name in names}
        return {name: pid for name, pid in found.items() if pid is not None}

    def stop(self) -> None:
        """End every actor of ours; the supervisor first, so that it starts none anew."""
        if not ray.is_initialized():
            return
        names = [item["name"] for item in ray.util.list_named_actors(all_namespaces=True) if item["namespace"] == NAMESPACE]
        for name in sorted(names, key=lambda name: name != SUPERVISOR):
            _end(name)
        ray.shutdown()


class RayPool:
    """`actors.trials.TaskPool` on Ray: one task per core of the cluster at `address`, or of a Ray of our own on this machine.

    Tasks are pure functions, so Ray may run one again after a worker or a node was lost. What they share travels to each
    node once. Use as a context manager.
    """

    def __init__(self, state: Path, *, address: str | None = None) -> None:
        self._state = state
        self._address = address
        self.workers = 1

    def __enter__(self) -> Self:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _connect(self._state, self._address)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        return self

    def __exit__(self, *_: object) -> None:
        ray.shutdown()

    def map(self, function: Callable[[Any, Any], Any], shared: Any, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        kept = ray.put(shared)
        run: Any = ray.remote(num_cpus=1, max_retries=3)(function)
        waiting = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        while True:
            for number, task in itertools.islice(waiting, _AHEAD * self.workers - len(running)):
                running[run.remote(kept, task)] = number
            if not running:
                return
            [done], _ = ray.wait(list(running), num_returns=1)
            number = running.pop(done)
            try:
                answer = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise ServerUnavailable(f"Ray lost a task and cannot run it again: {error}") from error
            yield number, answer


def _connect(state: Path, address: str | None) -> str:
    """Join the cluster at `address`, or start a Ray of this machine that ends with this process; returns its address.

    Raises:
        ServerUnavailable: it cannot be reached or started.
    """
    _hear_ray()
    local: dict[str, Any] = {}
    if address is None:
        _keep_to_loopback()
        local = {"include_dashboard": False, "num_cpus": os.cpu_count(), "_node_ip_address": "127.0.0.1"}
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_token(state))
    try:
        context = ray.init(address=address or "local", namespace=NAMESPACE, log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # Ray raises a bare `Exception` where a node does not come up in time
        raise ServerUnavailable(f"Ray at {address or 'this machine'} cannot be reached or started: {error}") from error
    return str(context.address_info["address"])


def _hear_ray() -> None:
    """What Ray prints on a driver's standard output (many workers started, one has died) goes into the log: standard output is ours."""
    from loguru import logger
    from ray._private import worker

    def note(data: dict[str, Any], *, ignore_prefix: bool = False) -> None:
        del ignore_prefix
        for line in data["lines"]:
            logger.trace("Ray: {}", line)

    worker.print_to_stdstream = note


def _keep_to_loopback() -> None:
    """Ray replaces a loopback address by one that the network can reach, even when asked for it; a local Ray has no use for that."""
    from ray._private import services

    def unchanged(host: str) -> str:
        return host

    services.resolve_ip_for_localhost = unchanged


def _token(state: Path) -> Path:
    """The cluster's token in a file that only its owner can read."""
    path = state / TOKEN_FILE
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    path.chmod(0o600)
    return path
