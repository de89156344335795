#!/usr/bin/env bash
# The browser tests use the distribution's Chromium. Installs it where that is possible; says so where it is not.
set -u
if command -v chromium >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium && exit 0
fi
echo "Chromium is not installed and cannot be installed here: the browser tests will be skipped."
