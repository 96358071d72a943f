# Who is on the server during a soak, and how they come and go. Sourced by `soak`.
#
# Two crowds stay all the time, one over each family, and the first brings every storm that `crowd` knows. Beside them, eve
# and tom talk and say what they see, four others join, mute and leave as fast as they are answered, one is banned now
# and then, and smaller crowds come to vanish or to stall.

readonly PLAZA_USERS=100 PLAZA_SPEAKERS=6 GARDEN_USERS=50 GARDEN_SPEAKERS=4
readonly FLAPPERS=4
# What the storm keeps on the server: those who chat, those who never read, and those who come and go.
readonly STORM_CHATTERS=12 STORM_SLOW_READERS=50 STORM_LOGINS=8
# Those of them who have gone a moment ago, which a server that shares a busy machine has not read yet: 0.1 s of the 210
# who go in a second. It must stay below a crowd of ghosts.
readonly STORM_LEAVING=20
# `crowd` logs in, and waits for quiet before and after it speaks.
readonly CROWD_PATIENCE_S=5

# Each smaller crowd has an address of its own. At an old one, the kernel would answer what the server still sends to those
# who have vanished, and so tell it.
readonly GROUP_USERS=30 GROUP_EVERY_S=30 GROUP_COMES_AT_S=15 GROUP_VANISHES_AFTER_S=22 GROUP_NUMBERS=140
readonly STALL_USERS=15 STALL_EVERY_S=60 STALL_COMES_AT_S=12 STALL_BEGINS_AFTER_S=10 STALL_LASTS_S=35 STALL_NUMBERS=80
readonly GONE_WITHIN_S=60
# From this long before the end, nobody new comes.
readonly LAST_GROUP_S=60
readonly BANS_EVERY_S=20

# Of each group: where it is, since when it has vanished, and how many are in now, all together.
declare -A group_address=() vanished_at=() number_of=()
in_now=0 vanished_now=0 stalled_now=0 groups=0 stalls=0 gone=() gone_for_eve=()

number() { echo "${number_of[$1]}"; }
number_of=([server]=1 [plaza]=2 [garden]=3 [steady]=4 [flap]=5 [exile]=6)

lay_plain() {
    local node
    ip -n "$prefix-switch" link add bridge type bridge
    ip -n "$prefix-switch" link set bridge up
    for node; do plug "$node"; done
}

# plug NODE: joins a namespace to the others.
plug() {
    ip -n "$prefix-switch" link add "$1" type veth peer name eth0 netns "$prefix-$1"
    ip -n "$prefix-switch" link set "$1" master bridge up
}

# family NUMBER: every other one is IPv6, if the machine has it.
family() {
    if (($1 % 2 == 1)) && [[ $has_ipv6 == yes ]]; then echo 6; else echo 4; fi
}

# start_heard NODE NAME PATTERN COMMAND...: as `start`, and of its output only the lines that match are kept: all that the
# storms say would be hundreds of megabytes.
start_heard() {
    local node=$1 name=$2 pattern=$3
    shift 3
    # shellcheck disable=SC2016
    start "$node" "$name" bash -c 'p=$1; shift; exec "$@" > >(exec grep --line-buffered -E -- "$p") 2>&1' - "$pattern" "$@"
    # Its end is its own matter, and bash would tell of every one that was killed.
    disown "${pid[$name]}"
}

# start_client NODE NAME FAMILY PATTERN
start_client() {
    start_heard "$1" "$2" "^logged in|^voiceapp:|^voice is ready|^skipped|could not be read${4:+|$4}" "$bin/voiceapp" \
        --name "$2" --server "$(with_port "$(address "$3" 1)" 9001)" --reconnect 0
}

# start_crowd NODE NAME FAMILY OPTION...
start_crowd() {
    local node=$1 name=$2 family=$3
    shift 3
    start "$node" "$name" "$bin/crowd" --server "$(with_port "$(address "$family" 1)" 9001)" "$@"
}

# processes NODE SIGNAL: sends it to all that runs there.
processes() {
    local process
    for process in $(ip netns pids "$prefix-$1"); do
        kill "-$2" "$process" 2>/dev/null || true
    done
}

crowds_enter() {
    local seconds=$(($1 - CROWD_PATIENCE_S)) name
    start_crowd plaza plaza 4 --users "$PLAZA_USERS" --speakers "$PLAZA_SPEAKERS" --seconds "$seconds" --storm all
    start_crowd garden garden "$(family 1)" --users "$GARDEN_USERS" --speakers "$GARDEN_SPEAKERS" --seconds "$seconds"
    start_client steady eve "$(family 1)" '^\* ghost-|^  *[0-9]+ .*ghost|^tom: |^you are in voice'
    start_client steady tom 4 '^spoke|^you are in voice'
    for name in eve tom; do
        expect "$name" '^logged in' 20
        tell "$name" /join
        expect "$name" '^voice is ready' 20
    done
    # A tone is 3,600 s at most.
    for ((seconds = $1; seconds > 0; seconds -= 3600)); do
        tell tom "/tone $((seconds < 3600 ? seconds : 3600))"
        tell tom "/wait $((seconds < 3600 ? seconds + 1 : 3600))"
    done
    for ((name = 1; name <= FLAPPERS; name++)); do
        start_client flap "flap-$name" "$(family "$name")" ''
        expect "flap-$name" '^logged in' 20
    done
    start_heard flap flapping none bash -c 'cd "$1"; while :; do for line in /join /mute /unmute /leave; do
        for name in flap-*.in; do echo "$line" 1<>"$name"; done; sleep 0.05; done; done' - "$logs"
    # Whoever is banned comes again and again.
    start_heard exile exile '^logged in|^voiceapp:' bash -c 'while :; do "$@"; sleep 1; done' - "$bin/voiceapp" \
        --name exile --server "$(with_port "$(address 4 1)" 9001)" --reconnect 0
}

# look_after_crowds SECOND OF: all that is due in this second.
look_after_crowds() {
    local second=$1 group
    if ((second % GROUP_EVERY_S == GROUP_COMES_AT_S && second < $2 - LAST_GROUP_S)); then group_comes; fi
    if ((second % STALL_EVERY_S == STALL_COMES_AT_S && second < $2 - LAST_GROUP_S)); then stall_comes; fi
    if ((second % GROUP_EVERY_S == (GROUP_COMES_AT_S + GROUP_VANISHES_AFTER_S) % GROUP_EVERY_S && in_now > 0)); then group_vanishes; fi
    if ((second % STALL_EVERY_S == STALL_COMES_AT_S + STALL_BEGINS_AFTER_S && stalled_now > 0)); then processes stall STOP; fi
    if ((second % STALL_EVERY_S == STALL_COMES_AT_S + STALL_BEGINS_AFTER_S + STALL_LASTS_S && stalled_now > 0)); then stall_ends; fi
    if ((second > 0 && second % BANS_EVERY_S == 0)); then
        write_bans $((second / BANS_EVERY_S))
        kill -HUP "${pid[server]}"
    fi
    for group in "${!vanished_at[@]}"; do look_for_gone "$group"; done
}

group_comes() {
    local node family
    groups=$((groups + 1))
    node=group-$groups family=$(family "$groups")
    number_of[$node]=$((20 + groups % GROUP_NUMBERS))
    group_address[$node]=$(address "$family" "${number_of[$node]}")
    ip netns add "$prefix-$node"
    plug "$node"
    settle "$node"
    start_crowd "$node" "$node" "$family" --users "$GROUP_USERS" --speakers 2 --seconds 600
    disown "${pid[$node]}"
    start_client "$node" "ghost-$groups" "$family" ''
    # What it is told before it listens is lost.
    wait_for "ghost-$groups" '^logged in' 10 || wrong "ghost-$groups cannot log in"
    tell "ghost-$groups" /join
    in_now=$((GROUP_USERS + 1))
}

# Its link goes, and only then its processes: nothing that the kernel says on their behalf arrives anywhere.
group_vanishes() {
    local node=group-$groups there
    there=$(connections_from "${group_address[$node]}")
    ((there == GROUP_USERS + 1)) || wrong "$there of $((GROUP_USERS + 1)) in $node were there after" \
        "$GROUP_VANISHES_AFTER_S s: $(tail -n 1 "$logs/$node.log")"
    ip -n "$prefix-$node" link set eth0 down
    processes "$node" KILL
    ip -n "$prefix-switch" link delete "$node"
    ip netns delete "$prefix-$node"
    vanished_at[$node]=$EPOCHREALTIME
    vanished_now=$((vanished_now + in_now)) in_now=0
}

# The server's kernel tells when the last of their connections was let go, and eve when the last to come was gone for her.
look_for_gone() {
    local node=$1 elapsed ghost=ghost-${1#group-}
    elapsed=$(seconds_since "${vanished_at[$node]}")
    if (($(connections_from "${group_address[$node]}") > 0)) || ! said eve "^\* $ghost left the server" >/dev/null; then
        ((${elapsed%.*} > GONE_WITHIN_S)) || return 0
        wrong "$node is still there $elapsed s after it has vanished: $(connections_from "${group_address[$node]}")" \
            "connections, and for eve: $(said eve "^\* $ghost " | tail -n 1)"
    fi
    [[ $(said eve "^\* $ghost left") == "* $ghost left voice"$'\n'"* $ghost left the server" ]] ||
        wrong "eve was not told once, and in order, that $ghost left: $(said eve "^\* $ghost left")"
    gone+=("$elapsed")
    vanished_now=$((vanished_now - GROUP_USERS - 1))
    unset "vanished_at[$node]"
    rm -f "$logs/$node".* "$logs/$ghost".*
}

stall_comes() {
    stalls=$((stalls + 1))
    number_of[stall]=$((160 + stalls % STALL_NUMBERS))
    ip netns add "$prefix-stall"
    plug stall
    settle stall
    rm -f "$logs/stall.in"
    start_crowd stall stall "$(family $((stalls + 1)))" --users "$STALL_USERS" --speakers 2 --seconds 600
    disown "${pid[stall]}"
    stalled_now=$STALL_USERS
}

# These break their connections: the kernel answers for them.
stall_ends() {
    processes stall KILL
    sleep 0.2
    ip -n "$prefix-switch" link delete stall
    ip netns delete "$prefix-stall"
    stalled_now=0
}

# write_bans NUMBER: the exile is in every other one, among networks that nobody has, of a number that varies.
write_bans() {
    {
        (($1 % 2 == 0)) || address 4 "$(number exile)"
        awk -v lines=$((100 + $1 % 5 * 1000)) 'BEGIN { for (i = 0; i < lines; i++)
            printf "198.18.%d.%d/32 # %d\n2001:db8:%x::/48\n", i / 256, i % 256, i, i }'
    } >"$logs/bans"
}

# All leave, in whatever way is theirs.
crowds_leave() {
    local name
    for name in plaza garden; do
        # What was wrong is judged by judge_crowds.
        wait "${pid[$name]}" || true
    done
    tell eve /stats
    expect eve '^tom: ' 5
    processes exile KILL
    kill "${pid[flapping]}"
    for name in eve tom $(seq -f flap-%g "$FLAPPERS"); do tell "$name" /quit; done
}
