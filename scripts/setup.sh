# shellcheck shell=bash disable=SC2154
# Shared by quickstart and check; sourced, not run. Needs $root, the top of the tree, and $name, the caller's name.
#   install_packages build|test|bench   the Debian packages that are missing, as root or through sudo; each list holds
#                                       the one before it, and bench adds the engines that tarn-bench compares with
#   install_packages s3|ceph            what scripts/s3_server needs in any case, and the Ceph of this Debian with it
#   build [TARGET...]             the release preset: build/bin/tarn, build/lib/libtarn.*; all without a target

die() { echo "$name: $*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

build_packages="g++ cmake ninja-build ccache mold pkg-config python3 liburing-dev libxxhash-dev libzstd-dev liblz4-dev
  libfuse3-dev fuse3 libgtest-dev libgmock-dev libbenchmark-dev libssl-dev libcurl4-openssl-dev libexpat1-dev
  libcli11-dev nlohmann-json3-dev libfmt-dev"
s3_packages="ca-certificates curl debian-archive-keyring openssl util-linux"
ceph_packages="ceph-mon ceph-osd radosgw"
test_packages="acl attr clang e2fsprogs fio gcc git libclang-rt-14-dev make python3-swift rsync
  sqlite3 tar valgrind xfsprogs $s3_packages"
bench_packages="librocksdb-dev libleveldb-dev liblmdb-dev libwiredtiger-dev rclone"

install_packages() {
  local wanted=$build_packages missing="" package as_root=""
  case $1 in
    build) ;;
    test) wanted="$wanted $test_packages" ;;
    bench) wanted="$wanted $test_packages $bench_packages" ;;
    s3) wanted=$s3_packages ;;
    ceph) wanted="$s3_packages $ceph_packages" ;;
    *) die "install_packages $1: there is build, test, bench, s3 and ceph" ;;
  esac
  command -v dpkg-query >/dev/null || die "this is no Debian-like system; install by hand, then rerun: $wanted"
  for package in $wanted; do
    case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)" in
      *" installed") ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "packages are missing and there is no sudo; as root: apt-get install$missing"
    as_root="sudo"
  fi
  say "installing:$missing"
  $as_root apt-get update -qq || die "apt-get update failed; check the network, then rerun"
  # shellcheck disable=SC2086  # a list of words
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    die "apt-get could not install:$missing"
}

build() {
  # So that a cache hit does not depend on where the tree lies.
  export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$root CCACHE_SLOPPINESS=include_file_mtime,include_file_ctime
  say "building (release, $(nproc) jobs)"
  cd "$root" || die "cannot enter $root"
  local log
  log=$(cmake --preset release 2>&1) || { printf '%s\n' "$log" >&2; die "cmake could not configure the build"; }
  cmake --build --preset release -j "$(nproc)" ${1:+--target "$@"} || die "the build failed"
}
