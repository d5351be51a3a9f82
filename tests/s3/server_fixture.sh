#!/usr/bin/env bash
# The server that all tests labelled s3 share, for ctest.
#   server_fixture.sh start|stop FILE     start writes the environment of the server to FILE; stop removes it
# TARN_S3_TESTS=off: nothing is started, and the tests skip. TARN_S3_ENDPOINT set: the tests use that server.
set -eu
action=$1 file=$2
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)
export TARN_S3_HOME=${file%.env}
case ${TARN_S3_TESTS:-on} in
  on) ;;
  off) rm -f "$file"; echo "TARN_S3_TESTS=off: no S3 server is started"; exit 77 ;;
  *) echo "TARN_S3_TESTS is on or off, and not $TARN_S3_TESTS" >&2; exit 1 ;;
esac
if [ -n "${TARN_S3_ENDPOINT:-}" ]; then
  rm -f "$file"
  echo "the tests use TARN_S3_ENDPOINT=$TARN_S3_ENDPOINT"
  exit 77
fi
case $action in
  start)
    if ! said=$("$scripts/s3_server" start 2>&1 >"$file.new"); then
      rm -f "$file.new"
      echo "no S3 server for the tests: ${said##*$'\n'} (or skip them: TARN_S3_TESTS=off)" >&2
      exit 1
    fi
    mv "$file.new" "$file"
    ;;
  stop) "$scripts/s3_server" stop && rm -f "$file" ;;
esac
