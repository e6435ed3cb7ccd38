"""Four CPU devices for every test; JAX reads this before its first use."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
# Most of the suite's time is compilation, of programs that run once.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
