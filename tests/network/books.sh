# What is looked at during a soak and after it: the process as the kernel sees it, and what the server says of itself.
# Sourced by `soak`.

samples=() cpu_before=0 cpu_at=0

descriptors() { find "/proc/${pid[server]}/fd" -mindepth 1 | wc -l; }
threads() { find "/proc/${pid[server]}/task" -mindepth 1 -maxdepth 1 | wc -l; }

# memory VmRSS|VmHWM, in KiB
memory() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/${pid[server]}/status"; }

# In clock ticks, of which there are 100 in a second.
cpu() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/${pid[server]}/stat"; }

note_figures() { cpu_before=$(cpu) cpu_at=$EPOCHREALTIME; }

# connections_from ADDRESS: those that the server has not let go of, and believes to stand.
connections_from() {
    local from=$1
    [[ $from != *:* ]] || from="[$from]"
    inside server ss -Htn state established "dst $from" | wc -l
}

# tcp_figure NAME: of the server's own namespace, in which nobody else takes connections.
tcp_figure() {
    awk -v name="$1" '/^Tcp:/ { if (place) print $place; else for (i = 2; i <= NF; i++) if ($i == name) place = i }' \
        "/proc/${pid[server]}/net/snmp"
}

# What the kernel has handed over on UDP, of both families.
udp_datagrams() {
    awk '/^Udp: [0-9]/ { sum += $2 } /^Udp6InDatagrams/ { sum += $2 } END { print sum }' \
        "/proc/${pid[server]}/net/snmp" "/proc/${pid[server]}/net/snmp6"
}

# users_now: as the server tells when it is asked.
users_now() {
    local pages tries
    pages=$(times_said server '\[INFO\] statistics$')
    kill -USR1 "${pid[server]}"
    # The page is one write, and its end is the end of it.
    for ((tries = 0; tries < 50; tries++)); do
        if (($(times_said server '\[INFO\] statistics$') > pages)); then
            awk '/^  users now / { users = $3 } END { print users }' "$logs/server.log"
            return
        fi
        sleep 0.1
    done
    echo -1
}

print_heading() {
    printf '%7s %10s %10s %5s %6s %11s %8s %9s %5s\n' 'time, s' 'RSS, KiB' 'HWM, KiB' fds users 'should be' vanished connected CPU
}

# sample SECOND: a line of figures, the users among them against who should be there.
sample() {
    local rss users low high cpu_now
    rss=$(memory VmRSS) users=$(users_now) cpu_now=$(cpu)
    # Those of the storm come and go by themselves; a crowd that has just come may not be in yet; and those who
    # have vanished or stalled may be there or not.
    low=$((PLAZA_USERS + GARDEN_USERS + 2 + FLAPPERS + STORM_CHATTERS + STORM_SLOW_READERS * 9 / 10 + in_now))
    high=$((PLAZA_USERS + GARDEN_USERS + 2 + FLAPPERS + STORM_CHATTERS + STORM_SLOW_READERS + STORM_LOGINS + 1))
    high=$((high + STORM_LEAVING + in_now + stalled_now + vanished_now))
    printf '%7d %10d %10d %5d %6d %7d-%-3d %8d %9d %4.0f%%\n' "$1" "$rss" "$(memory VmHWM)" "$(descriptors)" "$users" \
        "$low" "$high" "$vanished_now" "$(inside server ss -Htn state established 'sport = 9001' | wc -l)" \
        "$(awk -v ticks=$((cpu_now - cpu_before)) -v s="$(seconds_since "$cpu_at")" 'BEGIN { print ticks / s }')"
    ((users >= low && users <= high)) || wrong "$users users at $1 s, and $low to $high should be there"
    samples+=("$rss")
    note_figures
}

# median FIRST LAST: of the memory in these samples.
median() { printf '%s\n' "${samples[@]:$1:$(($2 - $1))}" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# A leak shows as a last quarter above the second, with the same load; and as what is left when all have gone.
judge_memory() {
    local count=${#samples[@]} early late bound last
    early=$(median $((count / 4)) $((count / 2)))
    late=$(median $((count - count / 4)) "$count")
    bound=$((early + early / 10 + 512)) last=$(memory VmRSS)
    judge $((late <= bound)) "memory: $early KiB in the second quarter and $late KiB in the last (medians), at most" \
        "$bound KiB to be expected; $(memory VmHWM) KiB at most at any time"
    judge $((last <= bound)) "memory: $last KiB when all had gone"
}

# What the clients say of it.
judge_crowds() {
    local name lost slowest is_good
    for name in plaza garden; do
        lost=$(said "$name" '^WRONG: |^crowd: ' || true)
        # One that did not get to its end has not reported what was delivered.
        is_good=$([[ -n $lost ]] || times_said "$name" delivered)
        judge $((is_good)) "$name: nobody was ended by the server, every datagram was as it must be${lost:+: $lost};" \
            "$(said "$name" 'chat messages' | tail -n 1)"
    done
    slowest=$(printf '%s\n' 0 "${gone[@]}" | sort -n | tail -n 1)
    judge $((${#gone[@]} == groups && ${slowest%.*} <= GONE_WITHIN_S)) "$groups crowds of $((GROUP_USERS + 1)) vanished," \
        "and the slowest was gone after $slowest s"
    for name in eve tom $(seq -f flap-%g "$FLAPPERS"); do
        lost=$(said "$name" '^voiceapp:|^skipped|could not be read' || true)
        [[ -z $lost ]] || wrong "$name says: $lost"
    done
    passed "eve heard $(said eve '^tom: ' | tail -n 1)"
}

# judge_books ACCEPTED DATAGRAMS: what came in, as the kernel has counted it, is what the server has accounted for.
judge_books() {
    local ended
    # Every connection has one cause for its end, also one that was refused at once.
    ended=$(awk '/\[INFO\] stopped/ { last = 1 } last && $1 ~ /^(closed_|refused_|accept_failed)/ { sum += $2 }
        END { print sum + 0 }' "$logs/server.log")
    judge $((ended == $1)) "connections: the kernel has completed $1, and the server has ended or refused $ended"
    judge $(($(statistic 'datagrams received') == $2)) "datagrams: the kernel has handed over $2," \
        "and the server has counted $(statistic 'datagrams received')"
    judge $(($(statistic closed_banned) > 0 && $(statistic refused_banned) > 0)) \
        "bans: $(statistic closed_banned) connections ended and $(statistic refused_banned) refused"
    judge $(($(statistic state_told_later) > 0)) "flapping: told later $(statistic state_told_later) times"
    judge $(($(statistic closed_stalled) + $(statistic closed_too_slow) > 0)) "those who do not read:" \
        "$(statistic closed_stalled) stalled and $(statistic closed_too_slow) too slow"
    judge $(($(statistic accept_paused) + $(statistic accept_failed) + $(statistic receive_failed) == 0)) \
        "accepting never paused or failed, and receiving never failed"
}

# Nothing above information, and of each kind a line a second at most, whatever the clients do.
judge_log() {
    local bad
    bad=$(grep -E '\[(WARN|ERROR)\]|panicked|lines left out' "$logs/server.log" || true)
    judge $((${#bad} == 0)) "the log: warnings and errors: ${bad:-none}"
    # A kind is a line without its numbers; what was asked for by a signal comes as often as that. The server goes by the
    # clock as its turn began, so that after a long turn, on a busy machine, two lines may follow each other closely.
    bad=$(awk '/^[0-9-]+T[0-9:.]+Z \[/ && !/statistics$|ban file was read again/ {
            minute = substr($1, 1, 16); kind = $0; lines++
            sub(/^[^ ]+ /, "", kind); sub(/ \([0-9]+ more like this before\)/, "", kind); gsub(/[0-9]+/, "N", kind)
            if (++count[minute, kind] == 65) print "over 64 in the minute " minute ": " kind
        } END { print lines > "/dev/stderr" }' "$logs/server.log" 2>"$logs/lines")
    judge $((${#bad} == 0)) "the log: $(cat "$logs/lines") lines, of each kind no more than 64 in a minute${bad:+: $bad}"
    grep -Eo '\[(INFO|WARN|ERROR)\] .*' "$logs/server.log" | sed 's/ ([0-9]* more like this before)//; s/[0-9]\+/N/g' |
        grep -v 'statistics$' | sort | uniq -c | sort -rn | head -n 12
}
