# What the machine must have, what it has, and the programs. Sourced by `run` and `soak`.
#
# Everything that can only be tried is tried in a namespace of its own, which is gone at once.

netem=(delay "${DELAY_MS}ms" "${JITTER_MS}ms" loss "$LOSS_PERCENT%" duplicate "$DUPLICATE_PERCENT%" limit 10000)
tap=(--loss "$LOSS_PERCENT" --delay "$DELAY_MS" --jitter "$JITTER_MS" --duplicate "$DUPLICATE_PERCENT")
harm="$LOSS_PERCENT % lost, $DELAY_MS ± $JITTER_MS ms late, $DUPLICATE_PERCENT % twice"
wire='' wire_description='' has_ipv6=no has_tbf=no

# Says what is missing, and ends the run.
cannot() {
    echo "network: this machine does not allow it, and nothing was changed:"
    printf '  %s\n' "$@"
    exit 77
}

# Ends the run where there can be no namespaces, and leaves one to try other things in.
open_probe() {
    local lacks=() tool error
    [[ $(uname -s) == Linux ]] || cannot "network namespaces are Linux's, and this is $(uname -s)"
    ((EUID == 0)) || lacks+=("only root may make network namespaces: sudo $0")
    for tool in ip tc; do
        command -v "$tool" >/dev/null || lacks+=("there is no $tool: it comes with iproute2")
    done
    ((${#lacks[@]} == 0)) || cannot "${lacks[@]}"

    error=$(ip netns add "$prefix-probe" 2>&1) || cannot "no network namespaces: $error"
    if ip -n "$prefix-probe" link set lo up && ip -n "$prefix-probe" addr add fd77::1/64 dev lo; then
        has_ipv6=yes
    fi 2>/dev/null
}

check_machine() {
    open_probe
    if tc -n "$prefix-probe" qdisc add dev lo root tbf "${full_queue[@]}" 2>/dev/null; then
        has_tbf=yes
    fi
    local no_netem='not asked for' no_tap='not asked for'
    if [[ ${NETWORK_WIRE:-netem} == netem ]] && no_netem=$(try_netem 2>&1); then
        wire=netem
        wire_description="tc netem behind veth and a bridge; a frame on its way from one to another is: $harm"
    elif [[ ${NETWORK_WIRE:-tap} == tap ]] && no_tap=$(try_tap 2>&1); then
        wire=tap
        wire_description="tools/netlab between TAP devices (no netem: ${no_netem%%$'\n'*}); a frame on its way \
from one to another is: $harm"
    else
        cannot "no netem: ${no_netem%%$'\n'*}" "no TAP devices instead: ${no_tap%%$'\n'*}"
    fi
    ip netns delete "$prefix-probe"
}

# For who needs no faults: veth and a bridge are enough.
check_for_plain_wire() {
    local error
    open_probe
    error=$(try_veth 2>&1) || cannot "no veth and bridge: ${error%%$'\n'*}"
    ip netns delete "$prefix-probe"
    wire=plain
}

try_veth() {
    ip -n "$prefix-probe" link add port type veth peer name eth0 || return
    ip -n "$prefix-probe" link add bridge type bridge
}

try_netem() {
    try_veth || return
    tc -n "$prefix-probe" qdisc add dev port root netem "${netem[@]}"
}

try_tap() {
    if [[ ! -c /dev/net/tun ]]; then
        echo "there is no /dev/net/tun"
        return 1
    fi
    ip -n "$prefix-probe" tuntap add mode tap name tap0
}

# Says what this scenario needs and the machine does not have, and fails if that is nothing.
what_lacks() {
    case $1 in
    *ipv6 | second_address) [[ $has_ipv6 == no ]] && echo "this machine has no IPv6" ;;
    full_*) [[ $has_tbf == no ]] && echo "this kernel has no tbf, to make a narrow way" ;;
    *) return 1 ;;
    esac
}

# Builds the programs, as whoever called sudo, so that no files of root's are left among theirs.
build() {
    local cargo=(cargo) home
    bin=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release
    if [[ -n ${SUDO_USER:-} && $SUDO_USER != root ]]; then
        home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
        cargo=(runuser -u "$SUDO_USER" -- env HOME="$home" PATH="$home/.cargo/bin:$PATH" cargo)
    fi
    "${cargo[@]}" --version >/dev/null 2>&1 || cannot "there is no cargo, to build the programs with"
    cargo+=(build --release --locked --workspace --bins)
    "${cargo[@]}" 2>"$scratch/build.log" || { cat "$scratch/build.log"; exit 1; }
}
