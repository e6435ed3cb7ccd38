"""A tiny program for the local pod: joins it, sums over all devices, exits as its flags say."""

import os
import sys
import time


def main() -> None:
    assert sys.argv[1] == "--distributed"
    if "--sleep" in sys.argv:
        print("sleeping", os.getpid())
        time.sleep(300)
    import jax

    jax.distributed.initialize(
        num_processes=int(os.environ["JAX_NUM_PROCESSES"]),
        process_id=int(os.environ["JAX_PROCESS_ID"]),
    )
    index = jax.process_index()
    if "--fail" in sys.argv and index == 1:
        os._exit(7)
    devices = jax.local_device_count()
    numbers = jax.numpy.arange(devices) + 10 * index
    total = jax.pmap(lambda x: jax.lax.psum(x, "devices"), axis_name="devices")(numbers)
    answer = f"process {index} of {jax.process_count()}, {devices} devices: {total.tolist()}"
    if "--fail" in sys.argv:
        answer += " survived"
    print(answer)


if __name__ == "__main__":
    main()
