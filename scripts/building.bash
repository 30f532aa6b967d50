# shellcheck shell=bash disable=SC2154  # root: see below
# Sourced by the scripts that build; `root` is the checkout. A build folder is one checkout's, is built by one process at a
# time, and is touched only when there is something to do.

whose_build() { # BUILD: prints the checkout that it was configured for
  /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1], encoding="utf-8"))["directories"]["source"])' \
    "$1/meson-info/meson-info.json" 2>/dev/null
}

with_build_lock() { # BUILD COMMAND...: a copy of the folder has no part in it, so the lock stands beside it
  local build=$1
  shift
  if ! mkdir -p "$(dirname "$build")" 2>/dev/null || [[ ! -w $(dirname "$build") ]]; then
    "$@" # which writes nothing there
    return
  fi
  {
    flock -n 9 || {
      echo "waiting for another build in $build" >&2
      flock 9
    }
    "$@"
  } 9>"$build.lock"
}

configure_build() { # BUILD OPTION...; the compiler is CXX, where that is set
  local build=$1 mark=$1/configured-as wanted owner compiler=${CXX:-} configured_with
  shift
  # Meson looks for ccache only where it chooses the compiler itself.
  if [[ -n $compiler && $compiler != *" "* ]] && command -v ccache >/dev/null; then compiler="ccache $compiler"; fi
  wanted=$(printf '%s\n' "$root" "$@" "compiler $compiler")
  if [[ -f $build/meson-private/coredata.dat && -f $mark && $(<"$mark") == "$wanted" ]]; then return 0; fi
  owner=$(whose_build "$build") || owner=""
  if [[ -n $owner && $owner != "$root" ]]; then
    # A checkout that was copied or moved has brought it along: paths within lead back to where it was.
    if [[ $(readlink -f "$build") != "$root"/build/* ]]; then
      echo "$build is the build folder of $owner" >&2
      return 1
    fi
    echo "$build was made for $owner: beginning anew" >&2
    rm -rf "$build" || return 1
  fi
  configured_with=$(sed -n 's/^compiler //p' "$mark" 2>/dev/null || true)
  if [[ -w $build && -f $build/meson-private/coredata.dat && $configured_with != "$compiler" ]]; then
    # Meson asks for the compiler once, when it sets a folder up.
    echo "$build was made with ${configured_with:-the default compiler}, now it is ${compiler:-that}: beginning anew" >&2
    rm -rf "$build" || return 1
  fi
  if [[ -e $build && ! -w $build ]]; then
    echo "$build is not configured as it must be, and cannot be written to" >&2
    return 1
  fi
  if [[ -f $build/meson-private/coredata.dat ]]; then
    meson configure "$build" "$@" && ninja -C "$build" build.ninja || return 1
  else
    (
      [[ -z $compiler ]] || export CXX=$compiler
      meson setup "$build" "$root" "$@"
    ) || return 1
  fi
  printf '%s\n' "$wanted" >"$mark"
}

build_targets() { # BUILD [TARGET...]: says nothing where there is nothing to build
  local build=$1 said
  shift
  if said=$(ninja -C "$build" -n "$@" 2>&1) && [[ $said == *"no work to do."* ]] && ! grep -q '^\[' <<<"$said"; then
    return 0
  fi
  if [[ ! -w $build ]]; then
    echo "$build is not up to date, and cannot be written to" >&2
    return 1
  fi
  ninja -C "$build" "$@"
}
