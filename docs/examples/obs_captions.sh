#!/bin/sh
# Captions for OBS: the newest two lines of what the computer plays, in a text file.
#
#   sh docs/examples/obs_captions.sh                            what the computer plays
#   sh docs/examples/obs_captions.sh --device usb               a microphone
#   sh docs/examples/obs_captions.sh --device usb --device system --mix
#
# In OBS: Sources, +, Text, "Read from file", and choose the file that is printed. It is empty while nobody speaks.
set -eu
captions=${CAPTIONS:-$HOME/captions.txt}
[ $# -gt 0 ] || set -- --device system
echo "captions for OBS: $captions"
exec edgespeech live "$@" --captions "$captions" --overwrite
