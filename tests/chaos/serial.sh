# Before tests/lab/standin.sh: every `docker stats` has the next number of its address, takes its
# time, and is logged as served before it prints a row.

if [ "$1" = stats ]; then
    served=/run/home/served
    address=${SSH_CONNECTION#* * }
    address=${address%% *}
    SERIAL=$(
        exec 9>>"$served.lock"
        flock 9
        last=$(cat "$served.$address" 2>/dev/null)
        next=$((${last:-0} + 1))
        echo $next >"$served.$address"
        echo $next
    )
    sleep "0.$(((SERIAL * 37 + ${address##*.} * 17) % 50 + 10))"
    echo "$address $SERIAL" >>"$served"
fi

