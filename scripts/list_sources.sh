#!/bin/sh
# Prints our C++ sources, separated by NUL bytes.
cd "$(dirname "$0")/.." || exit 1
for folder in src tests bench; do
  [ -d "$folder" ] && find "$folder" -name node_modules -prune -o \
    \( -name '*.cpp' -o -name '*.h' \) -print0
done
exit 0
