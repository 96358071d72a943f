# What every scenario stands on: namespaces joined by a bad wire, programs in them, and waiting for what they say.
# Sourced by `run` and `soak`.

readonly LOSS_PERCENT=5 DELAY_MS=20 JITTER_MS=15 DUPLICATE_PERCENT=2
# A way so narrow, with a queue so long, that the sender's buffer fills.
readonly full_queue=(rate 20mbit burst 16kb latency 50s)

# The exit code of a scenario that has said what is wrong.
readonly FAILED=3

# The namespaces of this run, and of no other.
readonly prefix=voiceapp-$$
declare -A pid=()

passed() { echo "PASS  $scenario: $*"; }

failed() {
    echo "FAIL  $scenario: $*"
    exit "$FAILED"
}

begin() {
    scenario=$1
    began=$EPOCHREALTIME
    logs=$(mktemp -d "$scratch/$scenario.XXXX")
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.1f", now - then }'; }

# address 4|6 NUMBER: an address in the one network that there is.
address() {
    case $1 in
    4) echo "10.77.0.$2" ;;
    6) echo "fd77::$2" ;;
    esac
}

# with_port ADDRESS PORT
with_port() {
    case $1 in
    *:*) echo "[$1]:$2" ;;
    *) echo "$1:$2" ;;
    esac
}

# number NODE: the last part of a node's address. What moves, moves to this and 100.
number() {
    case $1 in
    server) echo 1 ;;
    ann) echo 11 ;;
    bob) echo 12 ;;
    cat) echo 13 ;;
    esac
}

inside() {
    local node=$1
    shift
    ip netns exec "$prefix-$node" "$@"
}

# lay_wire NODE...: makes a namespace for each node and joins them all by the bad wire.
lay_wire() {
    local node
    ip netns add "$prefix-switch"
    for node; do
        ip netns add "$prefix-$node"
        ip -n "$prefix-$node" link set lo up
    done
    "lay_$wire" "$@"
    for node; do
        settle "$node"
    done
}

lay_netem() {
    local node
    ip -n "$prefix-switch" link add bridge type bridge
    ip -n "$prefix-switch" link set bridge up
    for node; do
        ip -n "$prefix-switch" link add "$node" type veth peer name eth0 netns "$prefix-$node"
        # Each datagram has its own fate, also those that the server hands over as segments of one message.
        ip -n "$prefix-$node" link set eth0 gso_max_segs 1
        ip -n "$prefix-switch" link set "$node" master bridge up
        tc -n "$prefix-switch" qdisc add dev "$node" root netem "${netem[@]}"
    done
}

lay_tap() {
    local node
    start switch wire "$bin/wire" --seed 1 "${tap[@]}" "$@"
    wait_for wire '^ready' 5 || failed "the wire does not start"
    for node; do
        ip -n "$prefix-switch" link set "$node" netns "$prefix-$node" name eth0
    done
}

settle() {
    local node=$1 family
    for family in 4 6; do
        add_address "$node" "$family" "$(number "$node")"
    done
    ip -n "$prefix-$node" link set eth0 up
}

# add_address NODE 4|6 NUMBER
add_address() {
    [[ $2 == 4 || $has_ipv6 == yes ]] || return 0
    case $2 in
    4) ip -n "$prefix-$1" address add "$(address 4 "$3")/24" dev eth0 ;;
    # Nobody else can have the address, and on this wire the question whether somebody has would take its time.
    6) ip -n "$prefix-$1" address add "$(address 6 "$3")/64" dev eth0 nodad ;;
    esac
}

# What the wire did to all frames, of both directions and every protocol.
wire_counts() {
    case $wire in
    netem)
        tc -s -n "$prefix-switch" qdisc show | awk '/netem/ { ours = 1 } /Sent/ && ours {
            sent += $4; dropped += $7; ours = 0
        } END { printf "%d frames, %.1f %% lost", sent + dropped, 100 * dropped / (sent + dropped + 1e-9) }'
        ;;
    tap)
        tell wire end
        wait_for wire '^[0-9]+ frames' 5 >/dev/null
        tail -n 1 "$logs/wire.log"
        ;;
    esac
}

# start NODE NAME COMMAND...: runs a program in a node's namespace, which can be told lines and whose output is kept.
start() {
    local node=$1 name=$2
    shift 2
    mkfifo "$logs/$name.in"
    # Opened for both, so that it does not end between two lines.
    ip netns exec "$prefix-$node" "$@" <>"$logs/$name.in" >>"$logs/$name.log" 2>&1 &
    pid[$name]=$!
}

tell() {
    local name=$1
    shift
    printf '%s\n' "$*" 1<>"$logs/$name.in"
}

is_running() { kill -0 "${pid[$1]}" 2>/dev/null; }

# said NAME PATTERN: the lines in which it has said this so far.
said() { grep -E -- "$2" "$logs/$1.log" 2>/dev/null; }

# times_said NAME PATTERN: how often it has.
times_said() { said "$1" "$2" | wc -l || true; }

# wait_for NAME PATTERN SECONDS: fails if it has not said this by then.
wait_for() {
    local end=$((SECONDS + $3))
    until said "$1" "$2" >/dev/null; do
        ((SECONDS <= end)) || return 1
        sleep 0.1
    done
}

# expect NAME PATTERN SECONDS: the same, but that fails the scenario.
expect() {
    wait_for "$@" || failed "$1 did not say '$2' within $3 s; its last line is: $(tail -n 1 "$logs/$1.log")"
}

# start_server NODE [OPTION...]
start_server() {
    local node=$1
    shift
    start "$node" server "$bin/voiceapp-server" "$@"
    expect server 'management on TCP' 5
}

# stop_server: ends it in order; its statistics are the end of its log.
stop_server() {
    kill "${pid[server]}"
    wait "${pid[server]}" || failed "the server ended with exit code $?"
}

# statistic NAME: a figure of a server that has ended, 0 if it is not there.
statistic() { awk -v name="  $1 " 'index($0, name) == 1 { figure = $NF } END { print figure + 0 }' "$logs/server.log"; }

# enter NAME SERVER-ADDRESS [NODE]: logs a client in, in the namespace of its name or another, and lets it join
# voice. Three attempts, because a wire like this may well lose as many packets of one connection's start in a row.
enter() {
    local name=$1 attempt
    for attempt in 1 2 3; do
        rm -f "$logs/$name.in"
        start "${3:-$name}" "$name" "$bin/voiceapp" --name "$name" --server "$(with_port "$2" 9001)" \
            --reconnect 0
        wait_for "$name" '^logged in as|^voiceapp: ' 15 || true
        ! said "$name" '^logged in as' >/dev/null || break
        kill "${pid[$name]}" 2>/dev/null || true
        mv "$logs/$name.log" "$logs/$name.$attempt.log"
    done
    said "$name" '^logged in as' >/dev/null || failed "$name cannot log in"
    tell "$name" /join
    expect "$name" '^you are in voice' 10
    expect "$name" '^voice is ready, over UDP to' 20
}

# Ends every program of this run and takes its namespaces away, with all that is in them.
tear_down() {
    local namespace process
    for namespace in $(ip netns list 2>/dev/null | awk -v ours="$prefix-" 'index($1, ours) == 1 { print $1 }'); do
        for process in $(ip netns pids "$namespace" 2>/dev/null); do
            kill -KILL "$process" 2>/dev/null || true
        done
        ip netns delete "$namespace" || true
    done
}
