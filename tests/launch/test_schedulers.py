"""Slurm and Kubernetes: what would be run, what is done when a training is stopped, discovery."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml
from tiny_run import ROOT

SLURM = ["bash", "launch/slurm.sbatch"]
K8S = ["bash", "launch/k8s_jobset.sh"]
FLAGS = ["--config=configs/howto100m.py", "--workdir=/data/run one", '--config.data.also=("a",)']
POD = ["--name=vatt", "--image=me/vatt:1", "--hosts=4", "--gpus=8", "--claim=disk"]


def run(*command, **environment):
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("script", ["launch/slurm.sbatch", "launch/k8s_jobset.sh"])
def test_syntax_and_help(script):
    assert run("bash", "-n", script).returncode == 0
    answer = run("bash", script, "--help")
    assert answer.returncode == 0 and "usage:" in answer.stdout


def test_slurm_prints_the_command_of_every_task():
    answer = run(*SLURM, "--dry-run", *FLAGS, PYTHON="/env/bin/python")
    assert answer.returncode == 0
    expected = ["-m", "vatt_gh.main", "--distributed", *FLAGS]
    assert shlex.split(answer.stdout) == [
        "srun",
        "--kill-on-bad-exit=1",
        "/env/bin/python",
        *expected,
    ]
    for missing in range(2):
        answer = run(*SLURM, "--dry-run", *FLAGS[:missing], *FLAGS[missing + 1 :])
        name = FLAGS[missing].partition("=")[0]
        assert answer.returncode == 2 and f"{name}=... is missing" in answer.stderr


# A task; what it writes says that it can be asked to stop.
TASK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143 if {late} else 75))
open({folder!r} + "/task", "w").write(str(os.getpid()))
time.sleep({seconds})
sys.exit({status})
"""
# As the real one, it kills its task when it gets SIGTERM.
SRUN = """#!/usr/bin/env python3
import signal, subprocess, sys
open({folder!r} + "/calls", "a").write("srun " + " ".join(sys.argv[1:]) + "\\n")
task = subprocess.Popen([sys.executable, "-c", {task!r}])
signal.signal(signal.SIGTERM, lambda *_: task.kill())
status = task.wait()
sys.exit(status if status >= 0 else 128 - status)
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> {folder}/calls
kill -TERM "$(cat {folder}/task)"
"""
SCONTROL = """#!/bin/sh
echo "scontrol $*" >> {folder}/calls
"""


def slurm_job(folder, *, status=0, seconds=0, late=False):
    """Starts the batch script with Slurm's commands replaced; returns it and their calls."""
    task = TASK.format(folder=str(folder), status=status, seconds=seconds, late=late)
    for name, text in (("srun", SRUN), ("scancel", SCANCEL), ("scontrol", SCONTROL)):
        (folder / name).write_text(text.format(folder=str(folder), task=task))
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "41"}
    job = subprocess.Popen([*SLURM, *FLAGS], cwd=ROOT, env=os.environ | environment)
    return job, folder / "calls"


@pytest.mark.parametrize("status", [0, 2, 75, 137])
def test_slurm_ends_a_job_that_ends_by_itself(tmp_path, status):
    job, calls = slurm_job(tmp_path, status=status)
    assert job.wait(timeout=30) == status
    [call] = calls.read_text().splitlines()
    assert call.startswith("srun --kill-on-bad-exit=1")


@pytest.mark.parametrize(("late", "status"), [(False, 75), (True, 143)])
def test_slurm_queues_a_job_again_whose_time_is_over(tmp_path, late, status):
    """The tasks are asked to stop; whichever status srun tells, the job is queued again."""
    job, calls = slurm_job(tmp_path, seconds=60, late=late)
    end = time.monotonic() + 30
    task = tmp_path / "task"
    while not task.exists() or not task.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)  # as Slurm does, to the script alone
    assert job.wait(timeout=30) == status
    expected = ["scancel --signal=TERM 41", "scontrol requeue 41"]
    assert calls.read_text().splitlines()[1:] == expected


def job_set(*options):
    """What the manifest says of it, for these options and flags of the training."""
    experiment = ["--config=configs/demo.py", "--workdir=/data/run"]
    answer = run(*K8S, *POD, *experiment, "--dry-run", *options)
    assert answer.returncode == 0, answer.stderr
    return yaml.safe_load(answer.stdout)["spec"]


def test_kubernetes_gets_a_pod_for_each_host():
    spec = job_set("--", FLAGS[2])
    [job] = spec["replicatedJobs"]
    job = job["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 4
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"][:3] == ["-m", "vatt_gh.main", "--distributed"]
    assert container["args"][3:] == ["--config=configs/demo.py", "--workdir=/data/run", FLAGS[2]]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 8}
    variables = {v["name"]: v.get("value") for v in container["env"]}
    assert variables["JAX_NUM_PROCESSES"] == "4"
    assert variables["JAX_COORDINATOR_ADDRESS"] == "vatt-host-0-0.vatt:8476"
    # Errors of the user are final; a pod that was stopped or killed is not.
    [rule] = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob" and rule["onExitCodes"]["values"] == [2, 3]
    assert spec["failurePolicy"]["maxRestarts"] == 1000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("--name=", "--name=... is missing"),
        ("--hosts=0", "--hosts must be a positive number"),
        ("--name=Vatt", "--name must be a DNS label"),
        ("--workdir=/tmp/x", "--workdir must be below /data"),
        ("--what=1", "unknown option --what=1"),
    ],
)
def test_kubernetes_refuses_what_does_not_fit(changed, message):
    answer = run(*K8S, *POD, "--config=c", "--workdir=/data/run", "--dry-run", changed)
    assert answer.returncode == 2 and message in answer.stderr and not answer.stdout


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


DESCRIBE = "--config.mode=describe"


def slurm_task(number):
    """Arguments and variables of a task of the batch script's srun, as Slurm sets them."""
    variables = {
        "SLURM_JOB_ID": str(os.getpid() % 4096),  # JAX takes its port from it
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": "0",
        "SLURM_STEP_NUM_NODES": "2",
    }
    answer = run(
        *SLURM,
        "--dry-run",
        "--config=configs/demo.py",
        "--workdir=/data/run",
        DESCRIBE,
    )
    _, _, _, *arguments = shlex.split(answer.stdout)
    return arguments, variables


def kubernetes_pod(number):
    """Arguments and variables of the manifest's container in the pod of an index."""
    [job] = job_set("--hosts=2", "--", DESCRIBE)["replicatedJobs"]
    [container] = job["template"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    [index] = [
        v["valueFrom"]["fieldRef"]["fieldPath"] for v in container["env"] if "value" not in v
    ]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    return container["args"], {k: str(number) if v is None else v for k, v in variables.items()}


@pytest.mark.parametrize("scheduler", [slurm_task, kubernetes_pod])
def test_processes_find_each_other_by_the_scheduler_s_variables(scheduler, tmp_path):
    """The real command in two processes: each describes the model for the devices of both."""
    base = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    base |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
    here = f"127.0.0.1:{free_port()}"  # in place of the cluster's name of the first pod
    processes = []
    for number in range(2):
        arguments, variables = scheduler(number)
        if "JAX_COORDINATOR_ADDRESS" in variables:
            variables["JAX_COORDINATOR_ADDRESS"] = here
        processes.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=base | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        said, error = process.communicate(timeout=120)
        assert process.returncode == 0, error[-2000:]
        assert "each of 2 device(s), 32 of 64 samples" in said


def test_tokens_are_not_printed():
    options = ["--name=n", "--zone=z", "--type=t", "--version=v", "--config=c", "--workdir=/w"]
    for url in (
        "https://me:s3cret@host/x.git",
        "https://me:s3cret/s3cret@host/x.git",
        "https://host/x.git?private_token=s3cret&also=s3cret",
        "s3cret@host/x.git",
    ):
        answer = run("bash", "launch/tpu_pod.sh", *options, f"--repo={url}", "--dry-run")
        assert "s3cret" not in answer.stdout + answer.stderr
        assert ("host/x.git" in answer.stdout) == (answer.returncode == 0) == ("://" in url)
        if "://" in url:  # in another message
            answer = run("bash", "launch/tpu_pod.sh", *options, url)
            assert answer.returncode == 2 and "host/x.git" in answer.stderr
            assert "s3cret" not in answer.stdout + answer.stderr
    answer = run("bash", "launch/tpu_pod.sh", *options, "--repo=/no/such/folder", "--dry-run")
    assert answer.returncode == 2 and "/no/such/folder" in answer.stderr
    answer = run(
        "bash", "launch/tpu_pod.sh", *options, "--repo=https://me:s3cret@host/x.git", "--dry-run"
    )
    assert answer.returncode == 0 and "https://***@host/x.git" in answer.stdout
