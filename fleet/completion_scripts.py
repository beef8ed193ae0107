"""What bash, zsh and fish read to complete `fleet`: click's scripts, with the line up to the cursor
handed on as it is, so that quotes, `:` and `--option=value` can be told apart on our side.
"""

BASH = r"""%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_WORDS=${COMP_LINE:0:$COMP_POINT} COMP_WORDBREAKS=$COMP_WORDBREAKS \
        %(complete_var)s=bash_complete %(prog_name)s 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

ZSH = r"""#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain described response line given
    local type key descr
    local -i at
    (( $+commands[%(prog_name)s] )) || return 1
    # assignments before the command are not among its words
    line=("${(@Q)${(@z)LBUFFER}}")
    at=$(( $#line - CURRENT + ($#PREFIX + $#QIPREFIX ? 1 : 2) ))
    while (( --at > 0 )) && [[ $line[at] == *=* && ${line[at]%%%%=*} != *[^A-Za-z0-9_]* ]]; do
        [[ $line[at] == FLEET_INVENTORY=* && -z $given ]] && given=("$line[at]")
    done
    response=("${(@f)$(env "${given[@]}" COMP_WORDS="${(j: :)words[1,CURRENT]}" \
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for type key descr in "${(@)response}"; do
        case $type in
            plain)
                if [[ $descr == _ ]]; then
                    plain+=("$key")
                else
                    described+=("$key:$descr")
                fi ;;
            dir) compset -P '--*='; _path_files -/ ;;
            file) compset -P '--*='; _path_files -f ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

FISH = r"""function %(complete_func)s
    for line in (env COMP_WORDS=(commandline -cp | string collect) \
            %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l found (string split -m 1 , -- $line)
        # of --option=value the option stays before what is found
        set -l parts (string match -r -- '^((?:--[^=]+=)?)(.*)$' (commandline -ct))
        switch $found[1]
            case dir
                string replace -r -- '^' "$parts[2]" (__fish_complete_directories "$parts[3]")
            case file
                string replace -r -- '^' "$parts[2]" (__fish_complete_path "$parts[3]")
            case plain
                echo $found[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""
