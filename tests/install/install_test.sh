#!/usr/bin/env bash
# Installs a finished build into a fresh prefix, moves the prefix, and builds and runs examples/embed.cc against it:
# by CMake with the shared and the static library, and by pkg-config.
#   install_test.sh CMAKE BUILD_DIR EXAMPLES_DIR CXX
set -eu
cmake=$1 build=$2 examples=$3 cxx=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "install_test: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$tmp/first" >"$tmp/log" || { cat "$tmp/log"; fail "cmake --install failed"; }
mv "$tmp/first" "$tmp/prefix"  # nothing in it may know where it was installed
for file in bin/tarn lib/libtarn.so lib/libtarn.so.0 lib/libtarn.a include/tarn/db.h include/tarn/sdk/backend.h \
            lib/cmake/tarn/tarnConfig.cmake lib/pkgconfig/tarn.pc; do
  [ -e "$tmp/prefix/$file" ] || fail "$file was not installed"
done
[ -z "$(find "$tmp/prefix/include" -type f ! -name '*.h')" ] || fail "include/ has something that is no header"
! grep -rqF "$build" "$tmp/prefix/lib/cmake" "$tmp/prefix/lib/pkgconfig" || fail "the package names the build tree"

export LD_LIBRARY_PATH="$tmp/prefix/lib"
runs() {  # runs PROGRAM: twice, as the second time finds a store
  local store
  store=$(mktemp -d -p "$tmp")
  for _ in 1 2; do
    "$1" "$store/store" >"$tmp/out" || fail "$1 failed"
    printf '%s\n' "lake/loch was: large" "lake/mere = shallow" "lake/tarn = small, deep" | diff - "$tmp/out" ||
      fail "$1 printed something else"
  done
}
for static in OFF ON; do
  "$cmake" -S "$examples" -B "$tmp/$static" -DCMAKE_PREFIX_PATH="$tmp/prefix" -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_BUILD_TYPE=Release -DTARN_EXAMPLES_STATIC=$static >"$tmp/log" 2>&1 ||
    { cat "$tmp/log"; fail "configuring with static=$static failed"; }
  "$cmake" --build "$tmp/$static" >"$tmp/log" 2>&1 || { cat "$tmp/log"; fail "building with static=$static failed"; }
  runs "$tmp/$static/embed"
done
ldd "$tmp/OFF/embed" | grep -q "libtarn.so.0 => $tmp/prefix" || fail "the shared example does not use libtarn.so.0"
! ldd "$tmp/ON/embed" | grep -q libtarn || fail "the static example needs libtarn.so"

export PKG_CONFIG_PATH="$tmp/prefix/lib/pkgconfig"
# shellcheck disable=SC2046  # the words of pkg-config are meant to be split
"$cxx" -std=c++20 "$examples/embed.cc" $(pkg-config --cflags --libs tarn) -o "$tmp/embed"
runs "$tmp/embed"
# shellcheck disable=SC2046
"$cxx" -std=c++20 "$examples/embed.cc" $(pkg-config --cflags tarn) "$tmp/prefix/lib/libtarn.a" \
  $(pkg-config --static --libs tarn | sed 's/-ltarn//') -o "$tmp/embed-static"
runs "$tmp/embed-static"
# The program of the README, as it stands there.
if [ -f "$examples/../README.md" ]; then
  {
    printf '#include <cstdio>\n#include <string>\n#include <string_view>\n'
    echo 'static void Print(std::string_view, std::string_view);'
    awk '/^## /{ on = /A store in/ } on && /^    /{ print substr($0, 5) }' "$examples/../README.md"
    echo 'static void Print(std::string_view k, std::string_view) { std::printf("%.*s ", int(k.size()), k.data()); }'
    echo 'int main() { return Use().ok() ? 0 : 1; }'
  } >"$tmp/readme.cc"
  # shellcheck disable=SC2046
  "$cxx" -std=c++20 "$tmp/readme.cc" $(pkg-config --cflags --libs tarn) -o "$tmp/readme"
  (cd "$tmp" && ./readme >out) || fail "the program of the README failed"
  [ "$(cat "$tmp/out")" = "a safe " ] || fail "the program of the README printed: $(cat "$tmp/out")"
fi
status=0
"$tmp/prefix/bin/tarn" no-such-verb >"$tmp/out" 2>&1 || status=$?
if [ $status -eq 0 ] || [ $status -ge 126 ]; then fail "the installed bin/tarn does not run (status $status)"; fi
echo ok
