#!/usr/bin/env bash
# Trains on Kubernetes as a JobSet, one pod for each host; all pods start again after a preemption.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/k8s_jobset.sh --name=NAME --image=IMAGE --hosts=N --gpus=N --claim=CLAIM
                            --config=CONFIG --workdir=FOLDER [options] [-- main's flags]

  --name       of the JobSet
  --image      container image whose working directory is this repository, with '.[train]' installed
  --hosts      pods
  --gpus       GPUs of each
  --claim      persistent volume claim that all pods can write to, mounted at /data
  --config     config file, relative to the repository
  --workdir    work directory, a path below /data
  --restarts   how often all pods may be started again (default: 1000)
  --dry-run    print the manifest instead of applying it with kubectl
  --help       print this

A pod that is evicted gets SIGTERM: all hosts save the same step and end with status 75, and all are
started again. So it is when one of them dies. A configuration that cannot be used (status 2) and
a training that diverged (3) are not tried again. The cluster needs the JobSet controller.
TEXT
}

fail() {
  printf 'k8s_jobset.sh: %s\n' "$1" >&2
  exit 2
}

name='' image='' hosts='' gpus='' claim='' config='' workdir='' restarts=1000 dry_run=no
flags=()
while (($#)); do
  case $1 in
    --help) usage; exit 0 ;;
    --dry-run) dry_run=yes ;;
    --) shift; flags=("$@"); break ;;
    --name=*) name=${1#*=} ;;
    --image=*) image=${1#*=} ;;
    --hosts=*) hosts=${1#*=} ;;
    --gpus=*) gpus=${1#*=} ;;
    --claim=*) claim=${1#*=} ;;
    --config=*) config=${1#*=} ;;
    --workdir=*) workdir=${1#*=} ;;
    --restarts=*) restarts=${1#*=} ;;
    *) fail "unknown option $1; flags of the training come after -- (see --help)" ;;
  esac
  shift
done
for option in name image hosts gpus claim config workdir; do
  [[ -n ${!option} ]] || fail "--$option=... is missing (see --help)"
done
for option in hosts gpus restarts; do
  [[ ${!option} =~ ^[1-9][0-9]*$ ]] || fail "--$option must be a positive number, found ${!option}"
done
[[ $name =~ ^[a-z]([a-z0-9-]{0,40}[a-z0-9])?$ ]] || fail "--name must be a DNS label, found $name"
[[ $workdir == /data/* ]] || fail "--workdir must be below /data, found $workdir"

# A YAML string between double quotes.
quote() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

arguments() {
  local word
  for word in -m vatt_gh.main --distributed "--config=$config" "--workdir=$workdir" \
    ${flags[@]+"${flags[@]}"}; do
    printf '                    - %s\n' "$(quote "$word")"
  done
}

manifest() {
  cat <<YAML
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $name
spec:
  failurePolicy:
    maxRestarts: $restarts
    rules:
      - action: FailJobSet
        onJobFailureReasons: [PodFailurePolicy]
  replicatedJobs:
    - name: host
      replicas: 1
      template:
        spec:
          completionMode: Indexed
          parallelism: $hosts
          completions: $hosts
          backoffLimit: 0
          podFailurePolicy:
            rules:
              - action: FailJob
                onExitCodes:
                  operator: In
                  values: [2, 3]
          template:
            spec:
              restartPolicy: Never
              terminationGracePeriodSeconds: 180
              containers:
                - name: train
                  image: $(quote "$image")
                  command: [python]
                  args:
$(arguments)
                  env:
                    - name: JAX_COORDINATOR_ADDRESS
                      value: $name-host-0-0.$name:8476
                    - name: JAX_NUM_PROCESSES
                      value: "$hosts"
                    - name: JAX_PROCESS_ID
                      valueFrom:
                        fieldRef:
                          fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
                  resources:
                    limits:
                      nvidia.com/gpu: $gpus
                  volumeMounts:
                    - name: data
                      mountPath: /data
              volumes:
                - name: data
                  persistentVolumeClaim:
                    claimName: $claim
YAML
}

if [[ $dry_run == yes ]]; then
  manifest
else
  command -v kubectl >/dev/null || fail 'kubectl is not installed'
  manifest | kubectl apply -f -
fi
