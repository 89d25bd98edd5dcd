#!/bin/sh
# Runs a program of an image. FEDAU2_DATABASE_FILE may name a file with the URL of its database: a secret that is
# neither in the arguments, which everybody on the machine can read, nor in the container's description.
set -eu
umask 077
if [ -n "${FEDAU2_DATABASE_FILE:-}" ]; then
  url=$(cat "$FEDAU2_DATABASE_FILE")
  case $1 in
    fedau2-coordinator) export FEDAU2_COORDINATOR_DATABASE="$url" ;;
    fedau2-unmasker) export FEDAU2_UNMASKER_DATABASE="$url" ;;
  esac
  unset url FEDAU2_DATABASE_FILE
fi
exec "$@"
