#!/bin/sh
# `portolan` in the container, for `docker exec`.
exec node /app/scripts/portolan.js "$@"
