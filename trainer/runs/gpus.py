"""What is used of the GPUs that a process may use, as their driver tells it (NVML).

Everything here is missing somewhere: the library, the driver, a right, a value that this GPU does not measure. What is
missing is left unset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeVar

import structlog

from visionmesh.v1 import event_pb2

T = TypeVar("T")

logger = structlog.get_logger()


class Gpus:
    """Asks the driver. It is loaded by the first question; where that fails, there are no GPUs. For one thread."""

    def __init__(self) -> None:
        self._nvml: ModuleType | None = None
        self._loaded = False

    def use(self, environment: Mapping[str, str]) -> list[event_pb2.GpuUse]:
        """Use of the GPUs that a process with this environment sees, by the order of the driver."""
        if not self._loaded:
            self._nvml, self._loaded = _load(), True
        nvml = self._nvml
        if nvml is None:
            return []
        try:
            handles = _visible(nvml, environment.get("CUDA_VISIBLE_DEVICES"))
        except nvml.NVMLError as error:
            logger.warning("the GPUs cannot be listed", error=str(error))
            return []
        return [_use(nvml, handle) for handle in handles]


def _load() -> ModuleType | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        logger.info("no GPU is looked at", reason=str(error))
        return None
    module: ModuleType = pynvml
    return module


def _visible(nvml: ModuleType, names: str | None) -> Sequence[Any]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, by number or by identity, up to the first name that is none; all where
    it is not set. CUDA sorts by speed first, unless told by its place in the machine as the driver does: of GPUs of one
    kind that is the same."""
    count = nvml.nvmlDeviceGetCount()
    if names is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    handles: list[Any] = []
    for name in (name.strip() for name in names.split(",")):
        try:
            if name.startswith(("GPU-", "MIG-")):
                handles.append(nvml.nvmlDeviceGetHandleByUUID(name))
            else:
                handles.append(nvml.nvmlDeviceGetHandleByIndex(int(name)))
        except (ValueError, nvml.NVMLError):
            break
    return handles


def _use(nvml: ModuleType, handle: Any) -> event_pb2.GpuUse:
    use = event_pb2.GpuUse(index=_ask(nvml, nvml.nvmlDeviceGetIndex, handle), name=_name(nvml, handle))
    utilization = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    if utilization is not None:
        use.utilization_percent = utilization.gpu
    memory = _ask(nvml, nvml.nvmlDeviceGetMemoryInfo, handle)
    if memory is not None:
        use.memory_used_bytes, use.memory_total_bytes = memory.used, memory.total
    temperature = _ask(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    if temperature is not None:
        use.temperature_celsius = temperature
    return use


def _name(nvml: ModuleType, handle: Any) -> str | None:
    name = _ask(nvml, nvml.nvmlDeviceGetName, handle)
    return name.decode(errors="replace") if isinstance(name, bytes) else name


def _ask(nvml: ModuleType, question: Callable[..., T], *arguments: Any) -> T | None:
    try:
        return question(*arguments)
    except nvml.NVMLError:
        return None  # not measured by this GPU, or not told to us
