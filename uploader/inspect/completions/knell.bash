# Completion of knell for bash. Made by `knell completion bash`.
_knell_ids() { knell --quiet -F event_id 2>/dev/null | cut -c1-8; }
_knell() {
    local current=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}
    local command=list word options
    # --state=new is three words to bash.
    [ "$last" = = ] && last=${COMP_WORDS[COMP_CWORD-2]}
    [ "$current" = = ] && current=
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        list|show|stack|threads|crumbs|top|dump|debug|status|log|upload|retry|hold|release|rm|clean|export|import|verify|consent|config|test|watch|report|completion|help) command=$word; break ;;
        esac
    done
    case $last in
    --lines|-n) return ;;
    --since|-S) COMPREPLY=($(compgen -W 'today yesterday -1h -1d -1w' -- "$current")); return ;;
    --until|-U) COMPREPLY=($(compgen -W 'now today yesterday' -- "$current")); return ;;
    --signal) COMPREPLY=($(compgen -W 'SEGV BUS FPE ILL ABRT TRAP SYS' -- "$current")); return ;;
    --code) COMPREPLY=($(compgen -W 'MAPERR ACCERR INTDIV ADRERR TKILL USER KERNEL' -- "$current")); return ;;
    --exe) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --app) return ;;
    --release) return ;;
    --env) return ;;
    --state) COMPREPLY=($(compgen -W 'new work wait hold sent bad' -- "$current")); return ;;
    --sig) return ;;
    --tag) return ;;
    --spool|-D) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --config) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --field|-F) return ;;
    --output|-o) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --debug-dir) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --store) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --sysroot) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --debugger) COMPREPLY=($(compgen -W 'lldb gdb' -- "$current")); return ;;
    --older) return ;;
    --max-bytes) return ;;
    --max-reports) return ;;
    --title) return ;;
    --interval) return ;;
    --timeout) return ;;
    esac
    case $command in
    list) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --field --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    show) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --as-sent --modules --registers --threads --no-source --debug-dir --store --sysroot --help --version ' ;;
    stack) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --no-source --debug-dir --store --sysroot --help --version ' ;;
    threads) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --registers --no-source --debug-dir --store --sysroot --help --version ' ;;
    crumbs) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --no-source --debug-dir --store --sysroot --help --version ' ;;
    top) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    dump) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --output --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    debug) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --debug-dir --store --sysroot --debugger --dry-run --help --version ' ;;
    status) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    log) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --follow --help --version ' ;;
    upload) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    retry) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --dry-run --help --version ' ;;
    hold) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --dry-run --help --version ' ;;
    release) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --dry-run --help --version ' ;;
    rm) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --dry-run --yes --help --version ' ;;
    clean) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --dry-run --yes --older --max-bytes --max-reports --help --version ' ;;
    export) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --output --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    import) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    verify) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --repair --help --version ' ;;
    consent) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --yes --purge --help --version ' ;;
    config) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --strict --help --version ' ;;
    test) options='--signal --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    watch) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --interval --timeout --help --version ' ;;
    report) options='--lines --reverse --since --until --signal --code --exe --app --release --env --state --sig --tag --spool --all --config --json --output --utc --no-pager --no-legend --color --full --quiet --no-source --title --help --version ' ;;
    completion) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    help) options='--spool --all --config --json --utc --no-pager --no-legend --color --full --quiet --help --version ' ;;
    esac
    case $current in
    -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;;
    esac
    case $command in
    consent) COMPREPLY=($(compgen -W 'yes no ask revoke' -- "$current")) ;;
    config) COMPREPLY=($(compgen -W 'show check' -- "$current")) ;;
    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$current")) ;;
    help) COMPREPLY=($(compgen -W 'list show stack threads crumbs top dump debug status log upload retry hold release rm clean export import verify consent config test watch report completion help' -- "$current")) ;;
    *) COMPREPLY=($(compgen -W "$([ "$command" = list ] && echo 'list show stack threads crumbs top dump debug status log upload retry hold release rm clean export import verify consent config test watch report completion help') $(_knell_ids)" -- "$current")) ;;
    esac
}
complete -F _knell knell
