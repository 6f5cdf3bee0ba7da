#!/bin/sh
# Stands in for Docker's program where no engine is: runs the container's command as a process, in the folder
# $FAKE_DOCKER, and keeps a log of how it was called.
set -e
cd "${FAKE_DOCKER:?}"
echo "$*" >> calls
begin() {
  set -- $(cat "$1.command") "$1"
  for name; do :; done
  case $1 in redis-server) setsid redis-server "$2" > "$name.log" 2>&1 < /dev/null & ;; *) exit 9 ;; esac
  echo $! > "$name.pid"
}
gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
verb=$1
shift
case $verb in
  version) echo 99.0 ;;
  run)
    while :; do
      case $1 in
        --detach) shift ;;
        --name) name=$2; shift 2 ;;
        --*) shift 2 ;;
        *) break ;;
      esac
    done
    shift
    # No network of its own here: the server must stay on loopback.
    sed -i 's/^bind .*/bind 127.0.0.1/' "$2"
    echo "$*" > "$name.command"
    begin "$name"
    ;;
  start) begin "$1" ;;
  kill) kill -9 "$(cat "$3.pid")" ;;
  wait) while ! gone "$(cat "$1.pid")"; do sleep 0.02; done ;;
  pause) kill -STOP "$(cat "$1.pid")" ;;
  unpause) kill -CONT "$(cat "$1.pid")" ;;
  inspect) if gone "$(cat "$3.pid")"; then echo false; else echo true; fi ;;
  exec) shift 3; exec "$@" ;;
  logs) cat "$3.log" ;;
  rm)
    for name; do :; done
    kill -9 "$(cat "$name.pid")" 2> /dev/null || true
    rm -f "$name.pid" "$name.command"
    ;;
  *) exit 9 ;;
esac
