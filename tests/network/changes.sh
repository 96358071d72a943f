# Clients that vanish, lose their line for a while, or move. Sourced by `run`.

# The promise: whoever vanished is gone for the others within a minute.
readonly GONE_WITHIN_S=60

unplug_idle_ipv4() { unplug 4 never; }
unplug_chat_ipv6() { unplug 6 0; }
# The worst moment: just before keepalive would have found out.
unplug_late_ipv4() { unplug 4 24; }

# unplug FAMILY CHAT-FROM: one client's link goes down, and nothing of it gets through any more, not even that it gives up. As
# long as the server has nothing to send to it over TCP, keepalive must find out. Chat, from this second on, stays
# unacknowledged, and keepalive does not ask while something does. Voice goes on meanwhile, also to who cannot be reached.
unplug() {
    local server name unplugged gone=() said_lines=0 elapsed lost
    server=$(address "$1" 1)
    lay_wire server ann bob cat
    start_server server
    for name in ann bob cat; do
        enter "$name" "$server"
    done
    # Until the last acknowledgement is through.
    sleep 1
    ip -n "$prefix-cat" link set eth0 down
    unplugged=$EPOCHREALTIME
    tell ann /tone 20
    for name in ann bob; do
        while ! said "$name" '^\* cat left the server' >/dev/null; do
            elapsed=$(seconds_since "$unplugged")
            ((${elapsed%.*} <= GONE_WITHIN_S)) || failed "cat is still there for $name after $elapsed s"
            if [[ $2 != never ]] && ((${elapsed%.*} >= $2 + 2 * said_lines)); then
                said_lines=$((said_lines + 1))
                tell ann "line $said_lines"
            fi
            sleep 0.1
        done
        gone+=("$(seconds_since "$unplugged")")
        [[ $(said "$name" '^\* cat left') == $'* cat left voice\n* cat left the server' ]] ||
            failed "$name was not told once, and in order, that cat left: $(said "$name" '^\* cat left')"
    done
    if ((said_lines > 0)); then
        expect bob "^<ann> line $said_lines\$" 10
        (($(times_said bob '^<ann> line') == said_lines)) || failed "bob did not read every line"
    fi
    passed "unplugged, cat had left voice and the server after ${gone[0]} s for ann and ${gone[1]} s for bob;" \
        "$said_lines lines of chat meanwhile"
    expect bob '^\* ann stopped speaking: ' 30
    lost=$(said bob '^\* ann stopped speaking: ' | sed 's|.* heard, ||; s| lost||')
    # Over two hops 98 of 1000, with a standard deviation of 9.4, and four of them either way.
    ((lost >= 60 && lost <= 136)) || failed "bob lost $lost of 1000 datagrams from ann, and 60 to 136 were to be expected"
    stop_server
    passed "of 1000 datagrams that ann spoke meanwhile, bob lost $lost; the server had $(statistic send_failed) sends fail"
}

# The other promise: an outage of up to five twelfths of the time ends nobody.
readonly OUTAGE_DEAD_PEER_TIMEOUT_S=12 OUTAGE_S=4.8

outage_silent() { outage; }
# Said before the link goes down, at the same moment, and while it is down.
outage_talking() { outage 0 2.5; }

# outage [SAID-AT...]: cat's line is gone for a while, again and again, at another moment between two of the kernel's
# questions each time (which come every second), and she and the others notice nothing but that. The wire is a good one,
# as what must be tried again is not to be lost again, but as slow as a telephone's.
outage() {
    local server phase line=0 down at
    # shellcheck disable=SC2034 # what the wire is laid with
    local netem=(delay 60ms) tap=(--delay 60)
    server=$(address 4 1)
    lay_wire server ann cat
    start_server server --dead-peer-timeout "$OUTAGE_DEAD_PEER_TIMEOUT_S"
    enter ann "$server"
    enter cat "$server"
    for phase in 0.05 0.3 0.55 0.8; do
        line=$((line + 1))
        tell cat "before $line"
        expect ann "^<cat> before $line\$" 10
        sleep "$phase"
        down=$EPOCHREALTIME
        (($# == 0)) || tell ann "line $line"
        ip -n "$prefix-cat" link set eth0 down
        for at; do
            sleep "$(awk -v at="$at" -v passed="$(seconds_since "$down")" 'BEGIN { print (at > passed ? at - passed : 0) }')"
            tell ann "line $line at $at"
        done
        sleep "$(awk -v passed="$(seconds_since "$down")" "BEGIN { print $OUTAGE_S - passed }")"
        ip -n "$prefix-cat" link set eth0 up
        for at; do
            expect cat "^<ann> line $line at $at\$" 10
        done
        tell cat "after $line"
        expect ann "^<cat> after $line\$" 10
        ! said ann '^\* cat left' || failed "an outage of $OUTAGE_S s, $phase s after her last word, ended cat"
    done
    passed "cat came back after four outages of $OUTAGE_S s of the $OUTAGE_DEAD_PEER_TIMEOUT_S s that are allowed her"
    stop_server
    (($(statistic closed_vanished) + $(statistic closed_stalled) + $(statistic closed_broken) == 0)) ||
        failed "somebody was ended: see $logs/server.log"
}

move_ipv4() { move 4; }
move_ipv6() { move 6; }

# Ann and bob talk all the time, and ann's voice suddenly comes from elsewhere: from another address, and then from
# another port of the same one, as behind a NAT that forgot her. Her TCP connection stays as it is.
move() {
    local server name
    server=$(address "$1" 1)
    lay_wire server ann bob
    add_address ann "$1" 111
    start_server server
    for name in ann bob; do
        start "$name" "$name" "$bin/talker" "$name" "$(with_port "$server" 9001)" 9002 \
            "$(address "$1" "$(number "$name")")"
        expect "$name" '^in voice' 30
        prove "$name"
        tell "$name" speak
    done
    expect_counts "before the move" ann 'newest > 60 && earlier == 0' bob 'newest > 60'
    move_ann_to "$(address "$1" 111)" "another address"
    move_ann_to "$(address "$1" 111)" "another port"
    tell ann say still here
    expect bob '^<user 1> still here$' 10
    stop_server
    (($(statistic voice_unknown_source) > 60)) || failed "the server took voice from an address that nobody had proved"
    passed "chat from ann still comes, over the TCP connection that she had"
}

# move_ann_to ADDRESS WHAT-IT-IS
move_ann_to() {
    local during after moves
    moves=$(times_said ann '^speaks from')
    tell ann move "$1"
    until (($(times_said ann '^speaks from') > moves)); do sleep 0.1; done
    # The server cannot know yet: it drops what comes from the new address, and serves the old one.
    expect_counts "unproven $2" ann 'newest == 0 && earlier > 60' bob 'newest == 0'
    during=$counts
    prove ann
    expect_counts "proven $2" ann 'newest > 60 && earlier == 0' bob 'newest > 60'
    after=$counts
    passed "to $2: before the proof, $during; after it, $after"
}

# Asks with a VoiceAuthRequest from the newest address, until it is answered.
prove() {
    local proofs tries
    proofs=$(times_said "$1" '^proven')
    tell "$1" prove
    for ((tries = 0; tries < 200; tries++)); do
        (($(times_said "$1" '^proven') == proofs)) || return 0
        sleep 0.1
    done
    failed "$1 could not prove its address"
}

# expect_counts WHEN (NAME CONDITION)...: what was heard within two seconds, in which 100 datagrams were spoken to each,
# on the newest socket and on earlier ones.
expect_counts() {
    local when=$1 newest earlier
    shift
    # What was under way has arrived.
    sleep 0.5
    tell ann count start
    tell bob count start
    sleep 2
    counts=
    while (($# > 0)); do
        tell "$1" count "$when"
        expect "$1" "^count $when: " 5
        read -r newest earlier < <(said "$1" "^count $when: " | sed 's/.*: //')
        ((${2})) || failed "$when, $1 heard $newest datagrams on the newest socket and $earlier on earlier ones"
        counts+="${counts:+, }$1 heard $newest"
        [[ $1 == bob ]] || counts+=" there and $earlier where she was"
        shift 2
    done
}
