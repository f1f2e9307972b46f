#!/bin/sh
# The packages of an image, for the machine that TARGETARCH names, on whatever machine builds it:
#   packages.sh fetch LOCK…      download what the locks name, each file held to its hash
#   packages.sh install EXTRAS   make an environment of api-gpu with its extras, of that and of this folder, without pip;
#                                and the notices of licences of all that is in it
set -eu
packages=${PACKAGES:-/packages}
environment=${ENVIRONMENT:-/opt/api-gpu}

case "${TARGETARCH:-}" in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
  *)
    echo "packages.sh: TARGETARCH is '${TARGETARCH:-}'; it is amd64 or arm64, and BuildKit sets it" >&2
    exit 2
    ;;
esac
# pip takes none of the older tags along: those up to glibc 2.36, which Debian 12 has.
tags=$(seq -f "--platform manylinux_2_%g_$machine" 36 -1 5)
options="$tags --platform manylinux2014_$machine --platform manylinux1_$machine"
# No wheel is published of it: it is built here, by what was fetched.
source_only=pysrt

fetch() {
  scratch=$(mktemp -d)
  cat "$@" > "$scratch/all"
  awk -v name="$source_only==" '/^[a-z]/ { is_it = index($0, name) == 1 } !is_it' "$scratch/all" > "$scratch/wheels"
  awk -v name="$source_only==" '/^[a-z]/ { is_it = index($0, name) == 1 } is_it' "$scratch/all" > "$scratch/source"
  # shellcheck disable=SC2086
  download --only-binary :all: $options --requirement "$scratch/wheels"
  pip install --quiet --no-cache-dir --no-index --find-links "$packages" --upgrade hatchling setuptools
  download --no-binary "$source_only" --no-build-isolation --requirement "$scratch/source"
  pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir "$packages" "$packages"/*.tar.gz
  rm -r "$scratch"
}

download() {
  pip download --quiet --no-cache-dir --no-deps --require-hashes --dest "$packages" "$@"
}

install() {
  pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir "$packages" .
  python -m venv --without-pip "$environment"
  site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # shellcheck disable=SC2086
  pip install --quiet --no-cache-dir --no-index --find-links "$packages" --only-binary :all: $options \
    --target "$site" "api-gpu[$1]"
  # Programs belong beside Python, and start by the one of the environment.
  for program in "$site"/bin/*; do
    if [ "$(head -c 2 "$program")" = '#!' ]; then sed -i "1s|.*|#!$environment/bin/python|" "$program"; fi
    mv "$program" "$environment/bin/"
  done
  rmdir "$site/bin"
  # What is in the source as it is built, for each machine that there is one for.
  find "$site/encoder" -name 'late_words.*.so' ! -name "late_words.$machine.so" -delete
  "$environment/bin/python" -P -m api_gpu.notices > "$environment/NOTICES"
}

action=$1
shift
case "$action" in
  fetch | install) "$action" "$@" ;;
  *) exit 2 ;;
esac
