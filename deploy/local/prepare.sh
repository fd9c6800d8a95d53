#!/bin/bash
# Brings what the local stack needs and Python's packages cannot: Debian packages and the Java parts.
#   prepare.sh python   an interpreter that can make a virtual environment
#   prepare.sh tools    Java, Maven, PostgreSQL, then Kafka and the registry through pom.xml
#   prepare.sh peers    Node.js and npm, for the tests against carriers that others wrote
# What is there already is left alone. Root gets what is missing; anyone else is told the one command to run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../.." && pwd)/build

has_python() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

has_java() { # 17 or later: `java -version` says `openjdk version "17.0.15" ...`
  local major
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
  [[ ${major:-0} -ge 17 ]]
}

has_postgresql() { # 15 or later, where Debian puts them
  local newest
  newest=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -name postgres 2>/dev/null | sed 's#.*/\([0-9]*\)/bin/postgres#\1#' | sort -n | tail -1)
  [[ ${newest:-0} -ge 15 ]]
}

# need <test> <Debian package>...: collect the packages of what is not there.
missing=()
need() { "$1" || missing+=("${@:2}"); }
has_maven() { command -v mvn >/dev/null; }
has_node() { command -v node >/dev/null && command -v npm >/dev/null; }

install_missing() {
  [[ ${#missing[@]} -eq 0 ]] && return
  if [[ $(id -u) -ne 0 ]]; then
    echo "Relais needs Debian packages that are not here; run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  local log
  log=$(mktemp)
  apt_install() { apt-get install -qq -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
  echo "installing ${missing[*]}"
  if ! apt_install && ! { apt-get update -qq >"$log" 2>&1 && apt_install; }; then
    echo "apt-get could not install ${missing[*]}: $(grep -E '^E:' "$log" | tail -1); see $log" >&2
    exit 1
  fi
  rm -f "$log"
}

java_parts() {
  local stamp="$build/java.stamp" wanted
  wanted=$(sha256sum <"$here/pom.xml")
  if [[ -f $stamp && $(<"$stamp") == "$wanted" && -d $build/kafka/libs && -d $build/apicurio/lib ]]; then return; fi
  echo "bringing Kafka and the registry with Maven"
  mkdir -p "$build"
  rm -rf "$build/kafka" "$build/apicurio"
  local log="$build/maven.log"
  if ! mvn -B -q -f "$here/pom.xml" package >"$log" 2>&1; then
    echo "Maven could not bring Kafka and the registry: $(grep -m1 '^\S*\[ERROR\]' "$log" | sed 's/.*\[ERROR\] //'); see build/maven.log" >&2
    exit 1
  fi
  echo "$wanted" >"$stamp"
}

case "${1:-}" in
  python)
    need has_python python3 python3-venv
    install_missing
    ;;
  tools)
    need has_java default-jre-headless
    need has_maven maven
    need has_postgresql postgresql
    install_missing
    java_parts
    ;;
  peers)
    need has_node nodejs npm
    install_missing
    ;;
  *)
    echo "usage: prepare.sh python|tools|peers" >&2
    exit 2
    ;;
esac
