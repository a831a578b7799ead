#!/usr/bin/env bash
# The tables of properties in docs/elements.md against what the built elements say: --check, or --write them.
source "$(dirname "$0")/lib.sh"
own_gstreamer "$gst_folder"
exec python3 "$root/scripts/properties.py" "${1:---check}"
