#!/usr/bin/env bash
# The README's table of properties against what the built elements say: --check, or --write it.
source "$(dirname "$0")/lib.sh"
own_gstreamer "$gst_folder"
exec python3 "$root/scripts/properties.py" "${1:---check}"
