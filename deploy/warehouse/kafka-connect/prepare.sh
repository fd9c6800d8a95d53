#!/bin/bash
# Brings the Connect worker, the Iceberg sink and the registry's converter with Maven into build/connect.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "$here/../../.." && pwd)/build/connect
wanted=$(cat "$here"/pom.xml "$here"/*/pom.xml "$here/prepare.sh" | sha256sum)
[[ -f $out/stamp && $(<"$out/stamp") == "$wanted" ]] && exit 0
rm -rf "$out"
mkdir -p "$out"
if ! mvn -B -q -f "$here/pom.xml" package >"$out/maven.log" 2>&1; then
  echo "Maven could not bring Kafka Connect: $(grep -m1 'ERROR' "$out/maven.log"); see build/connect/maven.log" >&2
  exit 1
fi
# The converter lacks its service-loader file: without it plugins are found by reading every class, 25 s a start.
python3 - "$out/plugins/apicurio/service-loader.jar" <<'PYTHON'
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1], "w") as jar:
    jar.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", "io.apicurio.registry.utils.converter.AvroConverter\n")
PYTHON
echo "$wanted" >"$out/stamp"
