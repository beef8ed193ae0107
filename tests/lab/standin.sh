# A stand-in for docker's client that behaves for every subcommand of the probe. Its rows follow
# from the address that the login came to, so a row under the wrong host is seen; tests/lab/standin.py
# computes the same in Python. Set before: ROWS, DELAY (seconds of `docker stats`); with SERIAL every
# row says that number instead, as its PIDs and in its memory.

address=${SSH_CONNECTION#* * }
address=${address%% *}
IFS=.
set -- $address -- "$@"
IFS=' '
first=$1 second=$2 third=$3 fourth=$4
shift 5

number=$((third * 256 + fourth))
prefix=$(printf '%02x%02x%02x%02x' $first $second $third $fourth)
suffix=$(printf '%052x' $number)

# No forks per row: a thousand nodes of a test share two cores.
row() {
    case $row in
    ?) short=${prefix}000$row ;;
    ??) short=${prefix}00$row ;;
    ???) short=${prefix}0$row ;;
    esac
    id=$short$suffix
    name=app-$third-$fourth-$row
}

# A format → a template for eval, in which fields are variables of a row.
template_of() {
    printf '%s\n' "$1" | sed \
        -e 's|{{json .ID}}|"@id"|g' \
        -e 's|{{json .Names}}|"@name"|g' \
        -e 's|{{json .State}}|"running"|g' \
        -e 's|{{json .Networks}}|"bridge"|g' \
        -e 's|{{json (.Label "com.docker.compose.service")}}|"service-@row"|g' \
        -e 's|{{json (.Label "[^"]*")}}|""|g' \
        -e 's|{{json .State.Status}}|"running"|g' \
        -e 's|{{json .State.Pid}}|@pid|g' \
        -e 's|{{if .State.Health}}.*{{end}}|@health|g' \
        -e 's|{{json .RestartCount}}|@restarts|g' \
        -e 's|{{json .State.ExitCode}}|0|g' \
        -e 's|{{json .State.OOMKilled}}|false|g' \
        -e 's|{{json .Created}}|"2026-01-01T00:@minute:00.123456789Z"|g' \
        -e 's|{{json .State.StartedAt}}|"2026-01-01T01:@minute:00.5Z"|g' \
        -e 's|{{json .State.FinishedAt}}|"0001-01-01T00:00:00Z"|g' \
        -e "s|{{json .Image}}|$2|g" \
        -e 's|{{json (index .Config.Labels "com.docker.compose.project")}}|"shop-@third"|g' \
        -e 's|[$`"\]|\\&|g' \
        -e 's|@\([a-z]*\)|${\1}|g'
}

ps_rows() {
    template=$(template_of "$1" '"shop/app-@third-@fourth:@row"')
    row=0
    while [ $row -lt $ROWS ]; do
        row
        eval "printf '%s\n' \"$template\""
        row=$((row + 1))
    done
}

# inspect_rows FORMAT ID ...: a line for each id that is one of ours.
inspect_rows() {
    template=$(template_of "$1" '"sha256:@id"')
    shift
    missing=0
    for wanted; do
        row=${wanted#$prefix}
        row=${row%$suffix}
        case $row in
        0000) row=0 ;;
        0??? | ????) row=${row#0} row=${row#0} row=${row#0} ;;
        *) row=$ROWS ;;
        esac
        case $row in *[!0-9]*) row=$ROWS ;; esac
        if [ $row -ge $ROWS ]; then
            echo "Error response from daemon: No such container: $wanted" >&2
            missing=1
            continue
        fi
        row
        pid=$((number % 1000 * 100 + row + 1000))
        restarts=$(((number + row) % 4))
        minute=$((number % 50 + 10))
        health=null
        [ $((row % 2)) = 1 ] || health='"healthy"'
        eval "printf '%s\n' \"$template\""
    done
    return $missing
}

stats_rows() {
    row=0
    while [ $row -lt $ROWS ]; do
        row
        printf '{"BlockIO":"%d.%dMB / %d.%dGB",' \
            $((number % 90 + 10)) $((row % 10)) $((number % 8 + 1)) $((row % 10))
        printf '"CPUPerc":"%d.%02d%%","Container":"%s","ID":"%s",' \
            $((number % 90)) $row $short $id
        printf '"MemPerc":"%d.%02d%%","MemUsage":"%d.%dMiB / 1.953GiB",' \
            $((number % 50)) $row ${SERIAL:-$((number % 900 + 100))} $((row % 10))
        printf '"Name":"%s","NetIO":"%d.%dkB / %d.%dMB","PIDs":"%d"}\n' \
            $name $((number % 90 + 10)) $((row % 10)) $((number % 9 + 1)) $((row % 10)) \
            ${SERIAL:-$((number % 500 + row + 1))}
        row=$((row + 1))
    done
}

command=$1
format=
while [ $# -gt 0 ]; do
    case $1 in
    --format) format=$2 ;;
    --format=*) format=${1#*=} ;;
    --) shift && break ;;
    esac
    shift
done

case $command in
version | --version | -v)
    case $format in
    ?*) echo '"28.2.2"' ;;
    *) echo "Docker version 28.2.2, build lab" ;;
    esac
    ;;
ps) printf '%s\n' "$(ps_rows "$format")" ;; # in one piece, as docker does
inspect)
    lines=$(inspect_rows "$format" "$@")
    missing=$?
    [ -z "$lines" ] || printf '%s\n' "$lines"
    exit $missing
    ;;
stats)
    sleep "$DELAY"
    printf '%s\n' "$(stats_rows)"
    ;;
*)
    echo "docker: '$command' is not a docker command." >&2
    exit 1
    ;;
esac
