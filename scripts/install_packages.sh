#!/bin/sh
# Installs the Debian packages that the build and the tests need: only the missing ones, and
# nothing when all are there (a second run takes no time). Uses sudo when it is not root.
set -u

packages="
  clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev lld-19 llvm-19 libomp-19-dev
  cmake ninja-build ccache pkg-config git ca-certificates
  libboost1.81-dev libcurl4-openssl-dev libfyaml-dev libre2-dev libfmt-dev libspdlog-dev
  libcli11-dev libsqlite3-dev libssl-dev libxxhash-dev libzstd-dev zlib1g-dev libhwy-dev
  libhowardhinnant-date-dev tzdata prometheus-cpp-dev
  libpqxx-dev postgresql
  libgtest-dev libgmock-dev libbenchmark-dev libtbb-dev
  bubblewrap chromium-headless-shell python3 python3-venv python3-pip
"

installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' $packages 2>/dev/null |
  sed -n 's/^ii *//p')
missing=""
for package in $packages; do
  case "
$installed
" in
    *"
$package
"*) ;;
    *) missing="$missing $package" ;;
  esac
done
# Node may come from elsewhere than Debian.
command -v npm >/dev/null 2>&1 || missing="$missing nodejs npm"

[ -z "$missing" ] && exit 0

say() { echo "sluice: $*" >&2; }

if ! command -v apt-get >/dev/null 2>&1; then
  say "this system has no apt-get. Install these Debian packages' equivalents, then run make again:$missing"
  exit 1
fi
root=""
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    say "packages are missing and neither root nor sudo is here. As root, run: apt-get install$missing"
    exit 1
  fi
  root="sudo"
fi

log=$(mktemp)
no_service=""
trap 'rm -f "$log"; [ -z "$no_service" ] || $root rm -f "$no_service"' EXIT
options="-q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30
  -o DPkg::Lock::Timeout=300"
say "installing packages (a few minutes on a bare machine):$missing"
$root apt-get $options update >"$log" 2>&1 || say "apt-get update failed; trying with the old lists"
# The tests start a database server of their own; Debian's would run all the time for nobody.
no_service=/etc/postgresql-common/createcluster.d/sluice.conf
case " $missing " in
  *" postgresql "*)
    $root mkdir -p "${no_service%/*}"
    echo "create_main_cluster = false" | $root tee "$no_service" >/dev/null
    ;;
  *) no_service="" ;;
esac
if ! $root env DEBIAN_FRONTEND=noninteractive \
  apt-get $options install -y --no-install-recommends $missing >>"$log" 2>&1; then
  tail -n 15 "$log" >&2
  if grep -q "No space left" "$log"; then
    say "the disk is full: free about 3 GB, then run the same command again."
  elif grep -qE "Could not resolve|Failed to fetch|Could not connect" "$log"; then
    say "no answer from the package servers: check the network and apt's proxy, then run the same command again."
  elif grep -q "Unable to locate package" "$log"; then
    say "a package is unknown here: Sluice is built on Debian 12 (with its security updates as an apt source)."
  else
    say "apt-get could not install the packages; its last words are above."
  fi
  exit 1
fi
