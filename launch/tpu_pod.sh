#!/usr/bin/env bash
# Trains on a Cloud TPU slice: creates it where it does not exist, installs vatt_gh on all of its
# workers and starts the same command on each; creates a preempted slice again, and goes on.
# Also runs under the bash 3.2 of macOS.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: launch/tpu_pod.sh --name=NAME --zone=ZONE --type=TYPE --version=VERSION
                         --config=CONFIG --workdir=FOLDER [options] [-- main's flags]

  --name      name of the TPU slice; one that exists and is READY is used as it is
  --zone      its zone, for example us-central2-b
  --type      its accelerator type, for example v4-32
  --version   its software version, for example tpu-ubuntu2204-base
  --config    config file, relative to the repository, for example configs/demo.py
  --workdir   work directory, a path that all workers share: a Filestore share, or a bucket that
              is mounted with gcsfuse
  --repo      git URL that the workers clone, or a checkout on this machine that is copied to
              them (default: the checkout that this script lies in)
  --ref       branch, tag or commit (default: HEAD)
  --spot      create a spot slice: cheaper, and preempted when others want it
  --restarts  tries to create a preempted slice again, five minutes apart (default: 100)
  --dry-run   print the commands, one a line, and run none
  --help      print this

What is copied from a checkout is what is committed at --ref. The training goes on when the
connection breaks; its output is in ~/vatt_gh.log on every worker. After a preemption the training
continues from its newest checkpoint, for as long as this script runs. The script does not delete
the slice at the end.
For more than one worker gcloud wants its key in the agent: ssh-add ~/.ssh/google_compute_engine
TEXT
}

fail() {
  printf 'tpu_pod.sh: %s\n' "$(without_tokens "$1")" >&2
  exit 2
}

# What stands before the @ of a URL, or behind its ?, may be a token; commands that are shown go
# into logs.
without_tokens() {
  local text=$1 user="://[^@ ]+@" query="(://[^?# ]*)[?#][^ ]+"
  while [[ $text =~ $user ]]; do
    text=${text//"${BASH_REMATCH[0]}"/$'://***\1'}
  done
  while [[ $text =~ $query ]]; do
    text=${text//"${BASH_REMATCH[0]}"/"${BASH_REMATCH[1]}"$'\2***'}
  done
  text=${text//$'\2'/'?'}
  printf '%s' "${text//$'\1'/@}"
}

# Prints one argument so that a shell reads it back as it was; plain words stay plain.
quote() {
  local single="'\\''"
  case $1 in
    '' | *[!A-Za-z0-9_./:=@%+,-]*) printf "'%s'" "${1//\'/$single}" ;;
    *) printf '%s' "$1" ;;
  esac
}

quote_all() {
  local separator='' word
  for word in "$@"; do
    printf '%s' "$separator"
    quote "$word"
    separator=' '
  done
}

# Runs a command, or only prints it.
run() {
  if [[ $dry_run == yes ]]; then
    printf '%s\n' "$(without_tokens "$(quote_all "$@")")"
  else
    "$@"
  fi
}

on_workers() {
  run gcloud compute tpus tpu-vm ssh "$name" "--zone=$zone" --worker=all --quiet "--command=$1"
}

name='' zone='' type='' version='' config='' workdir='' repo='' ref=HEAD dry_run=no
spot=no restarts=100 flags=''

parse() {
  local option value
  while (($#)); do
    case $1 in
      --help) usage; exit 0 ;;
      --dry-run) dry_run=yes; shift; continue ;;
      --spot) spot=yes; shift; continue ;;
      --)
        shift
        flags=$(quote_all "$@")
        return
        ;;
      --*=*) option=${1%%=*} value=${1#*=}; shift ;;
      --*)
        # A forgotten value must not swallow the next flag: it might be --dry-run.
        [[ $# -gt 1 && $2 != --* ]] || fail "$1 needs a value (see --help)"
        option=$1 value=$2
        shift 2
        ;;
      *) fail "unexpected argument $(quote "$1"); flags of the training come after -- (see --help)" ;;
    esac
    case $option in
      --name) name=$value ;;
      --zone) zone=$value ;;
      --type) type=$value ;;
      --version) version=$value ;;
      --config) config=$value ;;
      --workdir) workdir=$value ;;
      --repo) repo=$value ;;
      --ref) ref=$value ;;
      --restarts) restarts=$value ;;
      *) fail "unknown option $option (see --help)" ;;
    esac
  done
}

check() {
  local option missing=''
  for option in name zone type version config workdir; do
    [[ -n ${!option} ]] || missing="$missing --$option"
  done
  [[ -z $missing ]] || fail "missing:$missing (see --help)"
  [[ $restarts =~ ^[0-9]+$ ]] || fail "--restarts must be a number, found $(quote "$restarts")"
  restarts=$((10#$restarts))
  # The training knows files alone: gs://... would become a folder of each worker's own.
  [[ $workdir == /* ]] || fail "--workdir must start with /, found $(quote "$workdir")"
  if [[ -z $repo ]]; then
    repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  elif [[ ! -d $repo && $repo != *://* && $repo != git@* ]]; then
    [[ $repo == *[@?]* ]] && repo='(not shown: it may hold a token)'
    fail "--repo is neither a folder nor a git URL: $(quote "$repo")"
  fi
  if [[ $dry_run == no ]] && ! command -v gcloud >/dev/null; then
    fail 'gcloud is not installed; see https://cloud.google.com/sdk/docs/install'
  fi
}

tpu_vm() {
  local what=$1
  shift
  run gcloud compute tpus tpu-vm "$what" "$name" "--zone=$zone" "$@"
}

create() {
  local spot_flag=''
  [[ $spot == no ]] || spot_flag=--spot
  tpu_vm create "--accelerator-type=$type" "--version=$version" ${spot_flag:+"$spot_flag"}
}

# Sets `state`: that of the slice, or NOT_FOUND; fails, with gcloud's words in it, where it is unknown.
ask_for_state() {
  state=$(tpu_vm describe '--format=value(state)' 2>&1) && return
  [[ $state == *NOT_FOUND* ]] || return
  state=NOT_FOUND
}

create_where_missing() {
  local state
  if [[ $dry_run == yes ]]; then
    tpu_vm describe '--format=value(state)'
    create
    return
  fi
  ask_for_state || fail "cannot ask for the slice: $state"
  case $state in
    READY) printf 'using the slice %s\n' "$(quote "$name")" ;;
    NOT_FOUND) create ;;
    PREEMPTED) create_again ;;
    *) fail "the slice $(quote "$name") exists and is $state, not READY" ;;
  esac
}

# Whether the slice was preempted; its state takes a moment to say so. A slice that is gone was
# deleted by somebody, who does not want it back.
preempted() {
  local state='' try
  for try in 1 2 3; do
    sleep 30
    ! ask_for_state || break
  done
  [[ $state == PREEMPTED ]]
}

# What a creation that failed has left is in the way of the next one.
create_again() {
  local state
  while ((restarts > 0)); do
    restarts=$((restarts - 1))
    if ask_for_state; then
      [[ $state == NOT_FOUND ]] || tpu_vm delete --quiet || :
      ! create || return 0
    fi
    printf 'the slice cannot be created now: tries again in five minutes\n' >&2
    sleep 300
  done
  fail 'the slice was preempted, and is not created again (see --restarts)'
}

# Puts the source at ~/vatt_gh on all workers: a clone or a copy, because the package alone would
# bring no configs.
send_source() {
  local folder=/tmp archive
  if [[ ! -d $repo ]]; then
    on_workers "rm -rf ~/vatt_gh && git clone --quiet $(quote "$repo") ~/vatt_gh &&\
 git -C ~/vatt_gh checkout --quiet $(quote "$ref")"
    return
  fi
  if [[ $dry_run == no ]]; then
    folder=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder is known now, and out of scope at the end
    trap "rm -rf $(quote "$folder")" EXIT
  fi
  archive=$folder/vatt_gh.tar.gz
  run git -C "$repo" archive --format=tar.gz --prefix=vatt_gh/ "--output=$archive" "$ref"
  run gcloud compute tpus tpu-vm scp "$archive" "$name:" "--zone=$zone" --worker=all --quiet
  on_workers 'rm -rf ~/vatt_gh && tar -xzf ~/vatt_gh.tar.gz -C ~'
}

# The Python of many TPU software versions is older than jax wants; uv brings one of its own.
install() {
  on_workers "cd ~/vatt_gh && python3 -m pip install --user --quiet uv &&\
 python3 -m uv venv --quiet --clear --python=3.11 ~/vatt_gh_env &&\
 python3 -m uv pip install --quiet --python=\"\$HOME/vatt_gh_env/bin/python\"\
 -c constraints.txt 'jax[tpu]' '.[train]'"
}

# nohup keeps the training alive without us; tail shows it for as long as we are there.
train() {
  local main
  main=$(quote_all -m vatt_gh.main --distributed "--config=$config" "--workdir=$workdir")
  on_workers "cd ~/vatt_gh && : >~/vatt_gh.log && {\
 nohup ~/vatt_gh_env/bin/python $main${flags:+ $flags} >>~/vatt_gh.log 2>&1 </dev/null &\
 pid=\$!; tail -n +1 -F --pid=\$pid ~/vatt_gh.log; wait \$pid; }"
}

# gcloud catches Ctrl-C itself: without these the loop would go on.
trap 'exit 130' INT
trap 'exit 143' TERM
parse "$@"
check
create_where_missing
while :; do
  # In a list with && the shell would run on after a command that fails.
  set +e
  (set -e; send_source; install; train)
  status=$?
  set -e
  [[ $status != 0 ]] || exit 0
  preempted || exit "$status"
  printf 'the slice was preempted: creates it again\n' >&2
  create_again
done
