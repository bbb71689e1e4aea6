"""Arithmetic of the networks: float32, or bfloat16 with float32 weights where the processor has it in hardware."""

from pathlib import Path
from typing import Literal

import keras
import tensorflow as tf

Precision = Literal["float32", "bfloat16"]
CPU_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


def resolve_precision(
    wanted: Literal["auto", "float32", "bfloat16"], cpu_info: Path = Path("/proc/cpuinfo")
) -> Precision:
    """`wanted`, with "auto" decided by the device: bfloat16 on a CPU that computes in it, else float32."""
    if wanted != "auto":
        return wanted
    if tf.config.list_physical_devices("GPU"):
        return "float32"
    return "bfloat16" if CPU_FLAGS & _cpu_flags(cpu_info) else "float32"


def _cpu_flags(cpu_info: Path) -> frozenset[str]:
    try:
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def dtype_policy(precision: Precision) -> keras.DTypePolicy:
    """The Keras policy: bfloat16 computes in bfloat16 and keeps float32 variables."""
    return keras.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else "float32")
