# Sourced by demo.sh and test.sh: installs Debian packages that are not there yet.
# Works as root or with sudo; touches the network only when something is missing.

concord_build_packages=(
  g++ cmake ninja-build pkg-config
  libdnnl-dev libeigen3-dev libfmt-dev nlohmann-json3-dev libcli11-dev libturbojpeg0-dev libstb-dev
  zlib1g-dev libpugixml-dev libarchive-dev libssl-dev libcurl4-openssl-dev
  libbenchmark-dev
)
concord_test_packages=(libgtest-dev libboost-context-dev clang-format)
concord_browser_packages=(chromium fonts-dejavu-core)
concord_fuzz_packages=(clang libclang-rt-dev libomp-dev)

install_packages() { # PACKAGE...
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "error: needed and not found: ${missing[*]} (Debian package names)" >&2
    return 1
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: installing ${missing[*]} needs root or sudo" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "Installing ${missing[*]}" >&2
  local log
  log=$(mktemp)
  # One source that cannot be reached must not stop the others: what counts is the install.
  "${as_root[@]}" apt-get update -qq >"$log" 2>&1 || true
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# Uses ccache where there is one; its absence changes nothing but the time.
configure() { # CMAKE-ARGUMENT...
  local launcher=()
  command -v ccache >/dev/null &&
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
  cmake "${launcher[@]}" "$@" >/dev/null
}
